"""A store of such shards, with manifests as a run publishes them."""

import json

import numpy as np
from shards import sha

from videocap.extract.shards import writer

SPEC = {"stage": "EmbedFramesShard", "config": {"decode.frames": 20}, "inputs": {}}


def publish(folder, items, arrays, created=0.0, spec=SPEC, **changes):
    """A shard with its manifest; returns the path of the latter."""
    key = sha(f"{items} {created}")
    payload = f"{key}-{key[:32]}.h5"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store.json").write_text(json.dumps({"format": "clip4videocap-store", "spec": SPEC}))
    times = [np.arange(len(array)) / 2 for array in arrays]
    writer.write(folder / payload, items=items, arrays=arrays, times=times, spec=spec, key=key)
    manifest = {"key": key, "payload": payload, "created": created, "provenance": {"host": f"host{created}"}}
    manifest |= {"ids": [name for name, _ in items], "digests": [digest for _, digest in items]}
    (folder / f"{key}.json").write_text(json.dumps(manifest | changes))
    return folder / f"{key}.json"

"""Features made elsewhere: imported under a name, they are a store that nothing here can compute again."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.stores.store import Item, Store, store_of
from videocap.pipeline.versions import versions

FOREIGN = "ForeignShard"
MOST_HELD = 256 << 20  # bytes of rows in memory


def foreign_store(artifacts: Artifacts, name: str) -> Store:
    """The store of what is imported under a name. Its spec is what `ForeignShard` gives for that name."""
    return store_of(artifacts.root, {"stage": FOREIGN, "version": 1, "config": {"data.features": name}, "inputs": {}})


def is_foreign(spec: dict) -> bool:
    """Whether a store of this spec holds imported features."""
    return spec.get("stage") == FOREIGN


def newest(manifests: Iterable[dict]) -> dict[str, str]:
    """Digest of each id's newest rows, as `extract.shards.store.FeatureStore` has it."""
    found: dict[str, tuple[float, str]] = {}
    for manifest in manifests:
        for name, source in pairs(manifest):
            found[name] = max(found.get(name, (0.0, "")), (manifest["created"], source))
    return {name: source for name, (_, source) in found.items()}


def pairs(manifest: dict) -> Iterable[tuple[str, str]]:
    """(id, digest) of the items of a shard, by its manifest."""
    return zip(manifest.get("ids") or (), manifest["digests"], strict=False)


def publish(
    store: Store,
    read: Iterable[tuple[str, str, Any]],
    write: Callable[[Path, str, dict, list[Item], list], dict],
    size: int,
    source: str,
) -> int:
    """Publish foreign items in shards of at most `size`; what the store has is left out.

    Args:
        store: of `foreign_store`.
        read: (id, digest, rows) of the items; the rows have a size in bytes, `nbytes`.
        write: writes a shard, given path, key, spec, items and rows.
        source: what they were read from, for the record.

    Returns:
        how many items were new.
    """
    waiting: list[tuple[str, str, Any]] = []
    new = 0
    how = {"how": {}, "host": platform.node(), "source": source, "versions": versions()}

    def flush() -> None:
        items, rows = [(name, digest) for name, digest, _ in waiting], [one for _, _, one in waiting]
        # Not only new items: who goes back to earlier features needs a newer shard of these, under a key of its own.
        number = next(n for n in count() if f"{store.shard_key(items, n)}.json" not in store.names())
        store.publish_shard(items, number, lambda path, key: write(path, key, store.spec, items, rows), how)
        waiting.clear()

    files = store.names()
    held = newest(manifest for manifest in store.manifests().values() if manifest["payload"] in files)
    for name, digest, rows in read:
        if held.get(name) != digest:
            waiting.append((name, digest, rows))
            new += 1
        if len(waiting) == size or sum(rows.nbytes for _, _, rows in waiting) > MOST_HELD:
            flush()
    if waiting:
        flush()
    return new

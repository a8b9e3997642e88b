"""Small feature stores in artifacts folders, without videos: what push and pull carry."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from videocap import tasks
from videocap.extract.shards import shard, writer
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import load
from videocap.pipeline.sharing import push_pull
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.push_pull import Sent
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.store import Store

# OpenAI's weights are known by name, so that the specs need no file
NAMED = "encoder.weights=ViT-B/16 text_encoder.weights=ViT-B/16 encoder.pixels=224"
FRAMES = "EmbedFramesShard"


def experiment_in(folder: Path, override: str = "") -> Experiment:
    """An experiment whose artifacts are in a folder."""
    config = load(tasks.Config, tasks.DEFAULT_CONFIG, f"{NAMED} {override} pipeline.artifacts={folder}")
    return Experiment(config, tasks.Report)


def store_in(folder: Path, override: str = "") -> Store:
    """The store of frame features of an experiment in a folder."""
    return tasks.EmbedFramesShard.of(experiment_in(folder, override)).store


def item(number: int) -> tuple[str, str]:
    return f"video{number}", hashlib.sha256(str(number).encode()).hexdigest()


def rows_of(number: int, seed: int = 0) -> np.ndarray:
    """An item's rows, float16 (2, 8), as a machine with this seed computes them."""
    return np.random.default_rng([number, seed]).normal(size=(2, 8)).astype(np.float16)


def add(store: Store, numbers: Iterable[int], seed: int = 0, failed: Iterable[int] = (), retry: int = 0) -> None:
    """Publish a shard of these items, and of some that failed."""
    items, bad = [item(number) for number in numbers], [item(number) for number in failed]
    arrays = [rows_of(number, seed) for number in numbers]

    def write(path: Path, key: str) -> dict:
        info = writer.write(path, items=items, arrays=arrays, times=None, spec=store.spec, key=key)
        failures = [{"id": name, "digest": digest, "reason": "it is cut short"} for name, digest in bad]
        digests = [digest for _, digest in items]
        return {"digests": digests, "failures": failures, "content": info.content, "provenance": {}}

    store.publish_shard([*items, *bad], retry, write, {"how": {}, "experiment": f"of {seed}"})


def rows_in(store: Store) -> dict[str, bytes]:
    """Every item's rows by id, as a pipeline would read them, digests checked."""
    found = {}
    for path in sorted(set(store.index().rows.values())):
        features = shard.read(path)
        found |= {
            name: features[number].tobytes()
            for number, (name, digest) in enumerate(zip(features.ids, features.digests, strict=True))
            if store.index().rows[digest] == path
        }
    return found


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below a folder, and what is in them, but for links and what is huge."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    files = [path for path in files if path.stat().st_size < 1 << 20]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def push(folder: Path, place, *, override: str = "", stages=(FRAMES,), **how) -> Sent:
    """Push what a folder has; what came of the last stage."""
    return list(push_pull.push(experiment_in(folder, override), stages, place, **how))[-1]


def pull(folder: Path, place, *, override: str = "", stages=(FRAMES,), **how) -> Sent:
    return list(push_pull.pull(experiment_in(folder, override), stages, place, check_arrived, **how))[-1]


def result_at(place: Path, **changes) -> None:
    """A ToyWorld of one file that somebody has put there; its manifest may lie."""
    stage = tasks.ToyWorld.of(experiment_in(place))
    Artifacts(place).publish(
        stage.name,
        stage.recipe.key,
        stage.recipe.settled(),
        lambda work: (work / "scenes.jsonl").write_text("a scene"),
        {},
    )
    manifest = place / stage.product.place / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


class Failing(Folder):
    """A folder that is not what it was when it was listed, or can't be read or written for a while."""

    reads, writes, then = "", "", staticmethod(lambda: None)

    def open(self, path: str):
        if self.reads and self.reads in path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().open(path)

    def write(self, path: str, pieces, check) -> None:
        if self.writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(path, pieces, check)
        self.then()

"""The artifacts folder: one folder a stage, in it one a key, in it a manifest and the payload it names."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.outside import Outside, stat_or_none
from videocap.pipeline.artifacts.shapes import is_id, is_manifest
from videocap.pipeline.digests import digest, file_digest


class Artifacts:
    """All results of all experiments that share a folder.

    ```
    <Stage>/<key>/manifest.json     recipe, files with size and sha256, provenance; published last
    <Stage>/<key>/<unique>/…        the payload: the stage's files
    stores/<spec>/                  shards of features, frames or caption embeddings (see `pipeline.stores.store`)
    runs/<experiment>               link to the newest results of an experiment
    sources/                        sha256 of files outside, by size and mtime
    scratch/                        locks and unfinished work; may be deleted when nothing runs
    logs/                           of each run the events (.jsonl), and what it said, with tracebacks (.log)
    ```
    """

    def __init__(self, root: Path):
        self.root = Path(root).absolute()
        self._manifests: dict[Path, tuple] = {}
        self.outside = Outside(self.root / "sources")
        """What is known of files that lie elsewhere."""

    @property
    def id(self) -> str:
        """An id that stays with the folder when it moves."""
        place = self.root / "id.json"
        there = publish.read_json(place)
        if not is_id(there):
            try:
                there = publish.publish_json(place, {"id": publish.unique()}, is_id)
            except OSError as error:
                raise self.refused(error) from error
        return there["id"]

    def refused(self, error: OSError) -> OSError:
        """An error of writing here, with what to do."""
        cure = "make it a writable folder, or name another by VIDEOCAP_ARTIFACTS or [pipeline] artifacts"
        return OSError(f"nothing can be kept in {self.root} ({error.strerror}): {cure}")

    def folder(self, stage: str, key: str) -> Path:
        return self.root / stage / key

    def manifest(self, stage: str, key: str) -> dict | None:
        """The manifest published under a key, or None."""
        place = self.folder(stage, key) / "manifest.json"
        known = stat_or_none(place)
        if known is None:
            return None
        if self._manifests.get(place, (None,))[0] != known:
            self._manifests[place] = known, publish.read_json(place, publish.MOST_MANIFEST)
        there = self._manifests[place][1]
        return there if is_manifest(there) and there["key"] == key else None

    def payload(self, stage: str, key: str) -> Path | None:
        """The folder of a key's files if all that its manifest names are there with their sizes, else None."""
        manifest = self.manifest(stage, key)
        if manifest is None:
            return None
        payload = self.folder(stage, key) / manifest["payload"]
        try:
            sizes = {name: os.lstat(payload / name) for name in manifest["files"]}  # no link leads anywhere else
        except OSError:
            return None
        regular = all(stat.S_ISREG(one.st_mode) for one in sizes.values()) and not payload.is_symlink()
        whole = regular and all(sizes[name].st_size == file["size"] for name, file in manifest["files"].items())
        return payload if whole else None

    def newest(self, stage: str) -> list[dict]:
        """All manifests of a stage, the newest first."""
        keys = os.listdir(self.root / stage) if (self.root / stage).is_dir() else []
        found = [manifest for key in keys if (manifest := self.manifest(stage, key))]
        return sorted(found, key=lambda manifest: manifest["created"], reverse=True)

    def publish(self, stage: str, key: str, recipe: dict, make: Callable[[Path], Any], provenance: dict) -> None:
        """Let `make` fill an empty folder, then publish it under the key.

        Raises whatever `make` raises; then nothing is published.
        """
        work = self.scratch / f"{stage}-{publish.unique()}"
        work.mkdir(parents=True)
        started = time.time()
        try:
            make(work)
            files = {}
            for path in sorted(p for p in work.rglob("*") if p.is_file()):
                publish.sync(path)
                size = path.stat().st_size
                files[path.relative_to(work).as_posix()] = {"size": size, "sha256": file_digest(path)}
            payload = self.folder(stage, key) / publish.unique()
            payload.parent.mkdir(parents=True, exist_ok=True)
            os.rename(work, payload)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        publish.sync(payload)
        manifest = {
            "stage": stage,
            "key": key,
            "recipe": recipe,
            "payload": payload.name,
            "content": digest({name: file["sha256"] for name, file in files.items()}),
            "files": files,
            "created": time.time(),
            "provenance": {**provenance, "seconds": round(time.time() - started, 3)},
        }
        published = publish.publish_json(
            self.folder(stage, key) / "manifest.json", manifest, lambda _: self.payload(stage, key) is not None
        )
        if published["payload"] != payload.name:
            shutil.rmtree(payload)

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def lock(self, name: str) -> AbstractContextManager[None]:
        """A lock among all processes that share the folder; waits."""
        return publish.lock(self.scratch / "locks" / name)

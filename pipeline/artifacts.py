"""The artifacts folder: one folder a stage, in it one a key, in it a manifest and the payload it names."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipeline import publish
from pipeline.keys import digest, file_digest
from pipeline.stores import Store


class Artifacts:
    """All results of all experiments that share a folder.

    ```
    <Stage>/<key>/manifest.json     recipe, files with size and sha256, provenance; published last
    <Stage>/<key>/<unique>/…        the payload: the stage's files
    stores/<spec>/                  shards of features, frames or caption embeddings (see stores.py)
    runs/<experiment>               link to the newest results of an experiment
    sources/                        sha256 of files outside, by size and mtime
    scratch/                        locks and unfinished work; may be deleted when nothing runs
    logs/                           one file a run: what ran, for how long, what failed
    ```
    """

    def __init__(self, root: Path):
        self.root = Path(root).absolute()

    @property
    def id(self) -> str:
        """An id that stays with the folder when it moves."""
        there = publish.read_json(self.root / "id.json")
        if there is None:
            there = publish.publish_json(self.root / "id.json", {"id": publish.unique()})
        return there["id"]

    def folder(self, stage: str, key: str) -> Path:
        return self.root / stage / key

    def manifest(self, stage: str, key: str) -> dict | None:
        """The manifest published under a key, or None."""
        there = publish.read_json(self.folder(stage, key) / "manifest.json")
        return there if isinstance(there, dict) and there.get("key") == key and "files" in there else None

    def payload(self, stage: str, key: str) -> Path | None:
        """The folder of a key's files if all that its manifest names are there with their sizes, else None."""
        manifest = self.manifest(stage, key)
        if manifest is None:
            return None
        payload = self.folder(stage, key) / manifest["payload"]
        try:
            whole = all((payload / n).stat().st_size == f["size"] for n, f in manifest["files"].items())
        except OSError:
            return None
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

    def store(self, spec: dict) -> Store:
        """The store of all shards that were made under a spec."""
        return Store(self.root / "stores" / f"{spec['stage']}-{digest(spec)[:16]}", spec)

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def lock(self, name: str) -> AbstractContextManager[None]:
        """A lock among all processes that share the folder; waits."""
        return publish.lock(self.scratch / "locks" / name)

    def file_signature(self, files: dict[str, Path]) -> str:
        """Digest of where files outside lie, their sizes, mtimes and inodes: changes whenever their content may."""
        return digest({name: _stat(path) for name, path in files.items()})

    def file_digests(self, label: str, files: dict[str, Path], compute: bool) -> dict[str, str] | None:
        """sha256 of files outside, by name, from the record of files of the same signature.

        Without `compute` no file is read: None unless all are known. With it, only the unknown ones are.
        """
        place = self.root / "sources" / f"{label}-{self.file_signature(files)[:32]}.json"
        record = publish.read_json(place)
        if record is None and compute:
            earlier = sorted(place.parent.glob(f"{label}-*.json"), key=lambda path: path.stat().st_mtime)
            known = (publish.read_json(earlier[-1]) if earlier else None) or {}
            record = {}
            for name, path in files.items():
                stat, old = _stat(path), known.get(name)
                record[name] = old if old and old["stat"] == stat else {"stat": stat, "sha256": file_digest(path)}
            publish.publish_json(place, record)
        return record and {name: entry["sha256"] for name, entry in record.items()}

    def link_run(self, name: str, payload: Path) -> None:
        """Let `runs/<name>` point at a payload; replaced as a whole."""
        place = self.root / "runs" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{name}.{publish.unique()}")
        aside.symlink_to(os.path.relpath(payload, place.parent))
        os.replace(aside, place)

    def linked_run(self, name: str) -> Path | None:
        """The payload that `runs/<name>` points at."""
        try:
            place = self.root / "runs" / name
            return Path(os.path.normpath(place.parent / os.readlink(place)))
        except OSError:
            return None


def _stat(path: Path) -> list:
    stat = path.stat()
    return [str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino]

"""The artifacts folder: one folder a stage, in it one a key, in it a manifest and the payload it names."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from videocap.pipeline.artifacts import publish
from videocap.pipeline.digests import digest, file_digest
from videocap.pipeline.stores.store import Store, is_payload, is_plain

MOST_RECORDS = 20  # of files outside: older ones are not looked at


class Artifacts:
    """All results of all experiments that share a folder.

    ```
    <Stage>/<key>/manifest.json     recipe, files with size and sha256, provenance; published last
    <Stage>/<key>/<unique>/…        the payload: the stage's files
    stores/<spec>/                  shards of features, frames or caption embeddings (see stores.py)
    runs/<experiment>               link to the newest results of an experiment
    sources/                        sha256 of files outside, by size and mtime
    scratch/                        locks and unfinished work; may be deleted when nothing runs
    logs/                           of each run the events (.jsonl), and what it said, with tracebacks (.log)
    ```
    """

    def __init__(self, root: Path):
        self.root = Path(root).absolute()
        self._manifests: dict[Path, tuple] = {}
        self._unread: dict[Path, list[str]] = {}

    @property
    def id(self) -> str:
        """An id that stays with the folder when it moves."""
        place = self.root / "id.json"
        there = publish.read_json(place)
        if not _is_id(there):
            try:
                there = publish.publish_json(place, {"id": publish.unique()}, _is_id)
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

    def store(self, spec: dict) -> Store:
        """The store of all shards that were made under a spec."""
        return Store(self.root / "stores" / f"{spec['stage']}-{digest(spec)[:16]}", spec)

    def stores(self, stage: str = "*") -> list[Path]:
        """The folders of all stores of a stage."""
        return sorted((self.root / "stores").glob(f"{stage}-*"))

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def lock(self, name: str) -> AbstractContextManager[None]:
        """A lock among all processes that share the folder; waits."""
        return publish.lock(self.scratch / "locks" / name)

    def file_digests(self, label: str, stats: dict[str, list], compute: bool) -> dict[str, str] | None:
        """sha256 of files outside, by name, from the record of files of the same path, size, mtime and inode.

        Without `compute` no file is read: None unless all are known. With it, only the unknown ones are. Raises
        ValueError if a file has changed since `stat_file`.
        """
        place = self.record_of_files(label, stats)
        record = self._read_record(place)
        if record is None and (compute or not self.unread(label, stats)):
            known, record = self._known_files(label), {}
            for name in tqdm(stats, f"read {label}", unit="file", disable=None if len(stats) > 1 else True):
                sha256 = known.get(tuple(stats[name]))
                if sha256 is None:
                    sha256 = file_digest(stats[name][0])
                    if stat_file(stats[name][0]) != stats[name]:
                        raise ValueError(f"{stats[name][0]} has changed while this ran; run the same command again")
                record[name] = {"stat": stats[name], "sha256": sha256}
            publish.remember_json(place, record, lambda _: self._read_record(place) is not None)
        return record and {name: entry["sha256"] for name, entry in record.items()}

    def unread(self, label: str, stats: dict[str, list]) -> list[str]:
        """The names of files that are not on record with their path, size, mtime and inode; looked up once."""
        place = self.record_of_files(label, stats)
        if place not in self._unread:
            known = self._known_files(label)
            self._unread[place] = [name for name in stats if tuple(stats[name]) not in known]
        return self._unread[place]

    def record_of_files(self, label: str, stats: dict[str, list]) -> Path:
        """Where the sha256 of files are kept that lie, and are, as `stats` says."""
        return self.root / "sources" / f"{label}-{digest(stats)[:32]}.json"

    def _known_files(self, label: str) -> dict[tuple, str]:
        """sha256 of all files in the newest records, by path, size, mtime and inode."""
        records = [self._read_record(path) or {} for path in self.file_records(label)[:MOST_RECORDS]]
        return {tuple(entry["stat"]): entry["sha256"] for record in records for entry in record.values()}

    @staticmethod
    def _read_record(place: Path) -> dict | None:
        record = publish.read_json(place)
        whole = isinstance(record, dict) and all(
            isinstance(entry, dict) and isinstance(entry.get("stat"), list) and isinstance(entry.get("sha256"), str)
            for entry in record.values()
        )
        return record if whole else None

    def file_records(self, label: str) -> list[Path]:
        """The records of files outside under a label, the newest first."""
        records = (self.root / "sources").glob(f"{label}-*.json")
        return sorted(records, key=lambda path: path.stat().st_mtime, reverse=True)

    def link_run(self, name: str, payload: Path, texts: dict[str, str], pages: dict[str, str] | None = None) -> None:
        """Let `runs/<name>` show a payload's files and, beside them, files of these texts; replaced as a whole.

        Args:
            pages: texts of files in place of the payload's; as they are when a run is first shown.
        """
        folder, pages = self._run_folder(name, payload, texts), pages or {}
        if not self._shows(folder, texts):
            work = folder.with_name(f"{folder.name}.{publish.unique()}")
            work.mkdir(parents=True)
            for file in sorted(payload.iterdir()):
                if file.name not in pages:
                    (work / file.name).symlink_to(os.path.relpath(file, work))
            for file, text in (texts | pages).items():
                (work / file).write_text(text, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                os.rename(work, folder)
            except OSError:  # another process was first
                shutil.rmtree(work)
        aside = folder.with_name(f".{name}.{publish.unique()}")
        aside.symlink_to(folder.name)
        os.replace(aside, folder.with_name(name))

    def run_is_linked(self, name: str, payload: Path, texts: dict[str, str]) -> bool:
        """Whether `runs/<name>` shows this payload and these texts."""
        folder = self._run_folder(name, payload, texts)
        try:
            return os.readlink(folder.with_name(name)) == folder.name and self._shows(folder, texts)
        except OSError:
            return False

    @staticmethod
    def _shows(folder: Path, texts: dict[str, str]) -> bool:
        try:
            return all((folder / name).read_text(encoding="utf-8") == text for name, text in texts.items())
        except (OSError, UnicodeDecodeError):
            return False

    def _run_folder(self, name: str, payload: Path, texts: dict[str, str]) -> Path:
        shown = digest([payload.relative_to(self.root).as_posix(), texts])
        return self.root / "runs" / f".{name}-{shown[:16]}"


def _is_id(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str)


def is_manifest(value: object) -> bool:
    """Whether a value says what a result's manifest must say, and names files in its own folder only."""
    return (
        publish.is_made(value)
        and publish.is_recipe(value.get("recipe"))
        and all(isinstance(value.get(name), str) for name in ("key", "content", "payload"))
        and re.fullmatch("[0-9a-f]{32}", value["payload"]) is not None
        and isinstance(value.get("files"), dict)
        and all(_is_file(name, file) for name, file in value["files"].items())
        and is_plain([value["recipe"], value["provenance"], *value["files"]])
    )


def _is_file(name: str, value: object) -> bool:
    inside = "\0" not in name and not {"", ".", ".."} & set(name.split("/"))
    return inside and is_payload(value)


def stat_file(path: Path) -> list:
    """What changes whenever a file's content may have: absolute path, size, mtime and inode."""
    found = os.stat(path)
    return [os.path.abspath(path), found.st_size, found.st_mtime_ns, found.st_ino]


def stat_or_none(path: Path) -> list | None:
    """`stat_file`, or None if there is nothing."""
    try:
        return stat_file(path)
    except OSError:
        return None

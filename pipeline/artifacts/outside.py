"""Files outside the artifacts folder: known by path, size, mtime and inode, so that each is hashed once."""

from __future__ import annotations

import os
from pathlib import Path

from tqdm import tqdm

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.shapes import is_file_record
from videocap.pipeline.digests import digest, file_digest

MOST_RECORDS = 20  # of files outside: older ones are not looked at


class Outside:
    """The records of files outside, in `sources/` of an artifacts folder: their sha256 by path, size, mtime and inode.

    Args:
        folder: of the records.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._unread: dict[Path, list[str]] = {}

    def digests(self, label: str, stats: dict[str, list], compute: bool) -> dict[str, str] | None:
        """sha256 of files outside, by name, from the record of files of the same path, size, mtime and inode.

        Without `compute` no file is read: None unless all are known. With it, only the unknown ones are. Raises
        ValueError if a file has changed since `stat_file`.
        """
        place = self.record(label, stats)
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
        place = self.record(label, stats)
        if place not in self._unread:
            known = self._known_files(label)
            self._unread[place] = [name for name in stats if tuple(stats[name]) not in known]
        return self._unread[place]

    def record(self, label: str, stats: dict[str, list]) -> Path:
        """Where the sha256 of files are kept that lie, and are, as `stats` says."""
        return self.folder / f"{label}-{digest(stats)[:32]}.json"

    def _known_files(self, label: str) -> dict[tuple, str]:
        """sha256 of all files in the newest records, by path, size, mtime and inode."""
        records = [self._read_record(path) or {} for path in self.records(label)[:MOST_RECORDS]]
        return {tuple(entry["stat"]): entry["sha256"] for record in records for entry in record.values()}

    @staticmethod
    def _read_record(place: Path) -> dict | None:
        record = publish.read_json(place)
        return record if is_file_record(record) else None

    def records(self, label: str) -> list[Path]:
        """The records of files outside under a label, the newest first."""
        records = self.folder.glob(f"{label}-*.json")
        return sorted(records, key=lambda path: path.stat().st_mtime, reverse=True)


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

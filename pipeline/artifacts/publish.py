"""Publishing, everywhere the same: a reader sees a whole file or none, and the first publisher wins.

Payloads are written under an own unique name in the same file system, checked, fsynced and moved; the manifest
(or plan) that names them comes last, linked into place. `kill -9` at any moment leaves only files nobody names.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

MOST_JSON = 1 << 30
"""Bytes of a JSON file: the record of a gather of a million items has 300 MB."""
MOST_MANIFEST = 32 << 20
"""Bytes of a manifest: one of 33,000 captions has 7 MB, and in memory JSON takes up to twenty times as much."""


def unique() -> str:
    """A name that no other process draws (not from `random`, which may be seeded)."""
    return uuid.uuid4().hex


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path, most: int = MOST_JSON) -> Any | None:
    """The JSON in a file of at most so many bytes; None if the file is not there, a link or damaged."""
    try:
        found = os.lstat(path)
        # a stranger's folder may hold what is waited for without end, and links out of it
        plain = stat.S_ISREG(found.st_mode) and found.st_size <= most
        return json.loads(Path(path).read_bytes()) if plain else None
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def json_text(value: Any) -> str:
    """A value as it is written everywhere."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _write_aside(path: Path, value: Any, mode: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{unique()}")
    aside.write_text(json_text(value), encoding="utf-8")
    if mode is not None:
        with suppress(OSError):  # not every file system has modes
            aside.chmod(mode)
    sync(aside)
    return aside


def publish_json(
    path: Path,
    value: Any,
    usable: Callable[[Any], bool] = lambda value: value is not None,
    mode: int | None = None,
) -> Any:
    """Link a JSON file into place unless a usable one is there; returns what then lies there.

    `usable` judges what is there; what it refuses (damaged, payload gone) is replaced.
    """
    aside = _write_aside(path, value, mode)
    try:
        _link(aside, path)
        sync(path.parent)
        return value
    except FileExistsError:
        there = read_json(path)
        if usable(there):
            return there
        os.replace(aside, path)
        sync(path.parent)
        return value
    finally:
        aside.unlink(missing_ok=True)


def _link(aside: Path, path: Path) -> None:
    """Give a file a second name, unless there is one: of several who do, one is first."""
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(aside, path)  # a file system without links, where of two at the same moment the second stays


def remember_json(path: Path, value: Any, usable: Callable[[Any], bool]) -> Any:
    """`publish_json` for what only saves time: where nothing can be written, nothing is."""
    try:
        return publish_json(path, value, usable)
    except OSError:
        return value


def replace_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole; for the few records that are not immutable."""
    os.replace(_write_aside(path, value), path)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock on a file, waiting for it; the kernel frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "a")
        _wait(file, path.name)
        if _is_same(file, path):
            break
        file.close()  # the holder before removed the file: a lock on it locks nobody out
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _wait(file: IO, name: str) -> None:
    """Lock a file, and say so if that takes longer than a moment."""
    said = time.monotonic() + 1
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > said:
                break
            time.sleep(0.02)
    logging.getLogger("videocap").warning("waiting for another process that works on %s", name)
    fcntl.flock(file, fcntl.LOCK_EX)


def _is_same(file: IO, path: Path) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False

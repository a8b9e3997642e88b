"""Copies files between places, several at a time, hashed on their way. Whatever happens to one, the others go on."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rich.filesize import decimal
from tqdm import tqdm

from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.place import Place, read_json

AT_ONCE = 4  # files
PIECE = 1 << 20  # bytes that are read at once


@dataclass(frozen=True)
class File:
    """A file that is to be copied: to the same path, if it has this size and sha256."""

    path: str
    size: int
    sha256: str
    check: Callable[[Path], None] = lambda path: None
    """Raises if a copy on this machine is not to be seen."""


class DamagedFile(ValueError):
    """A file is not what its manifest says."""


def copy_all(
    title: str,
    place: Place,
    there: Place,
    files: Mapping[str, File],
    cure: str,
    then: Callable[[str], None] = lambda name: None,
) -> dict[str, str]:
    """Copy files from one place to another, with a bar of their bytes.

    Args:
        title: of the bar.
        files: by any name.
        cure: what to do about a damaged file.
        then: called with the name of each file that is there.

    Returns:
        for files that failed, by their names, a sentence that names the file and says why.

    Raises:
        ValueError: if a folder's disk has no room for them.
    """
    total, stop = sum(file.size for file in files.values()), Event()
    _check_room(there, total)
    with tqdm(total=total, desc=title, unit="B", unit_scale=True, disable=None) as bar:

        def copy(name: str) -> str | None:
            file = files[name]
            try:
                there.write(file.path, _pieces(place, file, bar.update, stop), file.check)
                then(name)
            except DamagedFile as error:
                return f"{place}/{file.path} is left out: {error}; {cure}"
            except Exception as error:  # places have errors of their own; the other files go on
                return f"{place}/{file.path} can't be copied to {there}: {reason(error)}"
            return None

        failed = dict(zip(files, at_once(copy, files, stop), strict=True))
    return {name: sentence for name, sentence in failed.items() if sentence}


def _check_room(there: Place, size: int) -> None:
    if isinstance(there, Folder):
        place = next(path for path in (there.root, *there.root.parents) if path.is_dir())
        if size > (free := shutil.disk_usage(place).free):
            raise ValueError(f"{decimal(size)} do not fit on the {decimal(free)} free in {there}: make room")


def _pieces(place: Place, file: File, advance: Callable[[int], object], stop: Event) -> Iterator[memoryview]:
    """A file's bytes, some at a time, in memory that the next ones overwrite: new memory costs as much as copying.

    Raises DamagedFile, at the latest in the end, unless they are those expected.
    """
    found, done, buffer = hashlib.sha256(), 0, memoryview(bytearray(PIECE))
    try:
        source = place.open(file.path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EINVAL):
            raise
        raise DamagedFile(reason(error)) from error
    with source:
        while count := source.readinto(buffer):
            if stop.is_set():
                raise InterruptedError("the command was stopped")
            done += count
            if done > file.size:
                raise DamagedFile(f"it has more than the {file.size} bytes of its manifest")
            found.update(buffer[:count])
            yield buffer[:count]
            advance(count)
    if done != file.size:
        raise DamagedFile(f"it has {done} bytes, not {file.size} as its manifest says")
    if found.hexdigest() != file.sha256:
        raise DamagedFile(f"its sha256 is {found.hexdigest()[:12]}…, not that of its manifest")


def at_once(function: Callable[[str], Any], names: Iterable[str], stop: Event | None = None) -> Iterator[Any]:
    """What a function gives for each name, in order, some at a time; `stop` is set if the caller is to stop."""
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from threads.map(function, names)
    except BaseException:
        if stop:
            stop.set()
        raise
    finally:
        threads.shutdown(cancel_futures=True)


def manifest_or_reason(place: Place, path: str) -> Any:
    """The JSON in a file, or a sentence why there is none."""
    try:
        return read_json(place, path)
    except Exception as error:  # places have errors of their own
        return reason(error)


def reason(error: Exception) -> str:
    """Why something failed, in a line. Where it did is logged at debug level."""
    logging.getLogger(__name__).debug("a copy failed", exc_info=error)
    # a place may say in its own words what is not there, such as a bucket
    if isinstance(error, FileNotFoundError) and error.strerror == os.strerror(errno.ENOENT):
        return "it is not there"
    said = getattr(error, "strerror", None) or str(error) or "it can't be done there"
    said += f": {error.filename}" if isinstance(error, OSError) and error.strerror and error.filename else ""
    kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
    return kind + " ".join(said.split())

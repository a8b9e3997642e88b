"""Places that artifacts travel between: a folder, or what fsspec opens. Nothing is seen there before it is whole."""

from __future__ import annotations

import errno
import json
import os
import posixpath
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline import publish

Buffer = bytes | memoryview
BLOCK = 8 << 20  # bytes that are asked of a remote place at once
ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "hf", "memory"}
"""Protocols where a file appears whole, when it is closed."""


def place_of(url: str) -> Folder | Remote:
    """The place with a URL, or a path.

    Raises:
        ValueError: if nothing installed opens such a URL.
    """
    path = url.removeprefix("file://")
    return Remote(url) if "://" in path or "::" in path else Folder(Path(path).expanduser().absolute())


class Folder:
    """A folder of this machine, or one that it mounts. No link in it is followed to another file."""

    def __init__(self, root: Path):
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def create(self) -> None:
        """Make the folder itself. Raises ValueError if it can't be made where it is said to be."""
        if not self.root.parent.is_dir():
            raise ValueError(f"there is no folder {self.root.parent} to make {self.root.name} in: is it mounted?")
        self.root.mkdir(exist_ok=True)

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The size of each file in a folder, by name; nothing if there is no such folder."""
        try:
            with os.scandir(self.root / folder) as found:
                files = [entry for entry in found if not entry.is_dir(follow_symlinks=False)]
                return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in files}
        except FileNotFoundError:
            return {}

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        place = self.root / folder
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it. Raises OSError, for a link and for what is no file, too."""
        place, of = self.root / path, self.root.joinpath(*path.split("/")[:2])  # a store, or a result
        try:
            if not os.path.realpath(place.parent).startswith(os.path.realpath(of)):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            # a pipe would be waited for without end
            number = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            said = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise OSError(error.errno, said, str(place)) from None
        file = open(number, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "it is no regular file", str(place))
        return file

    def read(self, path: str, most: int) -> bytes:
        """The first bytes of a file."""
        with self.open(path) as file:
            return file.read(most)

    def write(self, path: str, pieces: Iterable[Buffer], check: Callable[[Path], None]) -> None:
        """Let a file appear that holds these pieces, once `check` has not raised for it.

        It is not flushed to the disk, which takes longer than all else: a copy that a power cut leaves short is told
        by its size, and what it is a copy of is still there.
        """
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{place.name}.{publish.unique()}")
        try:
            with open(aside, "xb") as file:
                for piece in pieces:
                    file.write(piece)
            check(aside)
            os.rename(aside, place)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def remove(self, path: str) -> None:
        """Delete a file."""
        (self.root / path).unlink(missing_ok=True)

    def publish(self, path: str, value: Any, replace: bool) -> bool:
        """Let a JSON file appear; what is there stays, unless it is to be replaced. Whether it was this one."""
        place = self.root / path
        return publish.publish_json(place, value, lambda there: not replace) is value


class Remote:
    """A place that fsspec opens, such as s3://bucket/team."""

    def __init__(self, url: str):
        import fsspec

        self.url = url.rstrip("/")
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # it names the package to install, or the protocols there are
            raise ValueError(f"{url} can't be opened: {error}") from None
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        self.atomic = not ATOMIC.isdisjoint(protocols)

    def __str__(self) -> str:
        return self.url

    def create(self) -> None:
        """Folders are made as they are needed."""

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The size of each file in a folder, by name, None if the place does not tell."""
        return {name: one.get("size") for name, one in self._ls(folder).items() if one["type"] == "file"}

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        return sorted(name for name, one in self._ls(folder).items() if one["type"] == "directory")

    def _ls(self, folder: str) -> dict[str, dict]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(f"{self.root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # of the network, of credentials: each library has its own
            raise OSError(f"{self.url} can't be listed: {' '.join(str(error).split())}") from error
        return {posixpath.basename(one["name"].rstrip("/")): one for one in found}

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it from its beginning to its end."""
        return self.fs.open(f"{self.root}/{path}", "rb", block_size=BLOCK, cache_type="readahead")

    def read(self, path: str, most: int) -> bytes:
        """The first bytes of a file."""
        return self.fs.cat_file(f"{self.root}/{path}", start=0, end=most)

    def write(self, path: str, pieces: Iterable[Buffer], check: Callable[[Path], None]) -> None:
        """Let a file appear that holds these pieces; `check` is for files of this machine."""
        place = f"{self.root}/{path}"
        aside = place if self.atomic else self._aside(place)
        if not self.atomic:
            self.fs.makedirs(posixpath.dirname(place), exist_ok=True)
        try:
            with self.fs.open(aside, "wb", block_size=BLOCK) as file:
                for piece in pieces:
                    file.write(piece)
        except BaseException:  # closing it has let it appear, half: no manifest names it, but it takes room
            self.fs.rm_file(aside)
            raise
        if not self.atomic:
            self.fs.mv(aside, place)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self.fs.rm_file(f"{self.root}/{path}")

    def publish(self, path: str, value: Any, replace: bool) -> bool:
        """Let a JSON file appear; what is there stays, unless it is to be replaced. Whether it was this one.

        Where the place can't create a file only if there is none, the last of two that come at once stays.
        """
        place, text = f"{self.root}/{path}", publish.json_text(value).encode()
        if self.atomic:
            with suppress(NotImplementedError, TypeError, ValueError):  # not every library can
                return self._create(place, text, "overwrite" if replace else "create")
        if not replace and self.fs.exists(place):
            return False
        self.write(path, [text], lambda _: None)
        return True

    def _create(self, place: str, text: bytes, mode: str) -> bool:
        try:
            self.fs.pipe_file(place, text, mode=mode)
        except FileExistsError:
            return False
        return True

    @staticmethod
    def _aside(place: str) -> str:
        return posixpath.join(posixpath.dirname(place), f".{posixpath.basename(place)}.{publish.unique()}")


def read_json(place: Folder | Remote, path: str) -> Any:
    """A JSON file, such as a manifest. Raises ValueError for what is none, or too large for one."""
    data = place.read(path, publish.MOST_MANIFEST + 1)
    if len(data) > publish.MOST_MANIFEST:
        raise ValueError(f"it has more than {publish.MOST_MANIFEST} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None

"""A place that fsspec opens, such as an object store."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from videocap.pipeline.artifacts import publish
from videocap.pipeline.sharing.place import Buffer, read_json

BLOCK = 8 << 20  # bytes that are asked of a remote place at once
OBJECT_STORES = {"s3", "s3a", "gs", "gcs"}
"""Protocols where a file appears when its writing is committed; on others it is moved to its name."""


class Remote:
    """A place that fsspec opens, such as s3://bucket/team."""

    mine = False

    def __init__(self, url: str):
        import fsspec

        scheme, colon, rest = url.partition("://")
        self.url = scheme + colon + rest.rstrip("/")
        try:
            self.fs, root = fsspec.core.url_to_fs(self.url)
        except Exception as error:  # it names the package to install, or the protocols there are
            raise ValueError(f"{url} can't be opened: {error}") from None
        self.prefix = f"{root.rstrip('/')}/" if root else ""
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        self.commits = not OBJECT_STORES.isdisjoint(protocols)
        if self.commits and not root:
            raise ValueError(f"{url} names no bucket")

    def __str__(self) -> str:
        return self.url

    def create(self) -> None:
        """Folders are made as they are needed."""

    def missing(self) -> str:
        """That there is no such place, if so."""
        return "" if self.fs.exists(self.prefix.rstrip("/")) else f"there is nothing at {self}"

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The size of each file in a folder, by name, None if the place does not tell."""
        return {name: one.get("size") for name, one in self._ls(folder).items() if one["type"] == "file"}

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        return sorted(name for name, one in self._ls(folder).items() if one["type"] == "directory")

    def _ls(self, folder: str) -> dict[str, dict]:
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.prefix + folder, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # of the network, of credentials: each library has its own
            raise OSError(f"{self.url} can't be listed: {' '.join(str(error).split())}") from error
        return {posixpath.basename(one["name"].rstrip("/")): one for one in found}

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it from its beginning to its end."""
        return self.fs.open(self.prefix + path, "rb", block_size=BLOCK, cache_type="readahead")

    def write(self, path: str, pieces: Iterable[Buffer], check: Callable[[Path], None]) -> None:
        """Let a file appear that holds these pieces; `check` is for files of this machine."""
        place = self.prefix + path
        if self.commits:
            file = self.fs.open(place, "wb", block_size=BLOCK, autocommit=False)
            try:
                for piece in pieces:
                    file.write(piece)
                file.close()
                file.commit()
            except BaseException:
                with suppress(Exception):
                    file.discard()
                raise
            return
        aside = posixpath.join(posixpath.dirname(place), f".{posixpath.basename(place)}.{publish.unique()}")
        self.fs.makedirs(posixpath.dirname(place), exist_ok=True)
        try:
            with self.fs.open(aside, "wb", block_size=BLOCK) as file:
                for piece in pieces:
                    file.write(piece)
            self.fs.mv(aside, place)
        except BaseException:
            with suppress(Exception):
                self.fs.rm_file(aside)
            raise

    def publish(self, path: str, value: Any, usable: Callable[[Any], bool]) -> bool:
        """Let a JSON file appear, unless a `usable` one is there. Whether it was this one.

        Where the place can't create a file only if there is none, the last of two that come at once stays.
        """
        place, text = self.prefix + path, publish.json_text(value).encode()
        if self._create(place, text):
            return True
        try:
            now = read_json(self, path)
        except ValueError:  # damaged
            now = None
        if usable(now):
            return False
        self.write(path, [text], lambda _: None)
        return True

    def _create(self, place: str, text: bytes) -> bool:
        """Write a file if there is none."""
        if self.commits:
            try:
                self.fs.pipe_file(place, text, mode="create")
                return True
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError):  # not every version of a library can
                pass
            except OSError as error:  # nor every server
                if error.errno not in (errno.ENOSYS, errno.EINVAL):
                    raise
        if self.fs.exists(place):
            return False
        self.write(place.removeprefix(self.prefix), [text], lambda _: None)
        return True

    def remove(self, path: str) -> None:
        """Delete a file."""
        self.fs.rm_file(self.prefix + path)

    def tidy(self, folder: str) -> None:
        """Nobody can tell here what is still being written."""

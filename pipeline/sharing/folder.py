"""A place that is a folder of this machine, or one that it mounts."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.jobs import UNFINISHED
from videocap.pipeline.sharing.place import Buffer

ASIDE = re.compile(r"\..+\.[0-9a-f]{32}")
"""The name of a file that is being written."""


class Folder:
    """A folder of this machine, or one that it mounts.

    Args:
        root: the folder.
        mine: whether it is this process's own artifacts: then it may be put together by links. Of other people's, no
            link is followed that leads out of it, and what is made there is open to whom it is open itself.
    """

    def __init__(self, root: Path, mine: bool = False):
        self.root, self.mine = root, mine

    def __str__(self) -> str:
        return str(self.root)

    def create(self) -> None:
        """Make the folder itself. Raises ValueError if it can't be made where it is said to be."""
        if not self.root.parent.is_dir():
            raise ValueError(f"there is no folder {self.root.parent} to make {self.root.name} in: is it mounted?")
        self.root.mkdir(exist_ok=True)

    def missing(self) -> str:
        """That there is no such place, if so."""
        return "" if self.root.is_dir() else f"there is no folder {self.root}: is it mounted?"

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The size of each file in a folder, by name, -1 for a link or pipe; nothing if there is no such folder."""
        found: dict[str, int | None] = {}
        with suppress(FileNotFoundError), os.scandir(self._inside(folder)) as entries:
            for entry in entries:
                # what somebody is writing gets another name at any moment
                if not entry.name.startswith(".") and not entry.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        stat_of = entry.stat(follow_symlinks=False)
                        found[entry.name] = stat_of.st_size if stat.S_ISREG(stat_of.st_mode) else -1
        return found

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        place = self._inside(folder)
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it. Raises OSError, for a link and for what is no file, too."""
        place = self._inside(path)
        try:
            # a pipe would be waited for without end
            number = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            said = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise OSError(error.errno, said) from None
        file = open(number, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "it is no regular file")
        return file

    def write(self, path: str, pieces: Iterable[Buffer], check: Callable[[Path], None]) -> None:
        """Let a file appear that holds these pieces, once `check` has not raised for it.

        It is not flushed to the disk, which takes longer than all else: a copy that a power cut leaves short is told
        by its size, and what it is a copy of is still there.
        """
        place = self._inside(path)
        self._make_folder(place.parent)
        aside = place.with_name(f".{place.name}.{publish.unique()}")
        try:
            with open(aside, "xb") as file:
                for piece in pieces:
                    file.write(piece)
            check(aside)
            self._open_to_others(aside, 0o644)
            os.rename(aside, place)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def publish(self, path: str, value: Any, usable: Callable[[Any], bool]) -> bool:
        """Let a JSON file appear, unless a `usable` one is there. Whether it was this one."""
        place = self._inside(path)
        self._make_folder(place.parent)
        return publish.publish_json(place, value, usable, self._mode(0o644)) is value

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._inside(path).unlink(missing_ok=True)

    def tidy(self, folder: str) -> None:
        """Delete what was left of files whose writers were killed, long ago; of one's own artifacts, `gc` does."""
        if not self.mine:
            for path in self._inside(folder).glob(".*"):
                with suppress(OSError):  # another does the same
                    if ASIDE.fullmatch(path.name) and time.time() - path.lstat().st_mtime > UNFINISHED:
                        path.unlink()

    def _inside(self, path: str) -> Path:
        """The path of a file, which lies in the folder. Raises OSError if a link leads elsewhere."""
        place = self.root / path
        inside = self.mine or Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(self.root))
        if not inside or (not self.mine and place.is_symlink() and place.is_dir()):
            raise OSError(errno.ELOOP, "it leads elsewhere by a link", str(place))
        return place

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir()
                self._open_to_others(folder, 0o2777)

    def _open_to_others(self, path: Path, bits: int) -> None:
        if (mode := self._mode(bits)) is not None:
            with suppress(OSError):  # not every file system has modes
                path.chmod(mode)

    def _mode(self, bits: int) -> int | None:
        """These bits of the place's own mode."""
        return None if self.mine else self.root.stat().st_mode & bits

"""Files that never change once they are there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_regular(path: Path) -> None:
    """Raise OSError unless it is a regular file: a pipe or a device could be read without end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise ValueError, which names the file or folder that is written here, if its disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(f"{path} can't be written: {error.strerror}; make room, and run it again") from error


def sha256(path: Path) -> str:
    """Of a regular file's content, as hexadecimal digits. Raises OSError for what is none."""
    check_regular(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no links."""
    try:
        os.link(os.path.realpath(source), target)  # of a link, what it leads to: it may be relative
    except OSError:
        shutil.copyfile(source, target)

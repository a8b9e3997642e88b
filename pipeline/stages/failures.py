"""Why a stage failed, for a person: what went wrong, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(exception: Exception, root: Path, fields: Iterable[str]) -> str:
    """What a stage's exception means.

    Args:
        root: the artifacts folder.
        fields: that the stage reads of the config, as "encoder.batch_size".
    """
    if full := _full(exception):
        said = f"there is no room in {root} ({full}): make some, or name another folder"
        return f"{said} by VIDEOCAP_ARTIFACTS or [pipeline] artifacts, and run again"
    if isinstance(exception, PermissionError) and exception.filename:
        said = f"{exception.filename} is not for you to read or write ({exception.strerror})"
        return f"{said}: see who owns it and its mode (ls -l), and run again"
    if _lacked_memory(exception):
        sizes = [f"a smaller {key}" for key in fields if key.endswith(".batch_size")]
        cure = ", ".join([*sizes, "fewer --workers", "or a machine with more"])
        return f"there is not enough memory ({_first_line(exception)}): take {cure}"
    # an error with a message for a person needs no traceback in the last lines; the log keeps it
    return str(exception) if isinstance(exception, ValueError) else f"{type(exception).__name__}: {exception}"


def _full(exception: Exception) -> str | None:
    """What the system says of a full disk, if it was one; HDF5 tells the number in its text only."""
    if not isinstance(exception, OSError):
        return None
    told = [code for code in FULL if code == exception.errno or f"errno = {code}," in str(exception)]
    return os.strerror(told[0]) if told else None


def _lacked_memory(exception: BaseException) -> bool:
    """Whether memory ran out, of the machine or the GPU: torch says the one by a plain RuntimeError."""
    known = isinstance(exception, MemoryError) or type(exception).__name__ == "OutOfMemoryError"
    told = isinstance(exception, OSError) and exception.errno == errno.ENOMEM
    told |= isinstance(exception, RuntimeError) and "allocate memory" in str(exception)
    return known or told or (exception.__cause__ is not None and _lacked_memory(exception.__cause__))


def _first_line(exception: BaseException) -> str:
    return next(iter(str(exception).strip().splitlines()), type(exception).__name__)[:200]

"""What went wrong in a stage, as data: `words.failure` says it to people."""

from __future__ import annotations

import errno
import os
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def described(exception: Exception) -> dict[str, Any]:
    """What is known of an exception.

    Returns:
        {"type", "text", "for_people": whether its text is meant for them, "of_system": whether the system refused
        something, "strerror", "full": what the system says of a full disk, "forbidden": the file that is not for one
        to read or write, "in_the_way": the file that lies where another is to be, "memory": what was said when there
        was not enough}; None for what it was not.
    """
    system = isinstance(exception, OSError)
    in_the_way = isinstance(exception, IsADirectoryError | FileExistsError)
    return {
        "type": type(exception).__name__,
        "text": str(exception),
        # an error with a message for a person needs no traceback in the last lines; the log keeps it
        "for_people": isinstance(exception, ValueError),
        "of_system": system,
        "strerror": exception.strerror if system else None,
        "full": _full(exception),
        "forbidden": _path(exception.filename) if isinstance(exception, PermissionError) else None,
        "in_the_way": _path(exception.filename2 or exception.filename) if in_the_way else None,
        "memory": _first_line(exception) if _lacked_memory(exception) else None,
    }


def _path(path: Any) -> str | None:
    return None if path is None else os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)


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

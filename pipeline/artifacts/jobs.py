"""Which runs are in work in an artifacts folder, and what they need, so that nothing is deleted under them.

A run writes what it needs into `scratch/jobs/`, and holds a lock there that the kernel frees however the run ends.
What a run needed that did not finish is kept for a while, so that the same command can go on.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from videocap.pipeline.artifacts import events, publish
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.artifacts.shapes import is_places

UNFINISHED = 7 * 24 * 3600  # seconds for which unfinished work is kept

_held: dict[Path, IO] = {}  # this process's lock in each artifacts folder; forked workers inherit it


Places = Callable[[], dict[str, str | None]]
"""What a run needs, as far as it is known by now: {stage: place}; see `stages.graph.made_of`."""


def enter(artifacts: Artifacts, token: str, places: Places) -> None:
    """Register this process as a run of an experiment, until it ends or `leave`s.

    Args:
        token: the experiment's, a digest.
        places: what it needs.

    Raises OSError, with what to do, if nothing can be written there.
    """
    note = _note(artifacts, token)
    lock = note.parent / f"{events.PROCESS}.lock"
    if lock in _held and note.exists():
        return
    try:
        with exclusive(artifacts):
            lock.parent.mkdir(parents=True, exist_ok=True)
            if lock not in _held:
                _held[lock] = open(lock, "a+")  # NFS lets only who may read lock what is shared
                fcntl.flock(_held[lock], fcntl.LOCK_SH)  # shared: workers that were forked before may enter, too
            write(artifacts, token, places)
    except OSError as error:
        raise artifacts.refused(error) from error


def write(artifacts: Artifacts, token: str, places: Places) -> None:
    """Write down what the run needs, as far as it is known by now; for what is not, all of a stage is kept."""
    publish.replace_json(_note(artifacts, token), places())


def leave(artifacts: Artifacts, token: str) -> None:
    """The experiment is done: what it needs is told by its results now."""
    note = _note(artifacts, token)
    note.unlink(missing_ok=True)
    if not list(note.parent.glob(f"{events.PROCESS}+*.json")):
        lock = note.parent / f"{events.PROCESS}.lock"
        lock.unlink(missing_ok=True)
        _held.pop(lock, None)


def needs(artifacts: Artifacts) -> list[dict[str, str | None]]:
    """What each run needs that is in work, or ended unfinished not long ago; see `enter`."""
    found = []
    for note in sorted((artifacts.scratch / "jobs").glob("*.json")):
        places = publish.read_json(note)
        lock = note.with_name(f"{note.name.split('+')[0]}.lock")
        if _is_running(lock) or time.time() - note.stat().st_mtime < UNFINISHED:
            found.append(places if is_places(places) else {})
        else:
            note.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    return found


def _is_running(lock: Path) -> bool:
    try:
        with open(lock, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except FileNotFoundError:
        return False
    except OSError:  # somebody holds it, or it can't be told
        return True


def _note(artifacts: Artifacts, token: str) -> Path:
    return artifacts.scratch / "jobs" / f"{events.PROCESS}+{token[:16]}.json"


def exclusive(artifacts: Artifacts) -> AbstractContextManager[None]:
    """No run begins or shows its results while this is held."""
    return artifacts.lock("jobs")

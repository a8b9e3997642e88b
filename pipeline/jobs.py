"""Which runs are in work in an artifacts folder, and what they need, so that nothing is deleted under them.

A run registers in `scratch/jobs/` and holds a lock there, which the kernel frees however the run ends.
"""

from __future__ import annotations

import fcntl
from contextlib import AbstractContextManager
from typing import IO

from pipeline import publish, runlog
from pipeline.artifacts import Artifacts
from pipeline.experiment import Experiment

_held: list[IO] = []  # this process's lock; forked workers inherit it


def enter(experiment: Experiment) -> None:
    """Register this process as a run of the experiment until it ends."""
    with exclusive(experiment.artifacts):
        running(experiment.artifacts)
        folder = experiment.artifacts.scratch / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        _held.append(open(folder / f"{runlog.PROCESS}.lock", "w"))
        fcntl.flock(_held[-1], fcntl.LOCK_EX)
        note(experiment)


def note(experiment: Experiment) -> None:
    """Write down what the run needs, as far as it is known by now; for what is not, all of a stage is kept."""
    if _held:
        publish.replace_json(experiment.artifacts.scratch / "jobs" / f"{runlog.PROCESS}.json", experiment.made_of())


def running(artifacts: Artifacts) -> list[dict[str, str | None]]:
    """What each run that is in work needs, see `Experiment.made_of`; what dead ones left is removed."""
    found = []
    for lock in sorted((artifacts.scratch / "jobs").glob("*.lock")):
        needs = lock.with_suffix(".json")
        with open(lock, "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(publish.read_json(needs) or {})
                continue
            needs.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    return found


def exclusive(artifacts: Artifacts) -> AbstractContextManager[None]:
    """No run begins while this is held."""
    return artifacts.lock("jobs")

"""A run's events: one JSON line each, in the artifacts folder. They carry data; `words` says it to people."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from videocap.pipeline import words

LOG = logging.getLogger("videocap")
"""What a person is told while a run goes on; at level DEBUG only in the file (see `pipeline.run.terminal`)."""
# one name a process that schedules; forked workers inherit it
PROCESS = f"{time.strftime('%Y%m%d-%H%M%S')}-{platform.node()}-{os.getpid()}"


def write(artifacts: Path, event: str, stage: str, /, **data: Any) -> dict[str, Any]:
    """Append an event, and return it. One write, so that workers' lines don't mix.

    Events are
    - `start`: "reasons" (see `stages.reasons`), and of a pack "items", "plan", "number", of a gather "waits";
    - `ran`: "seconds", and of a pack how many "items" of how many "packs", and the seconds that are "left";
    - `warning`: a "warning", and the function that "tells" it if it is data;
    - `failed`: an "error" as `stages.failures` describes it.
    """
    place = log_path(artifacts)
    place.parent.mkdir(parents=True, exist_ok=True)
    whole = {"time": round(time.time(), 3), "pid": os.getpid(), "event": event, "stage": stage, **data}
    file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, json.dumps(whole).encode() + b"\n")
    finally:
        os.close(file)
    return whole


def write_failure(artifacts: Path, stage: str, error: dict[str, Any], /, **data: Any) -> None:
    """Append `failed`, with the traceback of the exception at hand, and say it at once: the end may be far."""
    about = {"error": error, "artifacts": str(artifacts), **data}
    with suppress(OSError):
        write(artifacts, "failed", stage, traceback=traceback.format_exc(), **about)
    LOG.error("failed: %s: %s", stage, words.failure(about))


def log_path(artifacts: Path) -> Path:
    return artifacts / "logs" / f"{PROCESS}.jsonl"


def read(artifacts: Path) -> list[dict]:
    """This run's events so far; a line that a kill or a full disk cut short is left out."""
    try:
        lines = log_path(artifacts).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    events = []
    for line in lines:
        with suppress(ValueError):
            events.append(json.loads(line))
    return events

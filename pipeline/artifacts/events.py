"""A run's events: one JSON line each, in the artifacts folder, and what the run prints when it ends."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOG = logging.getLogger("videocap")
"""What a person is told while a run goes on; at level DEBUG only in the file (see `pipeline.run.terminal`)."""
DIED = (
    "stopped in the middle; if nobody did that, its process may have run out of memory: try smaller batches or fewer "
    "--workers"
)
# one name a process that schedules; forked workers inherit it
PROCESS = f"{time.strftime('%Y%m%d-%H%M%S')}-{platform.node()}-{os.getpid()}"


def write(artifacts: Path, event: str, stage: str, **detail) -> None:
    """Append an event: `start`, `ran`, `failed` or `warning`. One write, so that workers' lines don't mix."""
    place = log_path(artifacts)
    place.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), "event": event, "stage": stage, **detail})
    file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, line.encode() + b"\n")
    finally:
        os.close(file)


def write_failure(artifacts: Path, stage: str, reason: str, **detail) -> None:
    """Append `failed`, with the traceback of the exception at hand, and say it at once: the end may be far."""
    with suppress(OSError):
        write(artifacts, "failed", stage, reason=reason, traceback=traceback.format_exc(), **detail)
    LOG.error("failed: %s: %s", stage, reason)


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


def summary(events: list[dict], stages: dict[str, bool], remarks: Iterable[str] = ()) -> list[str]:
    """One line a stage: ran, reused or failed, seconds, and why it ran; then remarks, warnings and failures.

    What failed is called by its experiment as well if several experiments ran.

    Args:
        events: of this run.
        stages: whether each stage is complete now.
    """
    lines = []
    several = len({event["experiment"] for event in events if "experiment" in event}) > 1
    for stage, complete in stages.items():
        mine = [event for event in events if event["stage"] == stage]
        ran = [event for event in mine if event["event"] == "ran"]
        if any(event["event"] == "failed" for event in mine):
            outcome = "failed"
        elif not complete and _died(mine):
            outcome = "not finished"
        elif ran:
            outcome = "ran"
        else:
            outcome = "reused" if complete else "not reached"
        times = f" {len(ran)} {'shards' if stage.endswith('Shard') else 'times'}," if len(ran) > 1 else ""
        seconds = f"{times} {sum(event['seconds'] for event in ran):.1f} s" if ran else ""
        why = next((event["why"] for event in mine if event.get("why")), "") if ran else ""
        lines.append(f"  {stage:<22} {outcome:<12}{seconds:<20}{why}".rstrip())
    lines += remarks
    for kind in ("warning", "failed"):
        told = [event for event in events if event["event"] == kind]
        lines += dict.fromkeys(f"{kind}: {_where(event, several)}: {event['reason']}" for event in told)
    told = {event.get("experiment") for event in events if event["event"] == "failed"}
    for stage, complete in stages.items():
        died = _died([event for event in events if event["stage"] == stage]) if not complete else []
        # a gather waits for packs, which may be shared: what failed there says why
        died = [event for event in died if not (event.get("waits") and told)]
        lines += [f"failed: {_where(e, several)}: {DIED}" for e in died if e.get("experiment") not in told]
    return lines


def _died(events: list[dict]) -> list[dict]:
    """The starts, of one stage, of which no end is told; one an experiment."""
    ended = Counter(event.get("experiment") for event in events if event["event"] in ("ran", "failed"))
    started = Counter(event.get("experiment") for event in events if event["event"] == "start")
    starts = {event.get("experiment"): event for event in events if event["event"] == "start"}
    return [event for experiment, event in starts.items() if started[experiment] > ended[experiment]]


def _where(event: dict, several: bool) -> str:
    """The stage, and its experiment if there are several: warnings of results that stay need none."""
    return f"{event['stage']} of {event['experiment']}" if several and "experiment" in event else event["stage"]

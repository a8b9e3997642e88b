"""What a run prints when it ends: a line a stage, what people are warned of, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from videocap.pipeline import words


def summary(events: list[dict], stages: dict[str, bool], code_changed: Iterable[str] = ()) -> list[str]:
    """One line a stage: ran, reused or failed, seconds, and why it ran; then whose code changed, warnings and failures.

    What failed is called by its experiment as well if several experiments ran.

    Args:
        events: of this run.
        stages: whether each stage is complete now.
        code_changed: lines on stages whose code is not that of their results.
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
        times = f" {len(ran)} {'shards' if 'packs' in ran[0] else 'times'}," if len(ran) > 1 else ""
        seconds = f"{times} {sum(event['seconds'] for event in ran):.1f} s" if ran else ""
        why = next((words.reasons(event["reasons"]) for event in mine if event.get("reasons")), "") if ran else ""
        lines.append(f"  {stage:<22} {outcome:<12}{seconds:<20}{why}".rstrip())
    lines += code_changed
    for kind in ("warning", "failed"):
        told = [event for event in events if event["event"] == kind]
        lines += dict.fromkeys(f"{kind}: {_where(event, several)}: {words.told(event)}" for event in told)
    told = {event.get("experiment") for event in events if event["event"] == "failed"}
    for stage, complete in stages.items():
        died = _died([event for event in events if event["stage"] == stage]) if not complete else []
        # a gather waits for packs, which may be shared: what failed there says why
        died = [event for event in died if not (event.get("waits") and told)]
        lines += [f"failed: {_where(e, several)}: {words.DIED}" for e in died if e.get("experiment") not in told]
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

"""How the pipeline says things to people: what is known is kept as data, and put into words here, when it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.filesize import decimal

from videocap.pipeline.functions import named

MOST_TOLD = 10  # of the items that failed, with their reasons
DIED = (
    "stopped in the middle; if nobody did that, its process may have run out of memory: try smaller batches or fewer "
    "--workers"
)


def printable(text: str) -> str:
    """A text that may be a stranger's, without what a terminal would obey."""
    return text if text.isprintable() else repr(text)[1:-1]


def duration(seconds: float) -> str:
    """A time, as precise as a person needs."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def amount(amount: Mapping[str, int], holds: tuple[str, str]) -> str:
    """What some items come to: "8 videos (160 rows, 81.9 kB)"."""
    return f"{amount['items']} {holds[0]} ({amount['rows']} {holds[1]}, {decimal(amount['bytes'])})"


# -- why a stage is stale, see stages/reasons.py


def reason(reason: Mapping[str, Any]) -> str:
    """A reason in a few words."""
    what, field, old, new = (reason[name] for name in ("what", "field", "old", "new"))
    if what == "config":
        return f"{field}: {old} → {new}"
    if what == "items" and "added" in reason:
        return f"{field}: {_some(reason, 'added', 'new')}, {_some(reason, 'gone', 'gone')}"
    if what == "items":
        return f"{new - old} of {new} items are not held"
    if what == "failures":
        return f"{new} items failed, more than are allowed"
    if what == "input":
        verb = "changed" if new else "is no longer read"
        return f"waits for {field.partition(':')[0]}" if new is None else f"{field} {verb}"
    if what == "source" and "unread" in reason:
        return f"{_some(reason, 'unread', 'files new, touched or moved')}: will be read"
    if what == "source":
        return f"{field} is {'new' if old is None else 'gone' if new is None else 'changed'}"
    return f"{what} changed" if what == field else f"{what} of {field} changed"


def _some(reason: Mapping[str, Any], list_of: str, what: str) -> str:
    """A count and the first names of one of its lists: "3 new (a, b, …)"."""
    names = reason[list_of]
    count = reason.get(f"{list_of}_count", len(names))
    shown = ", ".join(names[:3]) + (", …" if count > 3 else "")
    return f"{count} {what}" + (f" ({shown})" if names else "")


def reasons(reasons: Sequence[Mapping[str, Any]], most: int = 3) -> str:
    """The first few reasons, how many more there are, which stages' results changed, and which are waited for."""
    found = [reason(one) for one in reasons if one["what"] != "input"]
    parts = found[:most] + ([f"{len(found) - most} more"] if len(found) > most else [])
    inputs = [(one["field"].partition(":")[0], one["new"]) for one in reasons if one["what"] == "input"]
    changed = ", ".join(dict.fromkeys(stage for stage, new in inputs if new is not None))
    waits = ", ".join(dict.fromkeys(stage for stage, new in inputs if new is None))
    return "; ".join(parts + [f"{changed} changed"] * bool(changed) + [f"waits for {waits}"] * bool(waits))


# -- items that failed: {"id", "digest", "reason", "retry"}


def failed_item(failure: Mapping[str, Any]) -> str:
    """A failed item and its reason, on one line."""
    return printable(f"{failure['id']}: {failure['reason']}")


def failed_items(first: Sequence[Mapping[str, Any]], count: int, what: str, again: str) -> list[str]:
    """The first of the items that failed, each with its reason, then how many there are and what to do.

    Args:
        what: a person calls the items.
        again: the override by which they are tried once more.
    """
    if not count:
        return []
    cure = f"what is repaired is tried by itself, the rest again by --override {again}"
    rest = "; `videocap status --json` names them all" if count > MOST_TOLD else ""
    return [*map(failed_item, first[:MOST_TOLD]), f"{count} {what} failed and are left out{rest}; {cure}"]


def too_many_failed(
    first: Sequence[Mapping[str, Any]], count: int, of: int, what: str, again: str, limit: tuple[str, float] | None
) -> str:
    """That more items failed than are allowed; see `failed_items`. `limit` is the config field, and its value."""
    some = count < of and limit
    allows = f", more than {limit[0]} = {limit[1]} allows" if some else ""
    higher = f", or raise {limit[0]} (what is done is kept)" if some else ""
    such = "; ".join(map(failed_item, first[:3]))
    return (
        f"{count} of {of} {what} failed{allows}, such as {such}. Repair or remove them{higher}, "
        f"or try them again as they are by --override {again}"
    )


# -- events of a run, see artifacts/events.py


def progress(event: Mapping[str, Any]) -> str:
    """What of an event a person is told behind the name of its stage."""
    part = f" {event['number'] + 1} of {event['packs']}" if "number" in event else ""
    if event["event"] == "ran" and part:
        left = f", about {duration(event['left'])} left" if event["left"] >= 1 else ""
        return f"{part}: {event['items']} {event['holds']} in {event['seconds']:.1f} s{left}"
    if event["event"] == "ran":
        return f": done in {event['seconds']:.1f} s"
    words = reasons(event.get("reasons", ())) if event["event"] == "start" else told(event)
    return f"{part}: {words}" if words else part


def told(event: Mapping[str, Any]) -> str:
    """A warning or a failure in words."""
    if event["event"] == "failed":
        return failure(event)
    return named(event["tells"])(event["warning"]) if event.get("tells") else event["warning"]


def failure(event: Mapping[str, Any]) -> str:
    """Why a stage failed and what to do about it, from what `failures.described` says of its exception."""
    error, root = event["error"], event["artifacts"]
    text = error["text"] if error["for_people"] else f"{error['type']}: {error['text']}"
    if event.get("showing") and error["in_the_way"]:
        place = error["in_the_way"]
        return f"the results can't be shown: {place} is in the way, which no run made; move it away and run again"
    if event.get("showing") and error["of_system"]:
        return f"the results can't be shown ({error['text']}): see whether there is room, and who may write"
    if error["full"]:
        said = f"there is no room in {root} ({error['full']}): make some, or name another folder"
        return f"{said} by VIDEOCAP_ARTIFACTS or [pipeline] artifacts, and run again"
    if error["forbidden"]:
        said = f"{error['forbidden']} is not for you to read or write ({error['strerror']})"
        return f"{said}: see who owns it and its mode (ls -l), and run again"
    if error["memory"] is not None:
        sizes = [f"a smaller {key}" for key in event["batch_sizes"]]
        cure = ", ".join([*sizes, "fewer --workers", "or a machine with more"])
        return f"there is not enough memory ({error['memory']}): take {cure}"
    return text


def code_changed(stages: Sequence[str]) -> str:
    """That the code of some stages has changed since their results were made; nothing of none."""
    cure = "raise their `version` in tasks.py if the results are to change"
    return f"code changed since, not rerun: {', '.join(stages)} ({cure})" if stages else ""

"""Why a stage is stale: what differs between an earlier recipe and the present one, down to the config field."""

from __future__ import annotations

from typing import Any

Reason = dict[str, Any]
"""{"what": "config", "field": "train.lr", "old": …, "new": …}; `what` is one of

config    a field of the config
input     the result of another stage; new is None while that is not known, and "" if it is no longer read
source    a file outside; old and new are None while some are `unread`, and field is then "files"
failures  too many items failed
items     the items of which features are held, and of which they are wanted
code, version   of the stage
"""


UNREAD = ""  # an input that the new recipe does not have


def differences(old: dict, new: dict) -> list[Reason]:
    """What differs between two recipes; the second may be a draft, with None for what is not known yet."""
    found = []
    for what, label in (("config", "config"), ("inputs", "input"), ("outside", "source"), ("after", "version")):
        before, now = old.get(what, {}), new.get(what, {})
        if now is None:
            found.append({"what": label, "field": "files", "old": None, "new": None})
            continue
        for field in sorted(before.keys() | now.keys()):
            value = now.get(field, UNREAD if label == "input" else None)
            if before.get(field) != value or (label == "input" and value is None):
                found.append({"what": label, "field": field, "old": before.get(field), "new": value})
    for what in ("version", "code"):
        if old.get(what) != new.get(what):
            found.append({"what": what, "field": what, "old": old.get(what), "new": new.get(what)})
    return found


def waiting(draft: dict) -> list[Reason]:
    """The inputs that have no identity yet."""
    return [{"what": "input", "field": f, "old": None, "new": None} for f, v in draft["inputs"].items() if v is None]


def shortened(reasons: list[Reason], most: int = 10) -> list[Reason]:
    """The reasons with the first of long lists of names, and beside them how many there are: {"unread_count": 5000}."""
    found = []
    for reason in reasons:
        long = {name: value for name, value in reason.items() if isinstance(value, list) and len(value) > most}
        counts = {f"{name}_count": len(value) for name, value in long.items()}
        found.append(reason | {name: value[:most] for name, value in long.items()} | counts)
    return found

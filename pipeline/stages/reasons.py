"""Why a stage is stale: what differs between an earlier recipe and the present one, down to the config field."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Earlier:
    """An earlier result: its recipe, when it was made (seconds since 1970), and for which experiment."""

    recipe: dict
    created: float
    experiment: str

    @classmethod
    def of(cls, manifest: dict) -> Earlier:
        return cls(manifest["recipe"], manifest["created"], manifest["provenance"].get("experiment", "unknown"))


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


def nearest(earlier: list[Earlier], draft: dict) -> Earlier | None:
    """The earlier result whose recipe differs least from a draft; of equals the first."""
    return min(earlier, key=lambda one: len(differences(one.recipe, draft)), default=None)


def text(reason: Reason) -> str:
    """A reason in a few words."""
    what, field, old, new = (reason[name] for name in ("what", "field", "old", "new"))
    if what == "config":
        return f"{field}: {old} → {new}"
    if what == "items" and "added" in reason:
        return f"{field}: {_some(reason['added'], 'new')}, {_some(reason['gone'], 'gone')}"
    if what == "items":
        return f"{new - old} of {new} items are not held"
    if what == "failures":
        return f"{new} items failed, more than are allowed"
    if what == "input":
        verb = "is no longer read" if new == UNREAD else "changed"
        return f"waits for {field.partition(':')[0]}" if new is None else f"{field} {verb}"
    if what == "source" and "unread" in reason:
        return f"{_some(reason['unread'], 'files new, touched or moved')}: will be read"
    if what == "source":
        return f"{field} is {'new' if old is None else 'gone' if new is None else 'changed'}"
    return f"{what} changed" if what == field else f"{what} of {field} changed"


def _some(names: list[str], what: str) -> str:
    """A count and the first names: "3 new (a, b, …)"."""
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}" + (f" ({shown})" if names else "")


def sentence(reasons: list[Reason], most: int = 3) -> str:
    """The first few reasons, how many more there are, which stages' results changed, and which are waited for."""
    found = [text(reason) for reason in reasons if reason["what"] != "input"]
    parts = found[:most] + ([f"{len(found) - most} more"] if len(found) > most else [])
    inputs = [(reason["field"].partition(":")[0], reason["new"]) for reason in reasons if reason["what"] == "input"]
    changed = ", ".join(dict.fromkeys(stage for stage, new in inputs if new is not None))
    waits = ", ".join(dict.fromkeys(stage for stage, new in inputs if new is None))
    return "; ".join(parts + [f"{changed} changed"] * bool(changed) + [f"waits for {waits}"] * bool(waits))

"""What JSON must look like to be believed: manifests, recipes, records. A stranger's folder may hold anything.

Each says whether a value has a shape; what has not is as good as not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from videocap.pipeline.digests import canonical

LATEST = 1e11
"""Seconds since 1970 before which all was made: what is said to be newer would be the newest for ever."""
MOST_BRACKETS = 500  # in a recipe, and in what tells how something was made: no deeper do they nest


def is_recipe(value: object) -> bool:
    """Whether a value has the shape of a recipe (see `Recipe.draft`)."""
    parts = ("config", "inputs", "outside", "after")
    return isinstance(value, dict) and all(isinstance(value.get(part, {}), dict) for part in parts)


def is_made(value: object) -> bool:
    """Whether a value tells when and how something was made, as every manifest does."""
    if not isinstance(value, dict) or not isinstance(value.get("provenance"), dict):
        return False
    created, how = value.get("created"), value["provenance"]
    named = all(isinstance(how.get(name, ""), str | None) for name in ("code", "experiment"))
    return isinstance(created, int | float) and 0 <= created < LATEST and named


def is_places(value: object) -> bool:
    """Whether a value tells what something consists of, as `Experiment.made_of` does."""
    return isinstance(value, dict) and all(isinstance(place, str | None) for place in value.values())


def is_manifest(value: object) -> bool:
    """Whether a value says what a result's manifest must say, and names files in its own folder only."""
    return (
        is_made(value)
        and is_recipe(value.get("recipe"))
        and all(isinstance(value.get(name), str) for name in ("key", "content", "payload"))
        and re.fullmatch("[0-9a-f]{32}", value["payload"]) is not None
        and isinstance(value.get("files"), dict)
        and all(_is_file(name, file) for name, file in value["files"].items())
        and is_plain([value["recipe"], value["provenance"], *value["files"]])
    )


def _is_file(name: str, value: object) -> bool:
    inside = "\0" not in name and not {"", ".", ".."} & set(name.split("/"))
    return inside and is_payload(value)


def is_shard_manifest(value: object, name: str) -> bool:
    """Whether a file of this name says what a shard's manifest must say: nothing else is believed or deleted."""
    texts, lists = ("key", "spec", "payload", "content"), ("digests", "failures")
    return (
        is_made(value)
        and all(isinstance(value.get(name), str) for name in texts)
        and all(isinstance(value.get(name), list) for name in lists)
        and is_payload(value)
        and name == f"{value['key']}.json"
        and re.fullmatch("[0-9a-f]{64}", value["key"]) is not None
        and re.fullmatch(value["key"] + r"-[0-9a-f]{32}\.h5", value["payload"]) is not None
        and all(isinstance(digest, str) for digest in value["digests"])
        and value.get("items") in (None, len(value["digests"]))
        and _are_ids(value.get("ids"), len(value["digests"]))
        and all(_is_failure(failure) for failure in value["failures"])
        and is_plain(value["provenance"])
    )


def is_payload(value: object) -> bool:
    """Whether a value tells a file's size and sha256."""
    return (
        isinstance(value, dict)
        and _is_count(value.get("size"))
        and isinstance(value.get("sha256"), str)
        and re.fullmatch("[0-9a-f]{64}", value["sha256"]) is not None
    )


def is_plain(value: object) -> bool:
    """Whether a value from JSON can be shown, compared and digested: JSON may nest without end, and hold NaN."""
    try:
        text = canonical(value).encode()  # which half a surrogate pair can't be
    except (ValueError, RecursionError):
        return False
    return text.count(b"[") + text.count(b"{") <= MOST_BRACKETS


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _are_ids(value: object, count: int) -> bool:
    """Whether a value names that many items. The first manifests did not: their shards do."""
    named = isinstance(value, list) and len(value) == count and all(isinstance(name, str) for name in value)
    return value is None or named


def _is_failure(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("id", "digest", "reason"))
        and _is_count(value.get("retry"))
    )


def are_items(value: object) -> bool:
    """Whether a value is a list of [id, digest]."""
    return isinstance(value, list) and all(
        isinstance(item, list) and [type(text) for text in item] == [str, str] for item in value
    )


def is_id(value: object) -> bool:
    """Whether a value tells a folder's id."""
    return isinstance(value, dict) and isinstance(value.get("id"), str)


def is_file_record(value: object) -> bool:
    """Whether a value tells the sha256 of files outside: {name: {"stat", "sha256"}}."""
    return isinstance(value, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("stat"), list) and isinstance(entry.get("sha256"), str)
        for entry in value.values()
    )


def is_known(value: object, parts: Iterable[str]) -> bool:
    """Whether a value is what `Rows.known` remembers of a gather of these parts."""
    kinds = {"recorded": bool, "settled": bool, "codes": list, "failed": list, "failures": int, "again": str}
    kinds |= {"counted": dict, "identities": dict | None}
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        return False
    return (
        all(isinstance(value[name], kind) for name, kind in kinds.items())
        and all(isinstance(code, str) for code in value["codes"])
        and all(_is_failure(failure) for failure in value["failed"])
        and all(_is_count(count) for count in value["counted"].values())
        and (value["identities"] is None or set(parts) <= value["identities"].keys())
    )

"""Plans: which packs complete the features of some items, decided once for all; and what a gather last held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.shapes import are_items
from videocap.pipeline.digests import digest
from videocap.pipeline.stores.store import Item, Store

MOST_PACKS = 300  # Luigi's cost of pending tasks is quadratic


def plan(
    store: Store, items: Sequence[Item], retry: int, attempt: int, shard_size: int
) -> tuple[Path, list[list[Item]]]:
    """The packs that complete these items, and their file: decided once, by the first who asks, for all.

    Items that are settled need no pack; the others are sorted by digest and cut into packs of `shard_size`.
    """
    wanted = digest(sorted(source for _, source in items))
    place = store.folder / "plans" / f"{digest([wanted, retry, attempt])[:32]}.json"
    known = read_plan(place)
    if known is None:
        index = store.index()
        distinct = {source: name for name, source in reversed(items)}
        missing = sorted(source for source in distinct if not index.settled(source, retry))
        size = max(shard_size, math.ceil(len(missing) / MOST_PACKS))
        packs = [missing[start : start + size] for start in range(0, len(missing), size)]
        known = [[[distinct[source], source] for source in pack] for pack in packs]
        known = publish.publish_json(place, known, lambda _: read_plan(place) is not None)
    return place, [[(name, source) for name, source in pack] for pack in known]


def read_record(place: Path) -> dict[str, list[list[str]]]:
    """What a gather recorded: {part: [[id, digest], …]}; empty if that is not there or damaged."""
    record = publish.read_json(place)
    return record if isinstance(record, dict) and all(map(are_items, record.values())) else {}


def read_plan(place: Path) -> list[list[list[str]]] | None:
    """The packs of a plan, [[[id, digest], …], …]; None if it is not there or damaged."""
    plan = publish.read_json(place)
    return plan if isinstance(plan, list) and all(map(are_items, plan)) else None

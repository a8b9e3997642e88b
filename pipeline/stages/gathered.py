"""What a gather has: the rows of all items that are wanted, known by their items and not by their values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from videocap.pipeline import words
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.history import Earlier
from videocap.pipeline.stages.reasons import Reason, differences, waiting
from videocap.pipeline.stages.recipe import Recipe
from videocap.pipeline.stages.rows import Rows
from videocap.pipeline.stores.plans import read_record
from videocap.pipeline.stores.store import Store, stores_in


class GathersRows(Protocol):
    """What is asked here of a gather."""

    name: str
    artifacts: Artifacts
    recipe: Recipe
    rows: Rows
    spec: Any


class Gathered:
    """The rows of a gather, as a product: done when a run has gathered them."""

    def __init__(self, gather: GathersRows):
        self.gather, self.rows, self.store = gather, gather.rows, None

    @property
    def key(self) -> str | None:
        return self.rows.key

    @property
    def done(self) -> bool:
        known = self.rows.known()
        return known is not None and known["recorded"] and known["settled"]

    @property
    def place(self) -> str | None:
        return self.key and self.rows.record().relative_to(self.gather.artifacts.root).as_posix()

    @property
    def made(self) -> float | None:
        return self.gather.spec.product.made

    @property
    def size(self) -> int:
        return 0

    def identity(self, part: str = "") -> str | None:
        """Row identity: digest of the spec and the sorted (id, source digest) of the rows there are.

        If rows have gone since the gather recorded them, what it recorded: deleting features makes nothing stale.
        """
        known = self.rows.known()
        return known and known["identities"] and known["identities"][part]

    def value(self, part: str) -> dict[str, Path]:
        """The shard that holds each item of a part, by source digest; items that failed are left out.

        Raises ValueError if these are not the rows that the keys of what follows speak of.
        """
        store = self.gather.spec.store
        rows = store.index().rows
        if self.rows.identity_of(self.rows.held()[part]) != self.identity(part):
            raise ValueError(f"features have gone from {store.folder} meanwhile; run the same command again")
        return {source: rows[source] for _, source in self.rows.wanted()[part] if source in rows}

    def todo(self) -> bool | None:
        known = self.rows.known()
        return None if known is None else not known["settled"]

    def dropped(self) -> bool:
        return False

    def made_by(self) -> set[str | None]:
        """A gather only finds what packs have made."""
        return set()

    def manifest(self) -> None:
        """Shards have theirs."""

    def payload(self) -> None:
        """Its rows are in shards."""

    def nearest(self) -> Earlier | None:
        return self.gather.spec.product.nearest()

    def reasons(self) -> list[Reason]:
        """Those of its packs, and the inputs that it waits for."""
        rows, found = self.rows, self.gather.spec.product.reasons()
        if rows.ready() and not found and rows.settled() and rows.too_many(failed := rows.failures()):
            found = [{"what": "failures", "field": self.gather.name, "old": 0, "new": len(failed)}]
        return found + [reason for reason in waiting(self.gather.recipe.draft()) if reason not in found]

    def since(self, part: str, identity: str) -> list[Reason]:
        """What differs from the spec and the rows that had this identity; nothing if they are not on record."""
        spec = self.gather.spec
        for store in filter(None, map(Store.open, stores_in(self.gather.artifacts.root, spec.name))):
            for place in (store.folder / "gathers").glob("[!.]*.json"):
                before = read_record(place).get(part, [])
                if digest({"spec": store.spec_digest, "rows": before}) == identity:
                    return [*differences(store.spec, spec.recipe.draft()), *self._other_rows(part, before)]
        return []

    def _other_rows(self, part: str, before: list[list[str]]) -> list[Reason]:
        now = {tuple(item) for item in self.rows.held()[part]} if self.todo() is False else None
        if now is None or now == (old := set(map(tuple, before))):
            return []
        names = {"gone": sorted(name for name, _ in old - now), "added": sorted(name for name, _ in now - old)}
        return [{"what": "items", "field": f"{self.gather.name}:{part}", "old": len(old), "new": len(now), **names}]

    def warnings(self) -> Sequence[str]:
        known, spec = self.rows.known(), self.gather.spec
        if not known:
            return ()
        failed = words.failed_items(known["failed"], known["failures"], spec.holds[0], known["again"])
        counted = [(spec.warns[name], count) for name, count in known["counted"].items() if name in spec.warns]
        return failed + [text.format(count=count) for text, count in counted if count]

    def about(self) -> dict[str, Any]:
        """The items that failed; tables and manifests are read only if some did."""
        known = self.rows.known()
        return {"failures": self.rows.failures() if known and known["failures"] and self.rows.ready() else []}

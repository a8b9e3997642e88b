"""Spec: what decides the rows of items, declared as a stage is. Its recipe is the spec of a store.

Packs compute the rows of some items of a spec; a gather asks for all items that an experiment wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from videocap.pipeline.stages.declared import Declared
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.graph import Kind
from videocap.pipeline.stages.recipe import Recipe
from videocap.pipeline.stages.shards import Shards
from videocap.pipeline.stores.store import Item, Store, store_of


class Spec(Declared):
    """What decides the rows of items. A function that `makes` them is called for each pack.

    A spec may come `after` another one, whose shards it reads: that one then computes only items that have no rows
    here yet, and its shards can be dropped once they have.
    """

    after: ClassVar[type[Spec] | None] = None
    """The spec whose shards this one reads."""
    holds: ClassVar[tuple[str, str]] = ("items", "rows")
    retry_field: ClassVar[str | None] = None
    """The config field that holds the retry number, if items can fail."""
    keep_field: ClassVar[str | None] = None
    """The config field that says whether shards are kept once the spec behind has read them."""
    bulk: ClassVar[int] = 1
    """How many times `shard_size` items make a shard: more for small items."""
    warns: ClassVar[Mapping[str, str]] = {}
    """What a person is told of what `counted` counts: {"cut": "{count} captions were cut"}."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment

    @classmethod
    def draft(cls, experiment: Experiment) -> Self:
        """The spec; it has looked at nothing outside."""
        return cls(experiment)

    within = draft

    def largest(self) -> tuple[int, int]:
        """The most rows that an item has, and the most bytes of a row."""
        return 1, 0

    def certain(self) -> bool:
        """Whether most items are about as large as the largest may be."""
        return True

    def counted(self) -> dict[str, int]:
        """What there is to tell of the shards whenever they are used, see `warns`."""
        return {}

    @property
    def resources(self) -> dict[str, int]:
        """Luigi's resources that a pack holds while it runs."""
        return {}

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe(self, {"after": {self.after.__name__: self.after.version}} if self.after else {})

    @property
    def product(self) -> Shards:
        return Shards(self)

    @property
    def store(self) -> Store:
        """The store of the spec; one object as long as that stays, because it remembers manifests."""
        recipe = self.recipe.settled()
        if recipe is None:
            raise ValueError(f"{self.name}: an input has changed while this ran; run the same command again")
        if self._store is None or self._store.spec != recipe:
            self._store = store_of(self.artifacts.root, recipe)
        return self._store

    _store: Store | None = None

    @property
    def retry(self) -> int:
        return self.field(self.retry_field) if self.retry_field else 0

    @property
    def then(self) -> Spec | None:
        """The spec of the experiment that reads this one's shards."""
        kind = next((kind for kind in self.experiment.order if kind.after is type(self)), None)
        return kind and self.experiment.node(kind)

    @property
    def gather(self) -> Any:
        """The stage that asks for the items."""
        last = self.then
        if last is not None:
            return last.gather
        kind = next(kind for kind in self.experiment.order if type(self) in kind.specs)
        return self.experiment.node(kind)

    def upstream(self) -> list[Kind]:
        return super().upstream() + ([self.after] if self.after else [])

    def asked(self) -> Kind:
        return type(self.gather)

    def inputs(self) -> dict[str, Any]:
        """As a stage's; and what the spec before has, as `before`."""
        return super().inputs() | ({"before": self.after.of(self).store.index()} if self.after else {})

    def write(self, path: Path, key: str, items: list[Item], part: str) -> dict:
        """Call `makes`, which for a spec is `function(path, config, key, spec, items, part, **inputs)`."""
        shard = {"key": key, "spec": self.recipe.settled(), "items": items, "part": part}
        return self.function()(path, self.config, **shard, **self.inputs())

    def missing(self, items: list[Item]) -> list[Item]:
        """Of these, what no shard holds, here or in the store behind, and what has not failed at this retry number."""
        lacking = self.store.index().lacking(items, self.retry)
        return self.then.store.index().lacking(lacking, self.retry) if self.then else lacking

    def ahead(self) -> list[Item] | None:
        """All items that are still to be computed; None while that is not known."""
        gather = self.gather
        if self.recipe.key and (known := gather.rows.known()) and known["settled"]:
            return []
        wanted = gather.rows.items() if self.recipe.key else None
        if wanted is None:
            return None
        lacking = self.store.index().lacking(dict.fromkeys(wanted), self.retry)
        if lacking and self.then and self.then.recipe.key is None:
            return None
        return self.missing(lacking) if lacking else []

    def amount(self, items: list[Item]) -> dict[str, int]:
        """{"items", "rows", "bytes"} that these items come to, at most."""
        rows, row_bytes = self.largest()
        return {"items": len(items), "rows": len(items) * rows, "bytes": len(items) * rows * row_bytes}

    def drop_read(self) -> None:
        """Drop shards of the spec before that were made to be dropped, and all of whose items are done here."""
        if self.after and self.keep_field and not self.field(self.keep_field):
            rows = self.store.index().rows
            self.after.of(self).store.drop(
                lambda manifest: (
                    not manifest["provenance"]["how"].get(self.keep_field, True)
                    and all(source in rows for source in manifest["digests"])
                )
            )

"""What the packs of a spec have made: the shards of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.stages import history
from videocap.pipeline.stages.history import Earlier
from videocap.pipeline.stages.product import is_unread
from videocap.pipeline.stages.reasons import Reason, differences, waiting
from videocap.pipeline.stages.recipe import Recipe
from videocap.pipeline.stores.store import Item, Store, stores_in


class Specified(Protocol):
    """What is asked here of a spec."""

    artifacts: Artifacts
    recipe: Recipe
    retry: int
    gather: Any
    then: Any

    @property
    def store(self) -> Store: ...

    def ahead(self) -> list[Item] | None: ...

    def amount(self, items: list[Item]) -> dict[str, int]: ...


class Shards:
    """The shards of a spec, as a product: done when nothing that is wanted is ahead."""

    def __init__(self, spec: Specified):
        self.spec, self.recipe = spec, spec.recipe

    @property
    def key(self) -> str | None:
        return self.recipe.key

    @property
    def store(self) -> Store | None:
        return self.spec.store if self.key else None

    @property
    def done(self) -> bool:
        return self.todo() is False

    @property
    def place(self) -> str | None:
        return self.key and self.store.folder.relative_to(self.spec.artifacts.root).as_posix()

    @property
    def made(self) -> float | None:
        newest = self.store.newest() if self.key else None
        return newest and newest["created"]

    @property
    def size(self) -> int:
        return self.store.index().size if self.key else 0

    def identity(self, part: str = "") -> str | None:
        return self.key

    def value(self, part: str) -> Store:
        return self.spec.store

    def todo(self) -> bool | None:
        ahead = self.spec.ahead()
        return None if ahead is None else bool(ahead)

    def dropped(self) -> bool:
        items = self.spec.gather.rows.items() if self.key and self.spec.then else None
        return bool(items) and bool(self.store.index().lacking(items, self.spec.retry))

    def made_by(self) -> set[str | None]:
        known = self.spec.gather.rows.known() if self.key and not self.spec.then else None
        return set(known["codes"]) if known else self.store.index().codes if self.key else set()

    def manifest(self) -> None:
        """There are many."""

    def payload(self) -> None:
        """Shards are files of a store."""

    def nearest(self) -> Earlier | None:
        stores = map(Store.open, stores_in(self.spec.artifacts.root, self.recipe.name))
        found = [Earlier.of({"recipe": store.spec, **store.newest()}) for store in stores if store and store.newest()]
        return history.nearest(sorted(found, key=lambda one: one.created, reverse=True), self.recipe.draft())

    def reasons(self) -> list[Reason]:
        """What differs from the nearest earlier spec; if nothing does, how many items are held of those wanted."""
        draft, nearest, ahead = self.recipe.draft(), self.nearest(), self.spec.ahead()
        found = differences(nearest.recipe, draft) if nearest else waiting(draft)
        if found or ahead is None:
            found = found or waiting(self.spec.gather.recipe.draft())
            return [one | {"unread": self.recipe.unread()} if is_unread(one) else one for one in found]
        wanted = len(set(self.spec.gather.rows.items()))
        lack = {"what": "items", "field": self.recipe.name, "old": wanted - len(ahead), "new": wanted}
        return [lack] if ahead and self.store.newest() else []

    def since(self, part: str, identity: str) -> list[Reason]:
        return []

    def warnings(self) -> Sequence[str]:
        return ()

    def about(self) -> dict[str, Any]:
        return {"ahead": self.spec.amount(self.spec.ahead() or [])}

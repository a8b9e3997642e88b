"""What was made before, and why a stage's result is not that of now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from videocap.pipeline.stages.reasons import Reason, differences


@dataclass(frozen=True)
class Earlier:
    """An earlier result: its recipe, when it was made (seconds since 1970), and for which experiment."""

    recipe: dict
    created: float
    experiment: str

    @classmethod
    def of(cls, manifest: dict) -> Earlier:
        return cls(manifest["recipe"], manifest["created"], manifest["provenance"].get("experiment", "unknown"))


def nearest(earlier: Iterable[Earlier], draft: dict) -> Earlier | None:
    """The earlier result whose recipe differs least from a draft; of equals the first."""
    return min(earlier, key=lambda one: len(differences(one.recipe, draft)), default=None)


def since(earlier: Iterable[Earlier], draft: dict) -> list[Reason]:
    """What differs from the nearest of some earlier results; nothing if there is none."""
    found = nearest(earlier, draft)
    return differences(found.recipe, draft) if found else []

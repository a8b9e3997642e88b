"""The spec of features that were made elsewhere: they are there, or have gone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from videocap.pipeline.config import ConfigError
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stores.imported import newest, pairs
from videocap.pipeline.stores.store import Item


class ImportedSpec(Spec):
    """Base of the spec of imported features: they are there, or have gone."""

    def manifests(self) -> dict[str, Path]:
        """The files that tell of which items there are features. Raises ConfigError if there are none."""
        (name,) = self.recipe.values().values()
        if not (found := self.store.manifests()):
            raise ConfigError(f"no features are called {name!r} in {self.artifacts.root}: videocap store import")
        return {f"features/{file}": self.store.folder / file for file in found}

    def items_of(self, names: Iterable[str]) -> dict[str, str]:
        """Digest of each id's newest features, by manifests that `manifests()` named.

        Raises ValueError if newest features that they tell of have gone: what is made without them would be kept as
        made with them.
        """
        known, files = self.store.manifests(), self.store.names()
        told = {file: known.get(file) for file in (name.removeprefix("features/") for name in names)}
        wanted = newest(one for one in told.values() if one)
        held = {pair for one in told.values() if one and one["payload"] in files for pair in pairs(one)}
        for file, one in told.items():
            if one is None or any(wanted[name] == source and (name, source) not in held for name, source in pairs(one)):
                place = self.store.folder / file
                raise ValueError(f"features that {place} tells of have gone: import them again, or delete that file")
        return wanted

    def write(self, path: Path, key: str, items: list[Item], part: str) -> dict:
        raise ValueError(
            f"features of {len(items)} {self.holds[0]}, as {items[0][0]}, have gone from {self.store.folder}: "
            "import them again"
        )

"""Features made elsewhere: imported under a name, they are a store that nothing here can compute again."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.artifacts import Artifacts
from pipeline.config import ConfigError
from pipeline.pack import Pack
from pipeline.stage import versions
from pipeline.stores import Item, Store

FOREIGN = "ForeignShard"


def foreign_store(artifacts: Artifacts, name: str) -> Store:
    """The store of what is imported under a name. Its spec is what `ForeignShard` gives for that name."""
    return artifacts.store({"stage": FOREIGN, "version": 1, "config": {"data.features": name}, "inputs": {}})


def is_foreign(spec: dict) -> bool:
    """Whether a store of this spec holds imported features."""
    return spec.get("stage") == FOREIGN


class ForeignPack(Pack):
    """Base of the pack that stands for imported features: they are there, or have gone."""

    def manifests(self) -> dict[str, Path]:
        """The files that tell of which items there are features. Raises ConfigError if there are none."""
        (name,) = self.what().values()
        if not (found := self.store.manifests()):
            raise ConfigError(f"no features are called {name!r} in {self.artifacts.root}: videocap store import")
        return {f"features/{file}": self.store.folder / file for file in found}

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        raise ValueError(
            f"features of {len(items)} {self.holds[0]}, as {items[0][0]}, have gone from {self.store.folder}: "
            "import them again"
        )


def publish(
    store: Store,
    read: Iterable[tuple[str, str, Any]],
    write: Callable[[Path, str, dict, list[Item], list], dict],
    size: int,
    source: str,
) -> int:
    """Publish foreign items in shards of at most `size`; those that the store has are left out.

    Args:
        store: of `foreign_store`.
        read: (id, digest, rows) of the items.
        write: writes a shard, given path, key, spec, items and rows.
        source: what they were read from, for the record.

    Returns:
        how many items were new.
    """
    held, waiting, new = store.index().rows.keys(), [], 0
    how = {"how": {}, "host": platform.node(), "source": source, "versions": versions()}

    def flush() -> None:
        items, rows = [(name, digest) for name, digest, _ in waiting], [one for _, _, one in waiting]
        if items:
            store.publish_shard(items, 0, lambda path, key: write(path, key, store.spec, items, rows), how)
        waiting.clear()

    for name, digest, rows in read:
        if digest not in held:
            waiting.append((name, digest, rows))
            new += 1
        if len(waiting) == size:
            flush()
    flush()
    return new

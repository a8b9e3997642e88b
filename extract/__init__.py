"""Videos to features: corpus readers, frames, encoders and feature shards. Knows nothing of Luigi or keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from extract.shards.store import FeatureStore


def open_store(path: str | os.PathLike) -> FeatureStore:
    """Open a feature store's folder, or a single shard, for reading; see `FeatureStore`."""
    from extract.shards.store import FeatureStore  # who only reads a config needs no HDF5

    return FeatureStore(path)

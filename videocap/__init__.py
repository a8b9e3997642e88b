"""Video captioning on frozen CLIP features: from video files to scored captions, every stage cached and restartable.

What is public for programs is `VideoCaptioner` and `open_store`; the rest is the command line (`videocap --help`) and
the packages behind it: `videocap.pipeline`, `videocap.extract`, `videocap.model`, and `videocap.tasks` for Luigi.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from videocap.captioner import CaptionedVideo, VideoCaptioner
    from videocap.command_line import main
    from videocap.extract.shards.store import FeatureStore

__all__ = ["CaptionedVideo", "VideoCaptioner", "main", "open_store"]

_HOMES = {"CaptionedVideo": "captioner", "VideoCaptioner": "captioner", "main": "command_line"}


def __getattr__(name: str) -> Any:
    """Load what is public when it is asked for: who only imports this package waits for nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def open_store(path: str | os.PathLike) -> FeatureStore:
    """Open a feature store's folder, or a single shard, for reading: a mapping from id to rows, see `FeatureStore`."""
    from videocap.extract.shards.store import FeatureStore  # who reads no features needs no HDF5

    return FeatureStore(path)

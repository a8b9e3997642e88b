"""A captioner's folder by its name: here, or in a repository of a model hub."""

from __future__ import annotations

import os
import re
from pathlib import Path


def folder_of(source: str | os.PathLike, revision: str | None) -> Path:
    """The folder: here, or fetched from a hub, as its library does.

    Raises:
        ValueError: if there is none, or the library is not installed.
    """
    path = Path(source)
    if path.is_dir():
        return path
    name = os.fspath(source)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(f"there is no folder {name!r}, and a hub's repository is called org/name")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise ValueError(
            f"there is no folder {name!r}; if it is a repository of a hub, install clip4videocap[hub]"
        ) from error
    wanted = ["config.json", "*.safetensors", "vocabulary.json", "README.md"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"there is no folder {name!r}, and the hub has none either: {error}") from error

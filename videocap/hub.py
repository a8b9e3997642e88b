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
    name = os.fspath(source)
    if os.path.isdir(name):
        if revision:
            raise ValueError(f"{name} is a folder here, which has no revision {revision!r}")
        return Path(name)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", name):
        raise ValueError(f"there is no folder {name[:300]!r}, and a hub's repository is called org/name")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ValueError(
            f"there is no folder {name!r}; if it is a repository of a hub, install clip4videocap[hub]"
        ) from error
    wanted = ["config.json", "model.safetensors", "model-*.safetensors", "encoder.safetensors", "vocabulary.json"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*wanted, "README.md"]))
    except Exception as error:  # its library and those below it have errors of many kinds
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"there is no folder {name!r}, and the hub has none either: {said}") from error

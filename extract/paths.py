"""Paths in a config: they start from the folder of its file, and what they name must be there to be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo


def resolved(value: str | Path, info: ValidationInfo) -> Path:
    """Relative paths start from the folder of the config file, which the loader gives as context."""
    return (info.context or {}).get("folder", Path()) / Path(value).expanduser()


def _existing(value: str | Path | None, info: ValidationInfo) -> Path | None:
    if value is None or not isinstance(value, str | Path):
        return value
    return readable(resolved(value, info))


def readable(path: Path) -> Path:
    """The path. Raises ValueError unless something is there, and may be read."""
    if not os.path.exists(path):
        raise ValueError(f"there is no file or folder {path}")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise ValueError(f"{path} is not for you to read: see who owns it and its mode (ls -l)")
    return path


def _files(value: Any, info: ValidationInfo) -> Any:
    """One file or a list of them, each once."""
    if value is None:
        return ()
    files = [_existing(one, info) for one in (value if isinstance(value, list | tuple) else [value])]
    for file in files:
        if isinstance(file, Path) and file.is_dir():
            raise ValueError(f"{file} is a folder, not a file")
    return tuple(file for number, file in enumerate(files) if file not in files[:number])


def _as_given(files: tuple[Path, ...]) -> list[str] | str | None:
    """What `_files` makes the same of."""
    return [str(file) for file in files] if len(files) > 1 else str(files[0]) if files else None


ExistingPath = Annotated[Path, BeforeValidator(_existing)]
ExistingFiles = Annotated[tuple[Path, ...], BeforeValidator(_files), PlainSerializer(_as_given, when_used="json")]

"""A place that artifacts travel between: what every kind of it can do. Nothing is seen there before it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from videocap.pipeline.artifacts import publish

Buffer = bytes | memoryview
MOST_PARTS = 1 << 20
"""Lists and objects in a manifest: empty ones take twenty times the memory of their text."""


class Place(Protocol):
    """A folder of files, by paths from it."""

    mine: bool
    """Whether it is this process's own artifacts."""

    def create(self) -> None:
        """Make the folder itself. Raises ValueError if it can't be made where it is said to be."""

    def missing(self) -> str:
        """That there is no such place, if there is none."""

    def sizes(self, folder: str) -> dict[str, int | None]:
        """The files of a folder with their sizes, as far as these are known; negative for what is no file."""

    def folders(self, folder: str) -> list[str]:
        """The folders in a folder."""

    def open(self, path: str) -> BinaryIO:
        """A file for reading."""

    def write(self, path: str, pieces: Iterable[Buffer], check: Callable[[Path], None]) -> None:
        """Write a file, which is seen when it is whole and, on this machine, has been checked."""

    def publish(self, path: str, value: Any, usable: Callable[[Any], bool]) -> bool:
        """Write a JSON file unless a usable one is there; whether it was written."""

    def remove(self, path: str) -> None:
        """Delete a file."""

    def tidy(self, folder: str) -> None:
        """Delete what killed writers left there."""


def read_json(place: Place, path: str) -> Any:
    """A JSON file, such as a manifest. Raises ValueError for what is none, or too large for one."""
    with place.open(path) as file:
        data = file.read(publish.MOST_MANIFEST + 1)
    if len(data) > publish.MOST_MANIFEST:
        raise ValueError(f"it has more than {publish.MOST_MANIFEST} bytes")
    if data.count(b"[") + data.count(b"{") > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None

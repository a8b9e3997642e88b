"""The error that says what is wrong with a source, and its JSON files, which strangers wrote."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from videocap.extract.json_files import load_json


class CorpusError(ValueError):
    """The annotations or the videos can't be used: the message says which file and what to do."""


def load(path: Path) -> Any:
    """The JSON in a file; raises CorpusError that names the file."""
    try:
        return load_json(path)
    except ValueError as error:
        raise CorpusError(str(error)) from None


def load_once(path: Path) -> Any:
    """The JSON in a file; raises CorpusError, also where an object has a key twice, of which JSON keeps the last."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise CorpusError(f"{path}: has {twice!r} twice")
        return made

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique)
    except CorpusError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: can't be read as JSON: {error}") from None

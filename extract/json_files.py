"""JSON files that stages write and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def dump_json(path: Path, value: Any) -> None:
    """Write JSON, the same bytes for the same value."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """The JSON in a file; raises ValueError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: can't be read as JSON: {error}") from None

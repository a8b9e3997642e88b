"""Rows of a file of captions: CSV, JSON Lines, lines of text, or JSON that maps videos to captions."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from videocap.extract.corpus.source import CorpusError, load_once

ASPECTS = ("intention", "effect", "attribute")
COLUMNS = ("video", "caption", "split", *ASPECTS)
ID = object()  # the key of a sentence's id in a row: no column of a file is so called


def rows(path: Path) -> Iterator[tuple[str, dict]]:
    """Where each row stands, and the row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                comma = _separator(file.readline())
                file.seek(0)
                reader = csv.DictReader(file, strict=True, delimiter=comma)
                reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
                _check_columns(path, reader.fieldnames)
                for row in reader:
                    if None in row:
                        raise CorpusError(
                            f"{path}, line {reader.line_num}: more fields than columns: a text that holds a {comma!r} "
                            "must stand in double quotes"
                        )
                    yield f"{path}, line {reader.line_num}", row
            elif path.suffix.lower() == ".txt":
                lines = [(number, line.strip()) for number, line in enumerate(file, 1) if not line.startswith("#")]
                tabs = all("\t" in line for _, line in lines if line)
                for number, line in lines:
                    if line:
                        name, _, caption = line.partition("\t" if tabs else " ")
                        yield f"{path}, line {number}", {"video": name, "caption": caption}
            elif path.suffix.lower() == ".json" and not _is_lines(file.readline()):
                yield from _mapping_rows(path)
            else:
                file.seek(0)
                for number, line in enumerate(file, 1):
                    if line.strip():
                        row = _json_row(line, f"{path}, line {number}")
                        if not isinstance(row, dict):
                            raise CorpusError(f"{path}, line {number}: not a JSON object")
                        yield f"{path}, line {number}", row
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: is not in UTF-8 (byte {error.start}): save it so, in Excel as 'CSV UTF-8'"
        ) from None
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{path}: can't be read: {error}") from None


def _separator(header: str) -> str:
    """What stands between the columns of a CSV: a comma, or, where the header has none, what Excel writes elsewhere."""
    return next((mark for mark in ",;\t" if mark in header), ",")


def _json_row(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where}: not JSON: {getattr(error, 'msg', error)}") from None


def _check_columns(path: Path, names: Iterable[str]) -> None:
    names = list(names)
    for column in ("video", "caption"):
        if column not in names:
            raise CorpusError(f"{path}, line 1: no column `{column}` among {', '.join(names)}")
    if twice := [column for column in COLUMNS if names.count(column) > 1]:
        raise CorpusError(f"{path}, line 1: more than one column `{twice[0]}`")
    for column in names:
        near = difflib.get_close_matches(column.lower(), COLUMNS, n=1, cutoff=0.7)
        if column not in COLUMNS and near:
            raise CorpusError(f"{path}, line 1: unknown column `{column}`; did you mean `{near[0]}`?")


def _is_lines(first: str) -> bool:
    """Whether a file with this first line is JSON Lines, for all that it is called `.json`."""
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and isinstance(row.get("video"), str)


def _mapping_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """{video: [caption, …]} or {video: {sentence id: caption}}."""
    tree = load_once(path)
    if not isinstance(tree, dict):
        raise CorpusError(f"{path}: is neither {{video: [caption, …]}} nor {{video: {{sentence id: caption}}}}")
    if isinstance(tree.get("sentences"), list):
        raise CorpusError(f'{path}: is in MSR-VTT\'s layout: set data.kind = "msrvtt"')
    for name, captions in tree.items():
        if not isinstance(captions, list | dict):
            raise CorpusError(f"{path}: {name}: neither [caption, …] nor {{sentence id: caption}}")
        rows = captions.items() if isinstance(captions, dict) else ((None, caption) for caption in captions)
        yield f"{path}: {name}", {"video": name}  # it may have none
        for number, caption in rows:
            yield f"{path}: {name}", {"video": name, "caption": "" if caption is None else caption, ID: number}

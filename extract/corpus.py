"""Reads videos and captions of any source into one table: id, digest, split, captions, aspects. No paths in it."""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.config import DataConfig
from extract.table import CorpusError, Video, load_json, write
from extract.video_files import find_videos, match, match_features, odd_videos

ASPECTS = ("intention", "effect", "attribute")
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass
class _Entry:
    split: str | None = None
    captions: list[str] = field(default_factory=list)
    aspects: dict[str, list[str]] = field(default_factory=dict)


def source_files(data: DataConfig) -> dict[str, Path]:
    """The files that a corpus is made from, by name: the annotations, and `videos/…`."""
    files = {name: getattr(data, name) for name in ("annotations", "commonsense", "split")}
    files |= {f"videos/{name}": path for name, path in find_videos(data.videos).items()} if data.videos else {}
    return {name: path for name, path in files.items() if path is not None}


def make(
    folder: Path,
    config: Any,
    *,
    digests: Mapping[str, str],
    toyworld: Path | None = None,
    features: Mapping[str, str] | None = None,
) -> list[str]:
    """Read a source and write its table into `folder`; see `read` and `write`.

    Args:
        config: holder of the section data.
        digests: sha256 of the `source_files`.
        toyworld: folder of a rendered world, to be read instead.
        features: digests of imported features by id, which stand for videos.

    Returns:
        notes for a person on what was left out.
    """
    data = DataConfig(annotations=toyworld / "captions.jsonl") if toyworld else config.data
    files = {name.removeprefix("videos/"): digest for name, digest in digests.items() if name.startswith("videos/")}
    videos, notes = read(data, files if features is None else features)
    counts = {split: sum(video.split == split for video in videos) for split in ("train", "val", "test")}
    if not counts["train"]:
        raise CorpusError(
            f"{data.annotations}: there is nothing to learn from, no video is in the train split: {counts}"
        )
    notes += [f"there are no {split} videos: {counts}" for split in ("val", "test") if not counts[split]]
    write(videos, folder)
    odd = odd_videos(data.videos) if data.videos else []
    if odd:
        why = "no regular files or names, or links to a folder that they lie in"
        notes.append(f"{len(odd)} files left out, {why}: {_examples(odd)}")
    return notes


def read(data: DataConfig, digests: Mapping[str, str]) -> tuple[list[Video], list[str]]:
    """Read the annotations of a source.

    Args:
        data: section [data]; `kind` "toyworld" is read as "folder".
        digests: sha256 of every video file, by its path inside the folder of videos; or of features, by their id.

    Returns:
        the videos that have a file (or features) and a caption, sorted by id; and notes for a person on what was left
        out.

    Raises:
        CorpusError: annotations that can't be read, or no video left.
    """
    if data.annotations is None:
        raise CorpusError("data.annotations is not set: name the file of captions")
    entries = _read_msrvtt(data.annotations) if data.kind == "msrvtt" else _read_rows(data.annotations, digests)
    if data.commonsense:
        _add_commonsense(entries, data.commonsense)
    if data.split:
        _set_v2c_split(entries, data.split)
    files = (match_features if data.features else match)(entries, digests)
    lack = "no features" if data.features else "no file in the folder of videos"
    left_out = {
        lack: [name for name in entries if name not in files],
        "no caption": [name for name in files if not entries[name].captions],
    }
    notes = [f"{len(names)} videos left out, {why}: {_examples(names)}" for why, names in left_out.items() if names]
    unnamed = sorted(set(digests) - set(files.values()))
    if unnamed:
        what = "features" if data.features else "video files"
        notes.append(f"{len(unnamed)} {what} left out, not in {data.annotations.name}: {_examples(unnamed)}")
    videos = [
        Video(
            id=name,
            digest=digests[files[name]],
            split=entry.split or _draw_split(name),
            captions=tuple(entry.captions),
            aspects={aspect: tuple(texts) for aspect, texts in sorted(entry.aspects.items())},
        )
        for name, entry in sorted(entries.items())
        if name in files and entry.captions
    ]
    if not videos:
        raise CorpusError(f"{data.annotations}: none of its {len(entries)} videos is there; {'; '.join(notes)}")
    return videos, notes


def _examples(names: list[str]) -> str:
    shown = [name if name.isprintable() else repr(name) for name in names[:3]]
    return ", ".join(shown) + (" …" if len(names) > 3 else "")


def _clean(text: Any) -> str:
    """A caption on one line: control characters, halves of surrogate pairs and runs of blanks become one blank."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", " ", str(text)).split())


def _has_words(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _split(name: Any, where: str) -> str:
    try:
        return SPLITS[str(name).strip().lower()]
    except KeyError:
        raise CorpusError(f"{where}: split {name!r} is none of {', '.join(SPLITS)}") from None


def _draw_split(name: str) -> str:
    """80 % train, 10 % val, 10 % test, by the hash of the id: adding videos moves none."""
    draw = _draw(name, 10)
    return "val" if draw == 8 else "test" if draw == 9 else "train"


def _draw(name: str, of: int) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % of


def _read_msrvtt(path: Path) -> dict[str, _Entry]:
    """MSR-VTT's official layout: {"videos": [{video_id, split}], "sentences": [{video_id, caption}]}."""
    tree = load_json(path)
    try:
        entries = {v["video_id"]: _Entry(_split(v["split"], f"{path}: {v['video_id']}")) for v in tree["videos"]}
        sentences = [(sentence["video_id"], _clean(sentence["caption"] or "")) for sentence in tree["sentences"]]
    except (KeyError, TypeError) as error:
        raise CorpusError(f"{path}: not in MSR-VTT's layout, lacks {error}") from None
    for name, caption in sentences:
        if name in entries and _has_words(caption):
            entries[name].captions.append(caption)
    return entries


def load_references(path: Path, ids: Iterable[str]) -> dict[str, list[str]]:
    """Captions by video id, from {id: [caption, …]} or an MSR-VTT file; of the latter only the videos in `ids`."""
    tree = load_json(path)
    if isinstance(tree, dict) and "sentences" in tree:
        entries = _read_msrvtt(path)
        return {name: entries[name].captions for name in ids if name in entries}
    if not isinstance(tree, dict) or not all(isinstance(captions, list) for captions in tree.values()):
        raise CorpusError(f"{path}: is neither {{video_id: [caption, …]}} nor an MSR-VTT file")
    return tree


def _read_rows(path: Path, files: Container[str]) -> dict[str, _Entry]:
    """A CSV or JSON Lines file with `video`, `caption` and optionally `split` and aspects; a row a caption.

    Blanks around a video's name go, unless one of the `files` is so called.
    """
    entries: dict[str, _Entry] = {}
    for where, row in _rows(path):
        name = row.get("video")
        if not isinstance(name, str) or not name.strip():
            raise CorpusError(f"{where}: no `video`; the columns are video, caption, split, {', '.join(ASPECTS)}")
        for column in ("caption", "split", *ASPECTS):
            if not isinstance(row.get(column), str | None):
                raise CorpusError(f"{where}: `{column}` must be a text, it is {row[column]!r}")
        entry = entries.setdefault(name if name in files else name.strip(), _Entry())
        if row.get("split"):
            split = _split(row["split"], where)
            if entry.split not in (None, split):
                raise CorpusError(f"{where}: {name} is in split {split} here and in {entry.split} before")
            entry.split = split
        if _has_words(caption := _clean(row.get("caption") or "")):
            entry.captions.append(caption)
        for aspect in ASPECTS:
            text = _clean(row.get(aspect) or "")
            if text and text not in entry.aspects.setdefault(aspect, []):
                entry.aspects[aspect].append(text)
    for entry in entries.values():
        entry.aspects = {aspect: texts for aspect, texts in entry.aspects.items() if texts}
    return entries


def _rows(path: Path) -> Iterator[tuple[str, dict]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                names, known = reader.fieldnames or (), ("video", "caption", "split", *ASPECTS)
                for column in ("video", "caption"):
                    if column not in names:
                        raise CorpusError(f"{path}, line 1: no column `{column}` among {', '.join(names)}")
                for column in names:
                    near = difflib.get_close_matches(column.lower(), known, n=1, cutoff=0.7)
                    if column not in known and near:
                        raise CorpusError(f"{path}, line 1: unknown column `{column}`; did you mean `{near[0]}`?")
                for row in reader:
                    yield f"{path}, line {reader.line_num}", row
            else:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        row = json.loads(line)
                        if not isinstance(row, dict):
                            raise CorpusError(f"{path}, line {number}: not a JSON object")
                        yield f"{path}, line {number}", row
    except json.JSONDecodeError as error:
        raise CorpusError(f"{path}, line {number}: not JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: can't be read: {error}") from None


def _add_commonsense(entries: dict[str, _Entry], path: Path) -> None:
    """V2C's annotations: {video: [{"intention": [[raw, tokens], …], "effect": …, "attribute": …}, …]}."""
    tree = load_json(path)
    for name in entries.keys() & (tree.keys() if isinstance(tree, dict) else set()):
        for aspect in ASPECTS:
            texts = entries[name].aspects.setdefault(aspect, [])
            try:
                pairs = [pair for caption in tree[name] for pair in caption.get(aspect, ())]
                found = [_clean(pair[0]) for pair in pairs if isinstance(pair, list) and isinstance(pair[0], str)]
            except (AttributeError, IndexError, TypeError):
                found, pairs = [], [None]
            if len(found) < len(pairs):
                raise CorpusError(f"{path}: {name}: {aspect} is not in V2C's layout, [[text, [token, …]], …]")
            texts += [text for text in dict.fromkeys(found) if text and text not in texts]
    for entry in entries.values():
        entry.aspects = {aspect: texts for aspect, texts in entry.aspects.items() if texts}


def _set_v2c_split(entries: dict[str, _Entry], path: Path) -> None:
    """V2C's `v2c_info.json`: {"videos": {"train": [3, …], "val": […], "test": […]}}; other videos are left out."""
    try:
        splits = {
            f"video{number}": _split(s, str(path)) for s, ids in load_json(path)["videos"].items() for number in ids
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: not in the layout of v2c_info.json, lacks {error}") from None
    if "val" not in splits.values():  # as published; a seeded part of train, as many as MSR-VTT's own 497 of 7,010
        for name, split in splits.items():
            if split == "train" and _draw(name, 1000) < 71:
                splits[name] = "val"
    for name in list(entries):
        if name in splits:
            entries[name].split = splits[name]
        else:
            del entries[name]

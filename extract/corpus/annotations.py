"""Reads files of annotations, in any of the layouts there are: of each video its split, captions and aspects."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.rows import ASPECTS, COLUMNS, ID, rows
from videocap.extract.corpus.source import CorpusError, load
from videocap.extract.corpus.splits import split_of

_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Sentence(NamedTuple):
    """A caption, and what its file calls it (`sen_id`), if it does."""

    id: str | None
    text: str


@dataclass
class Entry:
    """What the annotations say of a video; `where` they say its split, and whether they list it or only caption it."""

    split: str | None = None
    where: str = ""
    listed: bool = False
    sentences: list[Sentence] = field(default_factory=list)
    aspects: dict[str, list[str]] = field(default_factory=dict)

    @property
    def captions(self) -> tuple[str, ...]:
        return tuple(sentence.text for sentence in self.sentences)

    def say_split(self, name: str, split: str | None, where: str) -> None:
        """Note a split. Raises CorpusError if it was another before."""
        if None not in (split, self.split) and split != self.split:
            raise CorpusError(f"{where}: {name} is in split {split} here and in {self.split} before ({self.where})")
        if split and not self.split:
            self.split, self.where = split, where

    def say_caption(self, name: str, text: str, number: Any, left_out: LeftOut) -> None:
        """Note a caption, unless it is empty: without any letter or digit."""
        text = clean(text)
        if any(letter.isalnum() for letter in text):
            self.sentences.append(Sentence(None if number is None else str(number), text))
        else:
            left_out.add("empty_captions", name)

    def say_aspects(self, aspects: dict[str, list[str]]) -> None:
        """Note commonsense texts, each once."""
        for aspect, texts in aspects.items():
            mine = self.aspects.setdefault(aspect, [])
            mine += [text for text in texts if text not in mine]


def clean(text: str) -> str:
    """A text on one line: control characters, halves of surrogate pairs and runs of blanks become one blank."""
    return " ".join(_ODD.sub(" ", text).split())


def read(paths: Iterable[Path], kind: str, files: Container[str] = ()) -> tuple[dict[str, Entry], LeftOut]:
    """Read files of annotations into one; in which order they are named does not matter.

    The same sentence in two files counts once: the same `sen_id` and text of a video, or the same text where one of
    the files has no `sen_id`.

    Args:
        kind: as `data.kind`: `msrvtt` for MSR-VTT's official layout; any other for CSV, JSON Lines, {video: captions}
            as `.json`, or a `.txt` of a line a caption, which is how MSVD's come.
        files: names of videos that are not to be changed, where else blanks around a name go.

    Returns:
        what is said of each video that is listed, and what was left out or decided.

    Raises:
        CorpusError: a file that can't be read or is in another layout, or a video in two splits.
    """
    left_out, entries = LeftOut(), {}
    for path in _by_content(paths):
        more = READERS[kind](path, files, left_out)
        for name, entry in more.items():
            _check_ids(name, entry, left_out)
            _merge(name, entries.setdefault(name, entry), entry, left_out)
    for name in [name for name, entry in entries.items() if not entry.listed]:
        left_out.add("captions_of_unlisted_videos", name, len(entries[name].sentences))
        del entries[name]
    return entries, left_out


def _by_content(paths: Iterable[Path]) -> list[Path]:
    """Files in an order that neither their names nor their places decide."""
    paths = list(paths)
    try:
        return paths if len(paths) < 2 else sorted(paths, key=lambda path: hashlib.sha256(path.read_bytes()).digest())
    except OSError as error:
        raise CorpusError(f"{error.filename}: can't be read: {error}") from None


def _check_ids(name: str, entry: Entry, left_out: LeftOut) -> None:
    """Of a video's sentences in one file those of one id and text are one; of one id and other texts, all are kept."""
    with_id = [sentence for sentence in entry.sentences if sentence.id is not None]
    ids = len({sentence.id for sentence in with_id})
    if ids == len(with_id):
        return
    once = dict.fromkeys(with_id)
    left_out.add("captions_given_again", name, len(with_id) - len(once))
    left_out.add("captions_with_shared_ids", name, len(once) - ids)
    entry.sentences = [s for s in entry.sentences if s.id is None or once.pop(s, s) is None]  # the first of equals


def _merge(name: str, entry: Entry, other: Entry, left_out: LeftOut) -> None:
    """Add what another file says of a video to its entry."""
    if entry is other:
        return
    if entry.listed and other.listed:
        left_out.add("videos_repeated", name)
    entry.say_split(name, other.split, other.where)
    entry.listed |= other.listed
    entry.say_aspects(other.aspects)
    if not (entry.sentences and other.sentences):
        entry.sentences = entry.sentences or other.sentences
        return
    known = set(entry.sentences)
    all_texts = Counter(entry.captions)  # one of these is what a caption without an id may repeat
    without_id = Counter(sentence.text for sentence in entry.sentences if sentence.id is None)
    for sentence in other.sentences:
        texts = all_texts if sentence.id is None else without_id
        if sentence.id is not None and sentence in known:
            left_out.add("captions_given_again", name)
        elif texts[sentence.text] > 0:
            texts[sentence.text] -= 1
            left_out.add("captions_given_again", name)
        else:
            entry.sentences.append(sentence)
    if all(sentence.id is not None for sentence in entry.sentences):  # as they would stand in one file
        entry.sentences.sort(key=lambda sentence: (len(sentence.id), sentence.id))


def _read_msrvtt(path: Path, files: Container[str], left_out: LeftOut) -> dict[str, Entry]:
    """MSR-VTT's official layout: {"videos": [{video_id, split}], "sentences": [{video_id, sen_id, caption}]}.

    A file without sentences or splits (2017's for its test videos) says no more than which videos there are.
    """
    tree, entries = load(path), {}
    try:
        for number, video in enumerate(tree["videos"]):
            name = _text(video["video_id"], f"{path}: videos[{number}]: video_id")
            if name in entries:
                left_out.add("videos_repeated", name)
            entry = entries.setdefault(name, Entry(listed=True))
            where = f"{path}: videos[{number}]"
            entry.say_split(name, split_of(video["split"], f"{where}: {name}") if video.get("split") else None, where)
        for number, sentence in enumerate(tree.get("sentences", ())):
            name = _text(sentence["video_id"], f"{path}: sentences[{number}]: video_id")
            text = _text(sentence["caption"] or "", f"{path}: sentences[{number}]: caption")
            entries.setdefault(name, Entry()).say_caption(name, text, sentence.get("sen_id"), left_out)
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: not in MSR-VTT's layout, lacks {error}") from None
    return entries


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise CorpusError(f"{where} must be a text, it is {value!r}")
    return value


def _read_rows(path: Path, files: Container[str], left_out: LeftOut) -> dict[str, Entry]:
    """Rows with `video`, `caption` and optionally `split` and aspects; a row a caption."""
    entries: dict[str, Entry] = {}
    for where, row in rows(path):
        name = row.get("video")
        if not isinstance(name, str) or not name.strip():
            raise CorpusError(f"{where}: no `video`; the columns are {', '.join(COLUMNS)}")
        for column in COLUMNS[1:]:
            if not isinstance(row.get(column), str | None):
                raise CorpusError(f"{where}: `{column}` must be a text, it is {row[column]!r}")
        name = name if name in files else name.strip()
        entry = entries.setdefault(name, Entry(listed=True))
        if row.get("split"):
            entry.say_split(name, split_of(row["split"], where), where)
        aspects = {aspect: [text] for aspect in ASPECTS if (text := clean(row.get(aspect) or ""))}
        entry.say_aspects(aspects)
        if row.get("caption") or (not aspects and row.get("caption") is not None):  # a row may have aspects only
            entry.say_caption(name, row["caption"], row.get(ID), left_out)
    return entries


READERS = {"msrvtt": _read_msrvtt, "folder": _read_rows, "toyworld": _read_rows}
"""Of each kind of dataset, who reads a file of it: (path, names of videos, what is left out) to {id: Entry}."""

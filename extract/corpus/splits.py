"""Which split a video is in: the words for splits, lists of ids in files, and draws by the hash of the id."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.source import CorpusError, load

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


class HasSplit(Protocol):
    """What is given a split."""

    split: str | None


def split_of(word: Any, where: str) -> str:
    """The split that a word means. Raises CorpusError that says where it stands."""
    try:
        return SPLITS[str(word).strip().lower()]
    except KeyError:
        raise CorpusError(f"{where}: split {word!r} is none of {', '.join(SPLITS)}") from None


def draw_split(name: str) -> str:
    """80 % train, 10 % val, 10 % test, by the hash of the id: adding videos moves none."""
    draw = _draw(name, 10)
    return "val" if draw == 8 else "test" if draw == 9 else "train"


def draw(entries: Mapping[str, HasSplit], names: Collection[str]) -> None:
    """Draw the splits of these videos. Where chance leaves one of ten or more empty, a tenth is taken for it."""
    for name in names:
        entries[name].split = draw_split(name)
    for split in ("test", "val", "train") if len(names) >= 10 else ():
        if all(entry.split != split for entry in entries.values()):
            most, _ = Counter(entries[name].split for name in sorted(names)).most_common(1)[0]
            givers = [name for name in names if entries[name].split == most]
            for name in sorted(givers, key=lambda name: (_draw(name, 1 << 32), name))[-(len(names) // 10) :]:
                entries[name].split = split


def assign(entries: Mapping[str, HasSplit], paths: Iterable[Path], left_out: LeftOut) -> set[str]:
    """Give videos the splits of lists, in place of those they have.

    A list is V2C's `v2c_info.json`, a CSV with a column `video_id` (MSR-VTT's own lists, or the 1k-A list
    `MSRVTT_JSFUSION_test.csv`), or a text file of an id a line (MSVD's). Of a CSV only the ids are used: the sentence
    that the 1k-A list has of each video is one of its captions, and all of these stay references.

    Returns:
        the videos to be left out, because lists with a train split do not have them. Without such a list (1k-A alone),
        what is in none is for training.

    Raises:
        CorpusError: a list that can't be read or has no split in its name, an id in two lists, or no id that is known.
    """
    paths = list(paths)
    listed = _read(paths, left_out)
    unknown = listed.keys() - entries.keys()
    for name in unknown:
        left_out.add("listed_ids_not_annotated", name)
    if len(unknown) == len(listed):
        where, some = ", ".join(map(str, paths)), ", ".join(sorted(listed)[:3]) or "none"
        raise CorpusError(f"{where}: the annotations have no video of the {len(listed)} listed: {some}")
    unlisted = entries.keys() - listed.keys() if "train" in listed.values() else set()
    for name in unlisted:
        left_out.add("videos_in_no_list", name)
    for name, entry in entries.items():
        entry.split = listed.get(name, "train")
    return unlisted


def carve(entries: Mapping[str, HasSplit]) -> None:
    """Without videos for validation, take a seeded part of train: as many as MSR-VTT's own 497 of 7,010."""
    if all(entry.split != "val" for entry in entries.values()):
        for name, entry in entries.items():
            if entry.split == "train" and _draw(name, 1000) < 71:
                entry.split = "val"


def _draw(name: str, of: int) -> int:
    return int(hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8], 16) % of


def _read(paths: Iterable[Path], left_out: LeftOut) -> dict[str, str]:
    """The split of each listed id."""
    listed: dict[str, tuple[str, Path]] = {}
    for path in paths:
        ids = _v2c_ids(path) if path.suffix.lower() == ".json" else _ids(path)
        for name, split in ids:
            before = listed.get(name, (split, path))
            if before != (split, path):
                raise CorpusError(f"{path}: {name} is listed for {split} here and for {before[0]} in {before[1]}")
            if name in listed:
                left_out.add("ids_listed_again", name)
            listed[name] = before
    return {name: split for name, (split, _) in listed.items()}


def _v2c_ids(path: Path) -> Iterator[tuple[str, str]]:
    """V2C's `v2c_info.json`: {"videos": {"train": [3, …], "val": […], "test": […]}}; 3 is `video3`."""
    try:
        for word, numbers in load(path)["videos"].items():
            split = split_of(word, str(path))
            if not isinstance(numbers, list) or not all(re.fullmatch(r"(video)?\d+", str(one)) for one in numbers):
                raise CorpusError(f"{path}: {word}: is not a list of numbers of videos, as v2c_info.json has them")
            yield from ((f"video{str(number).removeprefix('video')}", split) for number in numbers)
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: not in the layout of v2c_info.json, lacks {error}") from None


def _ids(path: Path) -> Iterator[tuple[str, str]]:
    """A list of one split, which its name tells: a CSV with a column `video_id`, or a text file of an id a line."""
    words = {SPLITS[word] for word in re.findall(r"[a-z]+", path.stem.lower()) if word in SPLITS}
    if len(words) != 1:
        tells = f"tells {' and '.join(sorted(words))}" if words else "does not tell the split"
        raise CorpusError(f"{path}: the name of a list {tells}; it must have one of train, val, test, as `train_list`")
    split = words.pop()
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file, strict=True)
                if "video_id" not in (reader.fieldnames or ()):
                    has = ", ".join(reader.fieldnames or ())
                    raise CorpusError(f"{path}, line 1: no column `video_id` among {has}")
                names = [row["video_id"] or "" for row in reader]
            else:
                names = file.read().splitlines()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: can't be read: {error}") from None
    yield from ((name.strip(), split) for name in names if name.strip())

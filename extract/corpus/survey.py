"""Looks through a folder for what an experiment needs: videos, their captions, and lists that tell the split."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from videocap.extract import words
from videocap.extract.corpus import annotations as annotation_files
from videocap.extract.corpus import splits
from videocap.extract.corpus.annotations import Entry
from videocap.extract.corpus.commonsense import add_commonsense
from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.rows import ASPECTS
from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.video_files import VIDEO_SUFFIXES, find_videos, match

DATA_SUFFIXES = (".csv", ".jsonl", ".json", ".txt")
SHEETS = (".ods", ".tsv", ".xls", ".xlsx")  # tables that are not read
SPLITS = ("train", "val", "test")
DEEPEST, MOST_NAMES, MOST_FILES, MOST_ROOTS = 8, 200_000, 100, 8
_LATER_LINE = re.compile(r", line (?!1\b)\d|\[\d+\]: |can't be read")  # of a file whose start was what it should be


@dataclass
class Survey:
    """What was found, in the words of section [data], and what a person is told of it."""

    videos: Path | None = None
    files: int = 0
    kind: str = ""
    annotations: tuple[Path, ...] = ()
    split: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()  # as could be the split, though the annotations give one
    commonsense: Path | None = None
    drawn: bool = False
    """Whether splits are drawn, for lack of any said."""
    kept: dict[str, Counter] = field(default_factory=lambda: {split: Counter() for split in SPLITS})
    """Of each split the videos with a file and captions, their captions, and of each aspect the videos that have it."""
    warnings: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def total(self, what: str) -> int:
        """How many there are in all splits."""
        return sum(count[what] for count in self.kept.values())


@dataclass
class _Annotated:
    """Captions of a file, or of several read as one, and the files of one of the folders that they fit."""

    paths: tuple[Path, ...]
    kind: str
    entries: dict[str, Entry]
    left_out: LeftOut
    root: Path | None = None
    matched: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def fit(self, roots: Mapping[Path, Collection[str]]) -> _Annotated:
        """Choose the folder that has files of the most captioned videos; of equal ones the first."""
        for root, names in roots.items():
            try:
                matched = match(self.entries, names)
            except CorpusError as error:
                self.error = self.error or f"{self.paths[0]}: {error}"
                continue
            matched = {name: file for name, file in matched.items() if self.entries[name].captions}
            if len(matched) > len(self.matched):
                self.root, self.matched = root, matched
        return self

    def rank(self) -> tuple:
        """The best first: it has captions of the most videos, of the fewest others, and the most of them."""
        captions = [len(entry.sentences) for entry in self.entries.values() if entry.sentences]
        return -len(self.matched), len(captions), -sum(captions), self.paths


def survey(folder: Path, skip: Iterable[Path] = ()) -> Survey:
    """Look for videos and data files in a folder and those below it. Nothing is hashed or decoded.

    Args:
        skip: folders that are not looked into; nor are hidden ones, virtual environments, or those more than 8 deep.

    Raises:
        CorpusError: more files than a folder of one dataset has.
    """
    below, paths = _walk(folder, skip)
    if not below:
        known = ", ".join(VIDEO_SUFFIXES)
        return Survey(missing=[f"no videos: put them into {folder}, or a folder in it; known are {known}"])
    places = sorted(below, key=lambda place: (-below[place], -len(place.parts), place))[:MOST_ROOTS]
    roots = {place: find_videos(place) for place in places}  # the first is the deepest that has all videos
    fits, errors = [], {}
    for path in paths:
        try:
            fits.append(_read(path, set().union(*roots.values())).fit(roots))
        except CorpusError as error:
            errors[path] = str(error)
    fits.sort(key=_Annotated.rank)
    if not fits or not fits[0].matched:
        return _without_captions(folder, places[0], sorted(roots[places[0]]), fits, errors)
    about = Survey()
    best = _joined(fits, roots, about)
    about.videos, about.kind, about.annotations = best.root, best.kind, best.paths
    about.commonsense = _commonsense(best, errors) if best.kind == "msrvtt" else None
    _split(best, list(errors), about)
    _count(best, roots[best.root], about)
    others = len(roots[places[0]]) - about.files  # fewer than none where captions name paths from a folder further up
    if others > 0:
        why = f" ({best.error})" if best.error else ""
        about.warnings.append(f"{others} videos in other folders than {best.root} are left out{why}")
    for path, error in errors.items():
        if path not in {*about.lists, about.commonsense} and path.suffix.lower() != ".txt":
            mistake = _LATER_LINE.search(error) and about.files > about.total("videos")
            (about.missing if mistake else about.passed_over).append(error)
    return about


def _walk(folder: Path, skip: Iterable[Path]) -> tuple[Counter, list[Path]]:
    """How many videos lie in and below each folder, and the files that may be data."""
    seen = {_identity(place) for place in skip if place.is_dir()}
    below, files, names = Counter(), [], 0
    for place, folders, here in os.walk(folder, followlinks=True):
        place = Path(place)
        if _identity(place) in seen or "pyvenv.cfg" in here:
            folders.clear()
            continue
        seen.add(_identity(place))
        deep = len(place.relative_to(folder).parts) >= DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if _is_plain(name))
        names += len(here) + len(folders)
        if names > MOST_NAMES:
            raise CorpusError(f"{folder}: holds more than {MOST_NAMES:,} files: name the folder of one dataset")
        suffixes = {name: os.path.splitext(name)[1].lower() for name in sorted(here) if _is_plain(name)}
        videos = sum(suffix in VIDEO_SUFFIXES for suffix in suffixes.values())
        for around in (place, *place.parents)[: len(place.relative_to(folder).parts) + 1] if videos else ():
            below[around] += videos
        files += [place / name for name, suffix in suffixes.items() if suffix in DATA_SUFFIXES + SHEETS]
    return below, [path for path in files if path.is_file()][:MOST_FILES]


def _identity(place: Path) -> tuple[int, int]:
    about = place.stat()
    return about.st_dev, about.st_ino


def _is_plain(name: str) -> bool:
    """Whether a name is not hidden, and text that a config can hold."""
    return not name.startswith(".") and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _read(path: Path, names: Collection[str]) -> _Annotated:
    """The captions in a file, whichever layout it is in. Raises CorpusError: it is in none, or has none."""
    if path.suffix.lower() in SHEETS:
        raise CorpusError(f"{path}: is not read: save it as CSV, with commas and in UTF-8")
    as_msrvtt = None
    if path.suffix.lower() == ".json":
        try:
            return _Annotated((path,), "msrvtt", *annotation_files.read([path], "msrvtt"))
        except CorpusError as error:
            as_msrvtt = error
    try:
        entries, left_out = annotation_files.read([path], "folder", names)
    except CorpusError as error:
        raise (as_msrvtt if 'kind = "msrvtt"' in str(error) else error) from None
    if not any(entry.captions for entry in entries.values()):
        raise CorpusError(f"{path}: has no captions")
    return _Annotated((path,), "folder", entries, left_out)


def _without_captions(folder: Path, place: Path, names: list[str], fits: list[_Annotated], errors: dict) -> Survey:
    """What is to be done where no file has captions of these videos."""
    about = Survey(place, len(names))
    about.missing = [error for path, error in errors.items() if path.suffix.lower() != ".txt"]
    for one in (one for one in fits if one.paths[0].suffix.lower() != ".txt"):
        unfit = f"{one.paths[0]}: none of its {len(one.entries)} videos, such as {min(one.entries)}, is in {place}"
        cure = f"write a file's path in that folder, as {names[0]}, or its name without the suffix"
        about.missing.append(one.error or f"{unfit}: {cure}")
    rows = [(f'"{name}"' if "," in name else name) for name in (names[0], names[-1])]
    example = f"  video,caption\n  {rows[0]},a man cuts an onion\n  {rows[1]},two dogs run over a meadow"
    start = "no captions: mend these files, or write" if about.missing else "no captions: write"
    about.missing.append(f"{start} {folder / 'captions.csv'}, a row a caption, such as\n{example}")
    return about


def _joined(fits: list[_Annotated], roots: Mapping[Path, Collection[str]], about: Survey) -> _Annotated:
    """The best of some files, together with others of MSR-VTT's if these know more videos; the rest is passed over."""
    best, taken = fits[0], [fits[0]]
    for one in fits[1:]:
        more = len(one.matched.keys() - set().union(*(other.matched for other in taken)))
        if more and best.kind == one.kind == "msrvtt":
            taken.append(one)
        elif one.matched or one.paths[0].suffix.lower() != ".txt":
            hint = f", {more} of them with none in the others: data.annotations may be a list" if more else ""
            about.passed_over.append(f"{one.paths[0]}: has captions of {len(one.matched)} of these videos{hint}")
    if len(taken) == 1:
        return best
    paths = tuple(sorted(path for one in taken for path in one.paths))
    try:
        return _Annotated(paths, "msrvtt", *annotation_files.read(paths, "msrvtt")).fit(roots)
    except CorpusError as error:
        about.missing.append(str(error))
        return best


def _commonsense(best: _Annotated, paths: Iterable[Path]) -> Path | None:
    """Add the aspects of V2C's file, if there is one."""
    for path in paths:
        trial = {name: Entry() for name in best.entries}
        try:
            add_commonsense(trial, path, LeftOut())
        except CorpusError:
            continue
        if any(entry.aspects for entry in trial.values()):
            add_commonsense(best.entries, path, best.left_out)
            return path
    return None


def _split(best: _Annotated, paths: Iterable[Path], about: Survey) -> None:
    """Give each video a split as the corpus will: the annotations', else that of lists, else one drawn."""
    captioned = {name: entry for name, entry in best.entries.items() if entry.captions}
    about.lists = _lists(paths, best.entries)
    said = [entry.split is not None for entry in captioned.values()]
    if about.lists and not (all(said) if best.kind == "msrvtt" else any(said)):
        try:
            unlisted = splits.assign(best.entries, about.lists, best.left_out)
            splits.carve(best.entries)
            best.matched = {name: file for name, file in best.matched.items() if name not in unlisted}
            about.split = about.lists
        except CorpusError as error:
            about.missing.append(str(error))
    without = [name for name, entry in captioned.items() if entry.split is None]
    if without and best.kind == "msrvtt":
        some = f"{len(without)} videos with captions have no split, such as {min(without)}"
        about.missing.append(f"{some}: get lists of ids, as MSRVTT_train.csv, and name them in data.split")
        best.matched = {name: file for name, file in best.matched.items() if name not in without}
    elif without:
        about.drawn = len(without) == len(captioned)
        splits.draw(captioned, without)
        for name in without if not about.drawn else ():
            best.left_out.add("videos_given_a_split", name)


def _lists(paths: Iterable[Path], names: Iterable[str]) -> tuple[Path, ...]:
    """Of lists of ids those that say the most of these videos: one of all splits, or the longest of each."""
    whole, parts = (0, None), {}
    for path in paths:
        trial = {name: Entry() for name in (*names, "")}  # "" is in no list: it is left out if that is for training
        try:
            unlisted = splits.assign(trial, [path], LeftOut())
        except CorpusError:
            continue
        told = Counter(entry.split for name, entry in trial.items() if name not in unlisted)
        if "" not in unlisted:
            del told["train"]
        if len(told) > 1:
            whole = max(whole, (told.total(), path), key=lambda one: one[0])
        for split, number in told.items() if len(told) == 1 else ():
            parts[split] = max(parts.get(split, (0, path)), (number, path), key=lambda one: one[0])
    if whole[0] > sum(number for number, _ in parts.values()):
        return (whole[1],)
    return tuple(parts[split][1] for split in SPLITS if split in parts)


def _count(best: _Annotated, files: Collection[str], about: Survey) -> None:
    """Count what is kept, warn of what is not, and say which split is missing."""
    about.files = len(files)
    for name in best.matched:
        entry = best.entries[name]
        about.kept[entry.split].update(videos=1, captions=len(entry.sentences))
        about.kept[entry.split].update(aspect for aspect in ASPECTS if entry.aspects.get(aspect))
    for name in set(files) - set(best.matched.values()):
        best.left_out.add("videos_found_uncaptioned_or_unlisted" if about.split else "videos_found_uncaptioned", name)
    for name, entry in best.entries.items():
        if entry.captions and name not in best.matched:
            best.left_out.add("captions_of_unusable_videos", name, len(entry.sentences))
    about.warnings += map(words.warning, best.left_out.rows())
    cure = "" if best.kind == "msrvtt" else "give captions a column `split` (train, val, test), or "
    why = " (splits are drawn 80/10/10 by the videos' names, and chance left this one empty)" if about.drawn else ""
    for split in ("train", "test"):
        if not about.kept[split]["videos"]:
            about.missing.append(f"no {split} videos{why}: {cure}name lists of ids in data.split")
    if about.kept["val"]["videos"] < 2:
        about.warnings.append(
            f"{about.kept['val']['videos']} val videos are too few: the last epoch's weights will be kept"
        )

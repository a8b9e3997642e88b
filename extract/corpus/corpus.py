"""Makes the table of a source: its videos that have a file and a caption, and a report of what there was. No paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videocap.extract import words
from videocap.extract.config import DataConfig
from videocap.extract.corpus import annotations as annotation_files
from videocap.extract.corpus import splits as split_lists
from videocap.extract.corpus.annotations import Entry
from videocap.extract.corpus.commonsense import add_commonsense
from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.rows import ASPECTS
from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.table import Video, write
from videocap.extract.corpus.video_files import find_videos, match, match_features, odd_videos
from videocap.extract.json_files import dump_json

SPLITS = ("train", "val", "test")
MSRVTT_VIDEOS = 9000  # annotations of as many are MSR-VTT as a whole, not a part of it
MSRVTT_CAPTIONS = 20  # of each video
MSRVTT_SPLITS = {
    (6513, 497, 2990): "official",
    (7010, 0, 2990): "V2C's file",
    (9000, 0, 1000): "1k-A",
    (6513, 497, 1000): "1k-A",
    (7010, 0, 1000): "1k-A",
}

Counts = dict[str, dict[str, int]]
"""{split: {"videos": …, "captions": …, and for each aspect the videos that have it}}."""


@dataclass
class Report:
    """What there was, what was kept, what was left out, and what is unusual."""

    annotated: Counts
    kept: Counts
    left_out: LeftOut
    unusual: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `words.warning`."""

    def warnings(self) -> list[dict[str, Any]]:
        """What a person is to be told, see `words.warning`."""
        return self.left_out.rows() + self.unusual

    def write(self, path: Path) -> None:
        """Write it as JSON, the same bytes for the same source."""
        counts = {"annotated": self.annotated, "kept": self.kept}
        dump_json(path, counts | {"left_out": self.left_out.rows(), "remarks": self.unusual})


def source_files(data: DataConfig) -> dict[str, Path]:
    """The files that a corpus is made from, by name: the annotations, and `videos/…`.

    One file of annotations is called `annotations` whatever its own name; of several, and of lists, whose names tell
    the split, the names are in the key.
    """
    files = {"commonsense": data.commonsense} if data.commonsense else {}
    files |= _named("annotations", data.annotations, len(data.annotations) > 1)
    by_name = len(data.split) > 1 or any(path.suffix.lower() != ".json" for path in data.split)
    files |= _named("split", data.split, by_name)
    files |= {f"videos/{name}": path for name, path in find_videos(data.videos).items()} if data.videos else {}
    return files


def _named(field: str, paths: Iterable[Path], by_name: bool) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (path.name, path)):  # however they are listed
        name, number = f"{field}/{path.name}" if by_name else field, 2
        while name in files:  # of another folder
            name, number = f"{field}/{path.name}#{number}", number + 1
        files[name] = path
    return files


def make(
    folder: Path,
    config: Any,
    *,
    digests: Mapping[str, str],
    toyworld: Path | None = None,
    features: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Read a source and write its table into `folder`, and beside it `counts.json`; see `read`, `table.write`.

    Args:
        config: holder of the section data.
        digests: sha256 of the `source_files`.
        toyworld: folder of a rendered world, to be read instead.
        features: digests of imported features by id, which stand for videos.

    Returns:
        warnings, see `words.warning`.
    """
    data = DataConfig(annotations=toyworld / "captions.jsonl") if toyworld else config.data
    files = {name.removeprefix("videos/"): digest for name, digest in digests.items() if name.startswith("videos/")}
    videos, report = read(data, files if features is None else features)
    counts = {split: report.kept[split]["videos"] for split in SPLITS}
    if not counts["train"]:
        raise CorpusError(
            f"{_names(data)}: there is nothing to learn from, no video is in the train split: {counts}. Give more "
            "videos captions, or say `train` in a column `split` or by a list in data.split"
        )
    empty = [split for split in ("val", "test") if not counts[split]]
    report.unusual += [{"unusual": "no videos", "split": split, "counts": counts} for split in empty]
    for name in odd_videos(data.videos) if data.videos else []:
        report.left_out.add("files_not_regular", name)
    write(videos, folder)
    report.write(folder / "counts.json")
    return report.warnings()


def read(data: DataConfig, digests: Mapping[str, str]) -> tuple[list[Video], Report]:
    """Read the annotations of a source.

    Args:
        data: section [data]; `kind` "toyworld" is read as "folder".
        digests: sha256 of every video file, by its path inside the folder of videos; or of features, by their id.

    Returns:
        the videos that have a file (or features) and a caption, sorted by id; and the report. Annotated, in it, are
        the videos that are in a split, with captions that are not empty, each once.

    Raises:
        CorpusError: annotations that can't be read, or no video left.
    """
    if not data.annotations:
        raise CorpusError("data.annotations is not set: name the file of captions")
    entries, left_out = annotation_files.read(data.annotations, data.kind, digests)
    if data.commonsense:
        add_commonsense(entries, data.commonsense, left_out)
    unlisted = split_lists.assign(entries, data.split, left_out) if data.split else set()
    _complete_splits(data, entries)
    unusual = _unusual_counts(entries, unlisted) if data.kind == "msrvtt" else []
    if data.split:
        split_lists.carve(entries)
    files = (match_features if data.features else match)(entries, digests)
    for name, entry in entries.items():
        if name not in unlisted and not entry.captions:
            left_out.add("videos_no_caption", name)
        elif name not in unlisted and name not in files:
            left_out.add("videos_no_features" if data.features else "videos_no_file", name)
    for name in set(digests) - set(files.values()):
        left_out.add("features_not_annotated" if data.features else "video_files_not_annotated", name)
    listed = {name: entry for name, entry in sorted(entries.items()) if entry.split and name not in unlisted}
    kept = {name: entry for name, entry in listed.items() if name in files and entry.captions}
    report = Report(_count(listed.values()), _count(kept.values()), left_out, unusual)
    if not kept:
        place = f"in {data.videos}: see data.videos" if data.videos else "there"
        told = "; ".join(map(words.warning, report.warnings()))
        raise CorpusError(f"{_names(data)}: none of its {len(entries)} videos is {place}; {told}")
    videos = [
        Video(
            id=name,
            digest=digests[files[name]],
            split=entry.split,
            captions=entry.captions,
            aspects={aspect: tuple(texts) for aspect, texts in sorted(entry.aspects.items()) if texts},
        )
        for name, entry in kept.items()
    ]
    return videos, report


def _names(data: DataConfig) -> str:
    return ", ".join(map(str, data.annotations))


def _complete_splits(data: DataConfig, entries: Mapping[str, Entry]) -> None:
    """Draw the splits that annotations do not give; MSR-VTT's are not to be drawn."""
    without = [name for name, entry in sorted(entries.items()) if entry.split is None]
    if data.kind != "msrvtt":
        captioned = {name: entry for name, entry in entries.items() if entry.captions}
        split_lists.draw(captioned, [name for name in without if name in captioned])
        split_lists.draw(entries, [name for name in without if name not in captioned])
    elif captioned := [name for name in without if entries[name].captions]:
        raise CorpusError(
            f"{_names(data)}: {len(captioned)} videos with captions have no split, such as {captioned[0]}: name lists "
            "of ids in data.split"
        )


def _count(entries: Iterable[Entry]) -> Counts:
    counts = {split: dict.fromkeys(("videos", "captions", *ASPECTS), 0) for split in SPLITS}
    for entry in entries:
        count = counts[entry.split]
        count["videos"] += 1
        count["captions"] += len(entry.sentences)
        for aspect in ASPECTS:
            count[aspect] += bool(entry.aspects.get(aspect))
    return counts


def _unusual_counts(entries: Mapping[str, Entry], unlisted: set[str]) -> list[dict[str, Any]]:
    """Warnings, if these are MSR-VTT's videos in other splits, or with other numbers of captions, than are in use."""
    captioned = {name for name, entry in entries.items() if entry.captions}
    splits = Counter(entries[name].split for name in captioned - unlisted)
    counts = tuple(splits[split] for split in SPLITS)
    warnings = []
    if len(captioned) < MSRVTT_VIDEOS:
        return warnings
    if counts not in MSRVTT_SPLITS:
        warnings.append({"unusual": "splits", "counts": counts, "usual": list(MSRVTT_SPLITS.items())})
    odd = sorted(name for name in captioned if len(entries[name].sentences) != MSRVTT_CAPTIONS)
    if odd:
        examples = [(name, len(entries[name].sentences)) for name in odd[:3]]
        warnings.append({"unusual": "captions", "count": len(odd), "usual": MSRVTT_CAPTIONS, "examples": examples})
    return warnings

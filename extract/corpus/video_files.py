"""The video files of a folder, and which of them the ids of annotations mean."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from videocap.extract.corpus.source import CorpusError

VIDEO_SUFFIXES = (
    ".3gp",
    ".avi",
    ".flv",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".ts",
    ".webm",
    ".wmv",
)
STILL_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
"""Of pictures, which are videos of one frame."""


def find_videos(folder: Path, suffixes: Sequence[str] = VIDEO_SUFFIXES) -> dict[str, Path]:
    """All video files below a folder, by their path inside it (with `/`); see `odd_videos` for what is left out."""
    return {name: path for name, path in _video_files(folder, suffixes) if not _is_odd(name, path)}


def odd_videos(folder: Path, suffixes: Sequence[str] = VIDEO_SUFFIXES) -> list[str]:
    """What is left out: broken links, links back to a folder that they lie in, no regular file, no Unicode name."""
    found = _video_files(folder, suffixes)
    return [os.fsencode(name).decode(errors="replace") for name, path in found if _is_odd(name, path)]


def files_of(path: Path) -> Iterator[tuple[Path, str | None]]:
    """The videos and pictures that a path means, each with what is wrong with it if that is plain already."""
    suffixes = (*VIDEO_SUFFIXES, *STILL_SUFFIXES)
    if not os.path.isdir(path):  # which pathlib's raises for what it may not look at
        yield path, None
        return
    found = find_videos(path, suffixes)
    for name in sorted(found):
        yield found[name], None
    for name in odd_videos(path, suffixes):
        yield path / name, "is a link that leads nowhere, no regular file, or has a name that is no Unicode"
    if not found:
        yield path, "is a folder without videos"


def _video_files(folder: Path, suffixes: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """What has a video's name; and links back to a folder that they lie in, which are not followed."""
    real = folder.resolve()
    for place, folders, names in os.walk(folder, followlinks=True):
        circles = _circles(real / Path(place).relative_to(folder), folders) if folders else []
        folders[:] = sorted(set(folders) - set(circles))
        videos = [n for n in names if os.path.splitext(n)[1].lower() in suffixes and not n.startswith(".")]
        for name in sorted(circles + videos):
            path = Path(place, name)
            yield path.relative_to(folder).as_posix(), path


def _circles(place: Path, names: list[str]) -> list[str]:
    """Those of the folders in a place that are the place itself or one around it: by links, a walk would not end."""
    around = [os.stat(path) for path in (place, *place.parents)]
    inside = {name: os.stat(os.path.join(place, name)) for name in names}
    return [name for name, stat in inside.items() if any(os.path.samestat(stat, other) for other in around)]


def _is_odd(name: str, path: Path) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return not path.is_file()


def match(ids: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """Which file each id means: the one of that path, else the only one of that name without its suffix.

    Ids without a file are left out. Raises CorpusError if two files could be meant.
    """
    files = list(files)
    exact, stems = set(files), {}
    for file in files:
        stems.setdefault(PurePosixPath(file).stem, []).append(file)
        stems.setdefault(str(PurePosixPath(file).with_suffix("")), []).append(file)
    matched = {}
    for name in ids:
        candidates = {name} if name in exact else set(stems.get(name, ()))
        if len(candidates) > 1:
            raise CorpusError(f"video {name!r} could be any of {', '.join(sorted(candidates))}: write its path")
        if candidates:
            matched[name] = candidates.pop()
    return _each_once(matched)


def match_features(ids: Iterable[str], features: Container[str]) -> dict[str, str]:
    """Which features each id means: those of that id, else those of its name without the suffix; see `match`."""
    matched = {}
    for name in ids:
        stem, suffix = os.path.splitext(name)
        called = name if name in features or suffix.lower() not in VIDEO_SUFFIXES else stem
        if called in features:
            matched[name] = called
    return _each_once(matched)


def _each_once(matched: dict[str, str]) -> dict[str, str]:
    """What two ids may not mean the same of. Raises CorpusError if they do."""
    owners: dict[str, str] = {}
    for name, file in matched.items():
        if owners.setdefault(file, name) != name:
            raise CorpusError(f"videos {owners[file]!r} and {name!r} are the same file {file}: name it in one way")
    return matched


def locate(ids: Iterable[str], folder: Path) -> dict[str, Path]:
    """The file of each id in a folder of videos; ids without one are left out."""
    files = find_videos(folder)
    return {name: files[file] for name, file in match(ids, files).items()}

"""`videocap caption`: the captions of a person's own videos, by a trained captioner."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from videocap.captioned import ALONE, SUBTITLES, TOGETHER, CaptionedVideo
from videocap.captioner import VideoCaptioner
from videocap.pipeline.words import printable


def caption(chosen: argparse.Namespace) -> int:
    """Write captions down; what can't be captioned is named at the end, and the rest goes on."""
    form = "json" if chosen.json else chosen.format
    videos = [line for line in sys.stdin.read().splitlines() if line] if chosen.videos == ["-"] else chosen.videos
    if form in SUBTITLES and chosen.output is None and (len(videos) != 1 or os.path.isdir(videos[0])):
        raise ValueError(f"--format {form} is a file a video: name a folder for several (--output FOLDER)")
    captioner = chosen_captioner(chosen)
    asked = {name: getattr(chosen, name) for name in ("beam", "temperature", "top_p", "seed")}
    changes = {name: value for name, value in asked.items() if value is not None}
    captioner.write_by(**changes, **({"method": "sample"} if chosen.sample else {}))
    found = _written(chosen, form, captioner, videos)
    bad = [one for one in found if one.error]
    for one in bad:
        print(printable(f"{one.video}: {one.error}"), file=sys.stderr)
    return 1 if bad else 0


def chosen_captioner(chosen: argparse.Namespace) -> VideoCaptioner:
    """The captioner that the options name: a folder's, or that of a config's experiment."""

    def warn(text: str) -> None:
        print(f"warning: {printable(text)}", file=sys.stderr)

    if chosen.model is None:
        return VideoCaptioner(chosen.config, chosen.override, warn)
    options = {"revision": chosen.revision, "device": chosen.device, "encoder": chosen.encoder}
    return VideoCaptioner.from_pretrained(chosen.model, **options, warn=warn)


def _written(
    chosen: argparse.Namespace, form: str, captioner: VideoCaptioner, videos: list[str]
) -> list[CaptionedVideo]:
    """All that came, when it is written down: as it comes, if the format allows."""
    stream = captioner.stream(videos, chosen.every, chosen.nbest)
    found: list[CaptionedVideo] = []
    output = chosen.output
    if output is not None and form not in SUBTITLES:
        output.parent.mkdir(parents=True, exist_ok=True)
    if form in ALONE:
        file = sys.stdout if output is None else output.open("w", encoding="utf-8")
        for one in _with_pictures(captioner, stream, chosen.frames):
            found.append(one)
            if one.error is None or form == "jsonl":
                file.write(ALONE[form](one))
                file.flush()
        if output is not None:
            file.close()
        return found
    found = list(_with_pictures(captioner, stream, chosen.frames))
    good = [one for one in found if one.error is None]
    if form in SUBTITLES:
        _subtitles(good, form, output)
    else:
        whole = TOGETHER[form](found if form == "json" else good)
        sys.stdout.write(whole) if output is None else output.write_text(whole, encoding="utf-8")
    return found


def _subtitles(good: list[CaptionedVideo], form: str, output: Path | None) -> None:
    """Write the cues of each video into a file, called as the video is."""
    of: dict[str, list[CaptionedVideo]] = {}
    for one in good:
        of.setdefault(one.video, []).append(one)
    if output is None or output.suffix == f".{form}":
        text = SUBTITLES[form](good)
        sys.stdout.write(text) if output is None else output.write_text(text, encoding="utf-8")
        return
    output.mkdir(parents=True, exist_ok=True)
    for (_, cues), place in zip(of.items(), _places(list(of), output, form), strict=True):
        place.write_text(SUBTITLES[form](cues), encoding="utf-8")


def _with_pictures(
    captioner: VideoCaptioner, found: Iterable[CaptionedVideo], folder: Path | None
) -> Iterator[CaptionedVideo]:
    """The same, each captioned video with a picture in the folder, called as the video is."""
    places: dict[str, Path] = {}
    for one in found:
        if folder is not None and one.error is None and one.video not in places:
            folder.mkdir(parents=True, exist_ok=True)
            if picture := captioner.picture(one.video):
                taken = set(places.values())
                places[one.video] = next(place for place in _called(one.video, folder, "jpg") if place not in taken)
                places[one.video].write_bytes(picture)
        yield replace(one, frames=str(places[one.video])) if one.video in places else one


def _places(videos: list[str], folder: Path, suffix: str) -> list[Path]:
    """A file for each video, no two the same."""
    places: list[Path] = []
    for video in videos:
        places.append(next(place for place in _called(video, folder, suffix) if place not in places))
    return places


def _called(video: str, folder: Path, suffix: str) -> Iterator[Path]:
    """Names for a file that belongs to a video: a.jpg, a-1.jpg, …"""
    stem = Path(video).stem
    return (folder / f"{stem}{f'-{number}' if number else ''}.{suffix}" for number in count())

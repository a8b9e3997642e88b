"""`videocap caption`: the captions of a person's own videos, by a trained captioner."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TextIO

from videocap.captioned import ALONE, SUBTITLES, TOGETHER, CaptionedVideo
from videocap.captioner import VideoCaptioner
from videocap.command_line import DEFAULT_CONFIG
from videocap.extract.files import writing
from videocap.pipeline.words import printable


def caption(chosen: argparse.Namespace) -> int:
    """Write captions down; what can't be captioned is named at the end, and the rest goes on."""
    form = "json" if chosen.json else chosen.format
    videos = _listed() if chosen.videos == ["-"] else chosen.videos
    alone = len(videos) == 1 and not os.path.isdir(videos[0])
    if form in SUBTITLES and not alone and (chosen.output is None or chosen.output.suffix == f".{form}"):
        raise ValueError(f"--format {form} is a file a video: name a folder for several (--output FOLDER)")
    if not chosen.sample and (
        unused := [n for n in ("temperature", "top_p", "seed") if getattr(chosen, n) is not None]
    ):
        raise ValueError(f"--{unused[0].replace('_', '-')} is of samples: ask for them by --sample")
    captioner = chosen_captioner(chosen)
    asked = {name: getattr(chosen, name) for name in ("beam", "temperature", "top_p", "seed")}
    changes = {name: value for name, value in asked.items() if value is not None}
    captioner.write_by(**changes, **({"method": "sample"} if chosen.sample else {}))
    stream = _with_pictures(captioner, captioner.stream(videos, chosen.every, chosen.nbest), chosen.frames)
    bad: list[CaptionedVideo] = []
    _write(form, chosen.output, stream, bad)
    for one in bad:
        print(printable(f"{one.video}: {one.error}"), file=sys.stderr)
    return 1 if bad else 0


def chosen_captioner(chosen: argparse.Namespace) -> VideoCaptioner:
    """The captioner that the options name: a folder's, or that of a config's experiment."""

    def warn(text: str) -> None:
        print(f"warning: {printable(text)}", file=sys.stderr)

    options = {name: getattr(chosen, name) for name in ("revision", "device", "encoder")}
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if chosen.model is not None:
        if chosen.override or chosen.config != str(DEFAULT_CONFIG):
            raise ValueError("--model takes a captioner as it is: --config and --override are of experiments")
        options["device"] = options["device"] or "auto"
        return VideoCaptioner.from_pretrained(chosen.model, **options, warn=warn)
    if given:
        raise ValueError(f"{given[0]} is for --model; of an experiment its config says it")
    return VideoCaptioner(chosen.config, chosen.override, warn)


def _listed() -> list[str]:
    """The files that standard input names, one a line."""
    return [line for line in os.fsdecode(sys.stdin.buffer.read()).split("\n") if line]


def _write(form: str, output: Path | None, found: Iterable[CaptionedVideo], bad: list[CaptionedVideo]) -> None:
    """Write all that comes, as it comes if the format allows; what has an error goes to `bad`, too."""
    if form in SUBTITLES and output is not None and output.suffix != f".{form}":
        output.mkdir(parents=True, exist_ok=True)
        of: dict[str, list[CaptionedVideo]] = {}
        for one in found:
            bad.append(one) if one.error else of.setdefault(one.video, []).append(one)
        taken: set[Path] = set()
        for video, cues in of.items():
            with writing(output):
                _free(video, output, form, taken).write_text(SUBTITLES[form](cues), encoding="utf-8")
        return
    with _opened(output) as file:
        good: list[CaptionedVideo] = []
        for one in found:
            if one.error:
                bad.append(one)
            if form in ALONE and (not one.error or form == "jsonl"):
                file.write(ALONE[form](one))
                file.flush()
            elif form not in ALONE and (not one.error or form == "json"):
                good.append(one)
        if form not in ALONE:
            file.write((TOGETHER | SUBTITLES)[form](good))


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there when it is whole."""
    if output is None:
        yield sys.stdout
        return
    if output.is_dir():
        raise ValueError(f"--output {output} is a folder: name a file in it")
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        with writing(output), aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


def _with_pictures(
    captioner: VideoCaptioner, found: Iterable[CaptionedVideo], folder: Path | None
) -> Iterator[CaptionedVideo]:
    """The same, each captioned video with a picture in the folder, called as the video is."""
    places: dict[str, Path] = {}
    taken: set[Path] = set()
    for one in found:
        if folder is not None and one.error is None and one.video not in places:
            folder.mkdir(parents=True, exist_ok=True)
            if picture := captioner.picture(one.video):
                places[one.video] = _free(one.video, folder, "jpg", taken)
                places[one.video].write_bytes(picture)
        yield replace(one, frames=str(places[one.video])) if one.video in places else one


def _free(video: str, folder: Path, suffix: str, taken: set[Path]) -> Path:
    """A name in a folder for what belongs to a video, where nothing is: a.jpg, a-1.jpg, … It is taken then."""
    stem = Path(video).stem
    names = (folder / f"{stem}{f'-{number}' if number else ''}.{suffix}" for number in count())
    place = next(place for place in names if place not in taken and not place.exists())
    taken.add(place)
    return place

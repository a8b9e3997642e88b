"""What came of a video that was captioned, and how it is written down for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videocap.pipeline.words import printable

MOST_TIMES = 6  # told to a person
LEAST_CUE = 1.0  # seconds: nobody reads what is shown for none


@dataclass(frozen=True)
class CaptionedVideo:
    """What came of one video, or of a part of it: either a caption, or an error."""

    video: str
    """Its path, as it was given."""
    caption: str | None = None
    aspects: dict[str, str] = field(default_factory=dict)
    """What each sub-decoder says: {"intention": …}; empty if the model has none."""
    times: tuple[float, ...] = ()
    """Seconds from the first frame of the frames that were looked at."""
    known: bool = False
    """Whether its features were in the store, so that nothing was decoded."""
    error: str | None = None
    """What is wrong with it, in one line."""
    span: tuple[float, float] | None = None
    """Seconds from the first frame where it starts and ends; if it is known, the last frame that was looked at."""
    frames: str | None = None
    """Where there is a picture of the frames that were looked at."""
    part: bool = False
    """Whether it is one of the parts that a video was divided into."""
    nbest: tuple[tuple[str, float], ...] = ()
    """Several captions, if they were asked for, with their log-probabilities; the first is the caption."""

    def told(self) -> dict[str, Any]:
        """For a program: {"video", "caption", one entry an aspect, "times", "known", …}, or {"video", "error"}."""
        if self.error is not None:
            return {"video": self.video, "error": self.error}
        told = {"video": self.video, "caption": self.caption, **self.aspects}
        told |= {"times": list(self.times), "known": self.known}
        told |= {} if self.span is None else {"start": self.span[0], "end": self.span[1]}
        told |= {"frames": self.frames} if self.frames else {}
        several = [{"caption": text, "log_probability": chance} for text, chance in self.nbest]
        return told | ({"nbest": several} if several else {})


def text(one: CaptionedVideo) -> str:
    """What a person is told of it."""
    where = ""
    if one.span and one.part:
        where = f", {clock(one.span[0])} to {clock(one.span[1])}"
    lines = [f"{one.video}{where}", f"  {one.caption}"]
    lines += [f"    {chance:7.2f}  {other}" for other, chance in one.nbest]
    lines += [f"  {aspect}: {said}" for aspect, said in one.aspects.items()]
    times = [f"{time:.2f}" for time in one.times]
    if len(times) > MOST_TIMES:
        times = [*times[: MOST_TIMES - 2], "…", times[-1]]
    shown = [f"  these are in {one.frames}"] if one.frames else []
    seen = f"{len(one.times)} frame{'s' * (len(one.times) != 1)}, at {', '.join(times).replace('…,', '…')} s"
    return "\n".join(map(printable, [*lines, f"  looked at {seen}" + ", from the store" * one.known, *shown])) + "\n"


def jsonl(one: CaptionedVideo) -> str:
    """A line for a program."""
    return json.dumps(one.told()) + "\n"


def as_json(found: Sequence[CaptionedVideo]) -> str:
    """A list for a program."""
    return json.dumps([one.told() for one in found], indent=1) + "\n"


def coco(found: Sequence[CaptionedVideo]) -> str:
    """Results as COCO's scorer reads them; a picture's or video's id is its file's name without the ending."""
    return json.dumps([{"image_id": Path(one.video).stem, "caption": one.caption} for one in found], indent=1) + "\n"


def as_csv(found: Sequence[CaptionedVideo]) -> str:
    """A table with a row a caption: video, start, end, rank, caption, log_probability, aspects."""
    aspects = list(dict.fromkeys(aspect for one in found for aspect in one.aspects))
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["video", "start", "end", "rank", "caption", "log_probability", *aspects])
    for one in found:
        for rank, (caption, chance) in enumerate(one.nbest or [(one.caption, "")], 1):
            sides = [one.aspects.get(aspect, "") for aspect in aspects]
            table.writerow([one.video, *(one.span or ("", "")), rank, caption, chance, *sides])
    return file.getvalue()


def srt(found: Sequence[CaptionedVideo]) -> str:
    """Subtitles of one video, a cue a part, as SubRip has them."""
    cues = [f"{n}\n{_cue(one, ',')}\n{_line(one)}\n" for n, one in enumerate(found, 1)]
    return "\n".join(cues)


def vtt(found: Sequence[CaptionedVideo]) -> str:
    """Subtitles of one video, a cue a part, as browsers read them (WebVTT)."""
    escaped = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
    cues = [f"{_cue(one, '.')}\n{_line(one).translate(escaped)}\n" for one in found]
    return "\n".join(["WEBVTT\n", *cues])


def _cue(one: CaptionedVideo, point: str) -> str:
    start, end = one.span or (0.0, 0.0)
    return " --> ".join(clock(seconds).replace(".", point) for seconds in (start, max(end, start + LEAST_CUE)))


def _line(one: CaptionedVideo) -> str:
    """A caption in one line: an empty one would end the cue."""
    return " ".join((one.caption or "").split()).replace("-->", "->")


def clock(seconds: float) -> str:
    """Hours, minutes, seconds and thousandths: 01:02:03.456."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


SUBTITLES: dict[str, Callable[[Sequence[CaptionedVideo]], str]] = {"srt": srt, "vtt": vtt}
"""Formats of a file a video."""
ALONE: dict[str, Callable[[CaptionedVideo], str]] = {"text": text, "jsonl": jsonl}
"""Formats in which each is written as it comes."""
TOGETHER: dict[str, Callable[[Sequence[CaptionedVideo]], str]] = {"json": as_json, "coco": coco, "csv": as_csv}
"""Formats of all of them."""

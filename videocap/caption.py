"""`videocap caption VIDEO…`: captions of any videos, and pictures of what was looked at."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from videocap.captioner import CaptionedVideo, VideoCaptioner
from videocap.pipeline.words import printable

MOST_TIMES = 6  # told to a person


def caption(chosen: argparse.Namespace) -> int:
    """Print captions; what can't be captioned is named, and the rest goes on."""
    captioner = VideoCaptioner(
        chosen.config, chosen.override, lambda text: print(f"warning: {printable(text)}", file=sys.stderr)
    )
    found = captioner(chosen.videos)
    pictures = put_frames(captioner, found, chosen.frames) if chosen.frames else {}
    for one in found:
        if not chosen.json and one.error is None:
            shown = [f"  these are in {pictures[one.video]}"] if one.video in pictures else []
            print("\n".join(printable(line) for line in [*text(one), *shown]))
    for one in found:
        print(f"{printable(f'{one.video}: {one.error}')}\n" if one.error else "", end="", file=sys.stderr)
    if chosen.json:
        shown = {video: {"frames": str(place)} for video, place in pictures.items()}
        print(json.dumps([one.told() | shown.get(one.video, {}) for one in found], indent=1))
    return 1 if any(one.error for one in found) else 0


def put_frames(captioner: VideoCaptioner, found: Iterable[CaptionedVideo], folder: Path) -> dict[str, Path]:
    """Write a picture for each captioned video, called as the video is; returns them by the video's path."""
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[str, Path] = {}
    for one in found:
        if one.error is None and one.video not in places and (picture := captioner.picture(one.video)):
            stem, taken = Path(one.video).stem, set(places.values())
            names = (f"{stem}{f'-{number}' if number else ''}.jpg" for number in count())
            place = next(folder / name for name in names if folder / name not in taken)
            place.write_bytes(picture)
            places[one.video] = place
    return places


def text(one: CaptionedVideo) -> list[str]:
    """What a person is told of a captioned video, in lines."""
    lines = [one.video, f"  {one.caption}", *(f"  {aspect}: {said}" for aspect, said in one.aspects.items())]
    times = [f"{time:.2f}" for time in one.times]
    if len(times) > MOST_TIMES:
        times = [*times[: MOST_TIMES - 2], "…", times[-1]]
    seen = f"{len(one.times)} frame{'s' * (len(one.times) != 1)}, at {', '.join(times).replace('…,', '…')} s"
    return [*lines, f"  looked at {seen}" + ", from the store" * one.known]

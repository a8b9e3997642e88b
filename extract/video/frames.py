"""Sampled frames of a video: chosen by their timestamps, decoded by ffmpeg, resized and cropped for an encoder."""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain, islice
from typing import Any, Literal, NamedTuple

import numpy as np

from videocap.extract.video.decode import cuts, decode, list_frames, spans
from videocap.extract.video.demux import Stream, VideoError
from videocap.extract.video.probe import Prober, check_file
from videocap.extract.video.resize import resize_crop

LEAST_SCENE = 1.0  # seconds
UNTOLD = 30  # times the limit of a video, to decode a long one whose packets don't tell its frames


def choose(
    times: Sequence[float],
    sampling: Literal["uniform", "fps"],
    frames: int,
    fps: float = 2.0,
    placement: Literal["centres", "ends"] = "centres",
) -> list[int]:
    """Pick the frames that stand for a video.

    Args:
        times: seconds at which each frame is shown, ascending.
        sampling: `uniform` takes `frames` of them; `fps` the one shown at each tick of 1 / fps s, at most `frames`.
        frames: how many, or how many at most; a video that has fewer gives each of its frames once.
        fps: ticks a second, for `fps` only.
        placement: for `uniform` only: `centres` of equal segments of the frame list, or spread from the first frame to
            the last (`ends`, numpy's rounded linspace, as V2C does).

    Returns:
        Indices into `times`, strictly increasing.
    """
    count = len(times)
    if sampling == "fps":
        chosen: list[int] = []
        tick = 0
        while len(chosen) < frames and count:
            # Timestamps are rounded to their time base: a frame due at the tick may seem to come just after it.
            shown = bisect_right(times, times[0] + tick / fps + 1e-6) - 1
            if not chosen or shown > chosen[-1]:
                chosen.append(shown)
            if shown == count - 1:
                break
            # on to the first tick that the next frame can be shown at: long pauses cost nothing
            tick = max(tick + 1, int((times[shown + 1] - times[0]) * fps))
        return chosen
    if count <= frames:
        return list(range(count))
    if placement == "ends":
        return np.round(np.linspace(0, count - 1, frames)).astype(int).tolist()
    return [(2 * i + 1) * count // (2 * frames) for i in range(frames)]


class Part(NamedTuple):
    """What is sampled of a video, or of a part of it."""

    start: float
    """Seconds from the first frame, where it begins."""
    end: float
    """Where it ends, which for the last one is when its last frame has been shown."""
    images: np.ndarray
    """uint8 (n, pixels, pixels, 3)."""
    times: np.ndarray
    """Seconds from the first frame of the video, float32 (n,)."""


def read(path: str | os.PathLike, prober: Prober, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sample, decode, resize and crop the frames of one video; the arguments are those of `parts`.

    Returns:
        Frames, uint8 (n, pixels, pixels, 3), and their times in seconds from the first frame, float32 (n,).

    Raises:
        VideoError: with one line that says what is wrong with the file.
    """
    (whole,) = parts(path, prober, None, **settings)
    return whole.images, whole.times


def parts(
    path: str | os.PathLike,
    prober: Prober,
    every: float | Literal["scenes"] | None,
    *,
    square_pixels: bool,
    geometry: Mapping[str, Any],
    **choice: Any,
) -> Iterator[Part]:
    """Sample, decode, resize and crop the frames of a video, part by part; it is decoded once, in bounded memory.

    Args:
        path: the video file.
        prober: reads its packets; time and pixel limits are the prober's, the time for each part.
        every: seconds that a part has; None for the whole video as one. A rest of less than a quarter of that belongs
            to the part before. Or `scenes`, as far as key frames tell where they begin; none is shorter than a second.
        square_pixels: whether frames whose pixels are not square are resized to the shape in which they are shown.
        geometry: the arguments of `resize_crop`.
        choice: sampling, frames, fps and placement of `choose`, within each part.

    Raises:
        VideoError: with one line that says what is wrong with the file.
    """
    check_file(path)
    if isinstance(every, float | int) and not every > 0:
        raise ValueError(f"a part of a video can't have {every} s")
    stream, begun, given = prober(path), time.monotonic(), 0.0

    def fit(frame: np.ndarray) -> np.ndarray:
        turned = frame.shape[:2] == (stream.width, stream.height) != (stream.height, stream.width)
        sar = 1.0 if not square_pixels else 1 / stream.sar if turned else stream.sar
        return resize_crop(frame, **geometry, sar=sar)

    def limits(count: int) -> dict[str, Any]:
        left = prober.timeout * count - (time.monotonic() - begun)
        return {"timeout": max(0.0, left), "max_pixels": prober.max_pixels}

    def sampled() -> Iterator[Part]:
        times, length = stream.times, every
        if length == "scenes":
            length = _scenes(path, stream, **limits(UNTOLD))
        todo = [bounds for bounds in divide(times, length) if bounds[0] >= given]
        chosen = [[first + i for i in choose(times[first:last], **choice)] for _, _, first, last in todo]
        frames = _decoded(path, stream, list(chain.from_iterable(chosen)), **limits(len(todo)))
        with closing(frames):
            for number, ((start, end, _, _), indices) in enumerate(zip(todo, chosen, strict=True), 1):
                images = np.empty((len(indices), geometry["pixels"], geometry["pixels"], 3), np.uint8)
                for image, frame in zip(images, islice(frames, len(indices)), strict=True):
                    image[:] = fit(frame)
                if number == len(todo):
                    next(frames, None)  # which says whether the decoder ended well
                yield Part(start, end, images, np.array([times[i] for i in indices], np.float32))

    try:
        if stream.pts is not None:
            with suppress(VideoError):
                for part in sampled():
                    yield part
                    given = part.end
                return
        # The packets did not tell, or not the truth, or a decoder missed what it was spared.
        begun = time.monotonic() if every else begun
        stream = list_frames(path, stream, **limits(1 if every is None else UNTOLD))
        yield from sampled()
    except ValueError as error:
        raise VideoError(str(error)) from error


def _scenes(path: str | os.PathLike, stream: Stream, **limits: Any) -> list[float]:
    """Where the scenes of a video begin, the first one left out."""
    if stream.numbered:
        raise VideoError("its scenes can't be told, as it stores no times: divide it by length")
    begins: list[float] = []
    end = stream.times[-1]
    for pts in cuts(path, stream, **limits):
        second = (pts - stream.pts[0]) * stream.time_base
        if second - (begins[-1] if begins else 0.0) >= LEAST_SCENE and end - second >= LEAST_SCENE:
            begins.append(second)
    return begins


def divide(times: Sequence[float], every: float | Sequence[float] | None) -> list[tuple[float, float, int, int]]:
    """Parts of a video whose frames are shown at `times`: where each starts and ends, its first frame and its last + 1.

    Parts in which no frame begins to be shown are left out.

    Args:
        every: seconds that each has, or where all but the first begin; None for one part.
    """
    end = times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0.0)
    if every is None:
        return [(0.0, end, 0, len(times))]
    if not isinstance(every, float | int):
        starts = [0.0, *every]
        firsts = [0, *(bisect_left(times, start - 1e-6) for start in every), len(times)]
        bounds = zip(starts, [*every, end], firsts, firsts[1:], strict=False)
        return [(start, stop, first, last) for start, stop, first, last in bounds if first < last]
    most = max(0, math.ceil(end / every - 0.25) - 1)  # the number of the last part
    found, first = [], 0
    while first < len(times):
        number = min(most, int((times[first] + 1e-6) / every))
        stop = (number + 1) * every
        last = len(times) if number == most else max(first + 1, bisect_left(times, stop - 1e-6))
        found.append((number * every, stop if number < most else max(end, number * every), first, last))
        first = last
    return found


def _decoded(path: str | os.PathLike, stream: Stream, indices: Sequence[int], **limits: Any) -> Iterator[np.ndarray]:
    """The frames of these numbers, from as few entries as are worth it."""
    for entry, some in spans(stream.entries, indices):
        with closing(decode(path, stream, some, entry=entry, **limits)) as decoded:
            yield from decoded

"""Sampled frames of a video: chosen by their timestamps, decoded by ffmpeg, resized and cropped for an encoder."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Literal

import numpy as np

from videocap.extract.video.decode import decode, list_frames, spans
from videocap.extract.video.demux import Stream, VideoError
from videocap.extract.video.probe import Prober, check_file
from videocap.extract.video.resize import resize_crop


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


def read(
    path: str | os.PathLike,
    prober: Prober,
    *,
    sampling: Literal["uniform", "fps"],
    frames: int,
    fps: float,
    placement: Literal["centres", "ends"],
    square_pixels: bool,
    geometry: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Sample, decode, resize and crop the frames of one video.

    Args:
        path: the video file.
        prober: reads its packets; time and pixel limits are the prober's.
        sampling, frames, fps, placement: of `choose`.
        square_pixels: whether frames whose pixels are not square are resized to the shape in which they are shown.
        geometry: the arguments of `resize_crop`.

    Returns:
        Frames, uint8 (n, pixels, pixels, 3), and their times in seconds from the first frame, float32 (n,).

    Raises:
        VideoError: with one line that says what is wrong with the file.
    """
    check_file(path)
    stream = prober(path)
    end = time.monotonic() + prober.timeout

    def limits() -> dict[str, Any]:
        return {"timeout": max(0.0, end - time.monotonic()), "max_pixels": prober.max_pixels}

    def sampled(stream: Stream) -> tuple[np.ndarray, np.ndarray]:
        times = stream.times
        chosen = choose(times, sampling, frames, fps, placement)
        images = np.empty((len(chosen), geometry["pixels"], geometry["pixels"], 3), np.uint8)
        rows = iter(images)
        for entry, indices in spans(stream.entries, chosen):
            with closing(decode(path, stream, indices, entry=entry, **limits())) as decoded:
                for frame in decoded:
                    turned = frame.shape[:2] == (stream.width, stream.height) != (stream.height, stream.width)
                    sar = 1.0 if not square_pixels else 1 / stream.sar if turned else stream.sar
                    next(rows)[:] = resize_crop(frame, **geometry, sar=sar)
        return images, np.array([times[i] for i in chosen], np.float32)

    try:
        with suppress(VideoError):
            if stream.pts is not None:
                return sampled(stream)
        # The packets did not tell, or not the truth, or a decoder missed what it was spared.
        return sampled(list_frames(path, stream, **limits()))
    except ValueError as error:
        raise VideoError(str(error)) from error

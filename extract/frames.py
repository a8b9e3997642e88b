"""Sampled frames of a video: chosen by their timestamps, decoded by ffmpeg, resized and cropped for an encoder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Literal

import ffmpeg
import imageio_ffmpeg
import numpy as np

from extract.preprocess import resize_crop
from extract.probe import FORMATS, Prober, Stream, VideoError, check_file, deadline

MOST_SPARE = 4000  # a longer list would not fit into an argument

__all__ = ["Prober", "Stream", "VideoError", "choose", "decode", "read"]


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


def decode(
    path: str | os.PathLike, stream: Stream, indices: Sequence[int], *, timeout: float, max_pixels: int
) -> Iterator[np.ndarray]:
    """Decode some frames of a video; only these cross the pipe from ffmpeg, and it stops after the last one.

    Args:
        path: the video file.
        stream: what `Prober` found in it.
        indices: which of its frames, strictly increasing.
        timeout: seconds until ffmpeg is killed, the caller's work between frames included.
        max_pixels: pixels that a frame may have.

    Yields:
        uint8 RGB of shape (H, W, 3), upright: rotation that the file asks for is applied.

    Raises:
        VideoError: if ffmpeg does not give exactly these frames in time.
    """
    if not indices:
        return
    marks = [stream.marks[i] for i in indices]
    wanted = _select(stream.mark, marks)
    spare = sorted(set(stream.spare).difference(marks))[:MOST_SPARE]
    arguments = (
        ffmpeg.input(
            "PATH",
            # frames that nobody refers to and nobody wants need not be decoded: a third of the work
            **({"bsf:v": f"noise=drop='{_select('pts', spare)}'"} if spare else {}),
            format=stream.format,
            format_whitelist=FORMATS,
            protocol_whitelist="file",
            max_pixels=max_pixels,
            threads=1,
        )[str(stream.index)]
        .filter("select", wanted)
        .output(
            "pipe:1",
            format="image2pipe",  # each PPM image carries its own size
            vcodec="ppm",
            pix_fmt="rgb24",
            fps_mode="passthrough",
            threads=1,
            **{"frames:v": len(indices)},
        )
        # copyts: the filter sees timestamps as they are in the file. timelimit: ends ffmpeg if this process is killed.
        .global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-copyts", "-filter_complex_threads", "1")
        # max_error_rate: what the decoder conceals would be stored as if it had been seen.
        .global_args("-timelimit", str(int(timeout) + 1), "-max_error_rate", "0")
        .compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
    )
    # Put in last: ffmpeg-python takes no name that is not UTF-8.
    arguments[arguments.index("PATH")] = f"file:{os.path.abspath(path)}"
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1 << 20
    )
    complaints = _Complaints(process.stderr)
    given = 0
    try:
        with deadline(process, timeout) as expired:
            while given < len(indices) and (frame := _read_ppm(process.stdout, max_pixels)) is not None:
                given += 1
                yield frame
            status = process.wait()
        if expired.is_set():
            raise VideoError(f"decoding took longer than {timeout:g} s")
        if -status in (signal.SIGKILL, signal.SIGTERM) and given < len(indices):
            raise OSError(f"ffmpeg was killed while it decoded {path}: was memory short? Run the same command again")
        if given < len(indices) or status:
            said = complaints.first().replace(os.path.abspath(path), "it")
            raise VideoError(
                f"is damaged: ffmpeg gave {given} of {len(indices)} frames and ended with status {status}: {said}"
            )
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        complaints.join()


def read(
    path: str | os.PathLike,
    prober: Prober,
    *,
    sampling: Literal["uniform", "fps"],
    frames: int,
    fps: float,
    placement: Literal["centres", "ends"],
    pixels: int,
    interpolation: Literal["bicubic", "bilinear"],
    crop: Literal["center"],
) -> tuple[np.ndarray, np.ndarray]:
    """Sample, decode, resize and crop the frames of one video. The arguments are those of `choose` and `resize_crop`.

    Time and pixel limits are the prober's.

    Returns:
        Frames, uint8 (n, pixels, pixels, 3), and their times in seconds from the first frame, float32 (n,).

    Raises:
        VideoError: with one line that says what is wrong with the file.
    """
    check_file(path)
    stream = prober(path)
    indices = choose(stream.times, sampling, frames, fps, placement)
    images = np.empty((len(indices), pixels, pixels, 3), np.uint8)
    limits = {"timeout": prober.timeout, "max_pixels": prober.max_pixels}
    for source in (stream, replace(stream, spare=[])):
        try:
            with closing(decode(path, source, indices, **limits)) as decoded:
                for image, frame in zip(images, decoded, strict=True):
                    image[:] = resize_crop(frame, pixels, interpolation, crop)
            break
        except ValueError as error:
            raise VideoError(str(error)) from error
        except VideoError:
            if not source.spare:  # else a decoder that misses what it was spared gets all
                raise
    return images, np.array([stream.times[i] for i in indices], np.float32)


def _select(mark: str, values: list[int]) -> str:
    """ffmpeg's expression for "`mark` is one of the ascending `values`": a search tree, as its sums end at 90 terms."""
    if len(values) <= 16:
        return "+".join(f"eq({mark},{value})" for value in values)
    middle = len(values) // 2
    return f"if(lt({mark},{values[middle]}),{_select(mark, values[:middle])},{_select(mark, values[middle:])})"


def _read_ppm(pipe, max_pixels: int) -> np.ndarray | None:
    """The next image of a stream of binary PPMs, (H, W, 3); None at its end, also if that cuts an image."""
    header = b"".join(pipe.readline(32) for _ in range(3))
    match = re.fullmatch(rb"P6\n(\d+) (\d+)\n255\n", header)
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    if width * height > max_pixels:
        raise VideoError(f"its frames have {width} x {height} pixels; {max_pixels} are allowed")
    data = pipe.read(3 * width * height)
    if len(data) < 3 * width * height:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


class _Complaints(threading.Thread):
    """Reads a pipe to its end and keeps its beginning, so that a talkative child never blocks or fills memory."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.head = pipe, b""
        self.start()

    def run(self) -> None:
        with self.pipe:
            while piece := self.pipe.read1(4096):
                self.head += piece[: 4096 - len(self.head)]

    def first(self) -> str:
        """The first line: what went wrong, before its consequences."""
        self.join()
        lines = self.head.decode(errors="replace").strip().splitlines() or ["no message"]
        return re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] *", "", lines[0])[:300]

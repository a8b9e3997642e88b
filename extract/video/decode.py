"""Decodes the wanted frames of a video by ffmpeg, in a child with limits; nothing else crosses the pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np

from videocap.extract.video.demux import FORMATS, MAX_FRAMES, Stream, VideoError
from videocap.extract.video.probe import deadline, limit_memory

PATH = "PATH"
MOST_TERMS = 1500  # of a filter that counts frames, too, or drops packets: one argument holds 128 KB
MOST_LETTERS = 100_000  # of an argument; a longer filter is given in a file
MOST_REORDERED = 200  # frames by which the orders of decoding and of showing may differ
SMALL, UNLIKE = (64, 36), 0.3  # pixels of key frames that are compared, and ffmpeg's measure of how they differ
WORTH_SEEKING = 100  # frames that take about as long to decode as ffmpeg to start


def decode(
    path: str | os.PathLike,
    stream: Stream,
    indices: Sequence[int],
    *,
    timeout: float,
    max_pixels: int,
    entry: int = 0,
) -> Iterator[np.ndarray]:
    """Decode some frames of a video; only these cross the pipe from ffmpeg, and it stops after the last one.

    Args:
        path: the video file.
        stream: what `Prober` found in it, or `list_frames`.
        indices: which of its frames, strictly increasing.
        timeout: seconds until ffmpeg is killed, the caller's work between frames included.
        max_pixels: pixels that a frame may have.
        entry: the frame at which decoding begins: 0, or the last one of the stream's entries before the first index.

    Yields:
        uint8 RGB of shape (H, W, 3), upright: rotation that the file asks for is applied. Pixels as they are stored,
        square or not.

    Raises:
        VideoError: if ffmpeg does not give exactly these frames in time.
    """
    if not indices:
        return
    # Numbers alone find the right frames only if there are as many as packets: the last one tells.
    sought = sorted({*indices, len(stream.pts) - 1}) if stream.numbered else list(indices)
    runs = _needless(stream, sought, entry)
    needless = [i for first, last in runs for i in range(first, last + 1)]
    # By number as well as by time, if only packets told: then all frames before it were where they said.
    terms, counted = [], bool(stream.order) and not entry and len(sought) <= MOST_TERMS
    for i in sought:
        pts, n = stream.pts[i], f"eq(n,{i - bisect_left(needless, i)})"
        terms.append((i, n) if stream.numbered else (pts, f"eq(pts,{pts})" + f"*{n}" * counted))
    source: dict[str, Any] = {}
    if entry:
        at = f"{stream.pts[indices[0]] * stream.time_base:.6f}"
        source = {"ss": at, "seek_timestamp": 1, "noaccurate_seek": None}
    if runs:
        times = [(stream.pts[first], stream.pts[last]) for first, last in runs]
        drop = _any("pts", [(first, f"between(pts,{first},{last})") for first, last in times])
        source["bsf:v"] = f"noise=drop='{drop}'"
    video = _video(path, stream, max_pixels, **source).filter("select", _any("n" if stream.numbered else "pts", terms))
    # each PPM image carries its own size
    output = _output(video, format="image2pipe", vcodec="ppm", pix_fmt="rgb24", **{"frames:v": len(sought)})
    given, asked = 0, set(indices)
    with closing(_Decoder(output, path, timeout)) as decoder:
        while given < len(sought) and (frame := _read_ppm(decoder.pipe, max_pixels)) is not None:
            given += 1
            if sought[given - 1] in asked:
                yield frame
        decoder.finish(given, len(sought))


def list_frames(path: str | os.PathLike, stream: Stream, *, timeout: float, max_pixels: int) -> Stream:
    """The stream as it really decodes, by decoding all of it: for files whose packets do not tell their frames.

    Raises:
        VideoError: if ffmpeg does not decode it to its end in time.
    """
    video = _video(path, stream, max_pixels)
    pts = _timestamps(video, path, timeout, least=1)
    ascending = all(a < b for a, b in pairwise(pts))
    return replace(stream, pts=sorted(pts), numbered=stream.numbered or not ascending, spare=[], order=[], entries=[])


def cuts(path: str | os.PathLike, stream: Stream, *, timeout: float, max_pixels: int) -> list[int]:
    """Timestamps of the key frames that look unlike the key frame before: where other scenes begin, about.

    Only key frames are decoded, small. Encoders put one where a scene begins, or soon after.

    Raises:
        VideoError: if ffmpeg does not decode them in time.
    """
    small = _video(path, stream, max_pixels, skip_frame="nokey").filter("scale", *SMALL)
    return _timestamps(small.filter("select", f"gt(scene,{UNLIKE})"), path, timeout, least=0)


def _timestamps(video, path: str | os.PathLike, timeout: float, least: int) -> list[int]:
    """The timestamps of the frames of ffmpeg-python's `video`, of which there must be at least so many."""
    # one line a frame, without its pixels
    output = _output(video, format="framecrc", vcodec="wrapped_avframe", enc_time_base="demux")
    pts = []
    with closing(_Decoder(output, path, timeout)) as decoder:
        while line := decoder.pipe.readline(1000):
            if not line.startswith(b"#"):
                pts.append(int(line.split(b",")[2]))
            if len(pts) > MAX_FRAMES:
                raise VideoError(f"has more than {MAX_FRAMES} frames")
        decoder.finish(len(pts), least)
    return pts


def spans(entries: Sequence[int], indices: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Divide `indices` into runs that are decoded from one entry each, 0 or one of `entries`.

    A run goes on while the next entry is too near to be worth another start of ffmpeg.
    """
    runs: list[tuple[int, list[int]]] = []
    reached = 0
    for index in indices:
        before = bisect_right(entries, index) - 1
        entry = entries[before] if before >= 0 else 0
        if entry - reached > WORTH_SEEKING:
            runs.append((entry, []))
        elif not runs:
            runs.append((0, []))
        runs[-1][1].append(index)
        reached = index
    return runs


def _video(path: str | os.PathLike, stream: Stream, max_pixels: int, **options: Any):
    """The stream as ffmpeg-python's input."""
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_pixels": max_pixels, "threads": 1}
    return ffmpeg.input(PATH, **options, format=stream.format, **limits)[str(stream.index)]


def _output(video, **options: Any):
    """`video` written to a pipe, each of its frames once."""
    return video.output("pipe:1", fps_mode="passthrough", threads=1, **options)


def _needless(stream: Stream, wanted: Sequence[int], entry: int) -> list[tuple[int, int]]:
    """Runs (first, last) of frames from `entry` on that no wanted one needs to have decoded: a third of the work.

    Nobody refers to them, or they follow the last wanted frame of their group of pictures.
    """
    if not stream.order or stream.numbered:
        return []
    # Where groups overlap, frames of the next may be needed: then there is one.
    closed = all(stream.order[start] == start for start in stream.entries)
    starts = stream.entries if closed and stream.entries else [0]
    last: dict[int, int] = {}
    for i in wanted:
        group = bisect_right(starts, i)
        last[group] = max(last.get(group, -1), stream.order[i])
    keep, spare = set(wanted), set(stream.spare)
    needless, group = [], bisect_right(starts, entry)
    end = min(len(stream.pts), wanted[-1] + MOST_REORDERED)
    for i in range(entry, end):
        group += group < len(starts) and starts[group] <= i
        if i not in keep and (stream.pts[i] in spare or stream.order[i] > last.get(group, -1)):
            needless.append(i)
    runs = _runs(needless) + ([(end, len(stream.pts) - 1)] if end < len(stream.pts) else [])
    return runs if len(runs) <= MOST_TERMS else []  # some alone would leave frames without those that they refer to


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of each run of successive numbers."""
    starts = [n for i, n in enumerate(numbers) if not i or numbers[i - 1] < n - 1]
    ends = [n for i, n in enumerate(numbers) if i == len(numbers) - 1 or numbers[i + 1] > n + 1]
    return list(zip(starts, ends, strict=True))


def _any(name: str, terms: list[tuple[int, str]]) -> str:
    """ffmpeg's expression for "any of these terms", each with the least value of variable `name` that it allows.

    A search tree, as ffmpeg's sums end at 90 terms.
    """
    if len(terms) <= 16:
        return "+".join(term for _, term in terms)
    middle = len(terms) // 2
    return f"if(lt({name},{terms[middle][0]}),{_any(name, terms[:middle])},{_any(name, terms[middle:])})"


class _Decoder:
    """ffmpeg, writing what `output` says to `pipe`; killed when its time is over, or when it is closed."""

    def __init__(self, output, path: str | os.PathLike, timeout: float):
        arguments = (
            # copyts: the filter sees timestamps as they are in the file.
            # timelimit: ends ffmpeg if this process dies; it is in seconds of all its threads together.
            output.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-copyts")
            .global_args("-filter_complex_threads", "1", "-timelimit", str(4 * int(timeout) + 4))
            # What a decoder conceals would be stored as if it had been seen: any error that it admits ends ffmpeg.
            .global_args("-max_error_rate", "0", "-xerror")
            .compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
        )
        self.filter = tempfile.NamedTemporaryFile("w", prefix="videocap-", suffix=".filter")
        place = arguments.index("-filter_complex") if "-filter_complex" in arguments else 0
        if place and len(arguments[place + 1]) > MOST_LETTERS:
            self.filter.write(arguments[place + 1])
            self.filter.flush()
            arguments[place : place + 2] = ["-/filter_complex", self.filter.name]
        # Put in last: ffmpeg-python takes no name that is not UTF-8.
        arguments[arguments.index(PATH)] = f"file:{os.path.abspath(path)}"
        self.path = path
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1 << 20
        )
        limit_memory(self.process)
        self.pipe = self.process.stdout
        self.complaints = _Complaints(self.process.stderr)
        self.deadline = deadline(self.process, timeout)
        self.expired = self.deadline.__enter__()

    def finish(self, given: int, wanted: int) -> None:
        """Wait for its end. Raises VideoError unless all went well and as many frames came as were wanted."""
        status = self.process.wait()
        if self.expired.is_set():
            raise VideoError("takes too long to decode: decode.timeout can be raised")
        if -status in (signal.SIGKILL, signal.SIGTERM) and given < wanted:
            raise OSError(f"ffmpeg was killed while it decoded {self.path}: was memory short? Run the same again")
        if given < wanted or status:
            said = self.complaints.first().replace(os.path.abspath(self.path), "it")
            count = f"{given} of {wanted}" if given < wanted else given
            raise VideoError(f"is damaged: ffmpeg gave {count} frames and ended with status {status}: {said}")

    def close(self) -> None:
        self.deadline.__exit__(None, None, None)
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        self.filter.close()
        self.complaints.join()


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

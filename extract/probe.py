"""The demuxer: when each frame of a video is shown, learnt from its packets without decoding them.

Run as a program this is the child that opens the stranger's file: JSON lines on standard input (`path`, `max_pixels`)
are answered by one JSON line each, with a `Stream`'s fields or an `error`. It imports nothing but av and the standard
library. `Prober` is the parent's side: one child for many videos, killed when it hangs and replaced when it dies.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Literal

# Containers that hold their own frames. Playlists, concatenations and image sequences name other files: they stay out.
FORMATS = "mov,matroska,avi,asf,flv,mpeg,mpegts,ogg,gif"
UNTIMED = {"avi"}  # stores no presentation times: each reader guesses others
MAX_FRAMES = 4_000_000  # 18 hours at 60 frames a second


class VideoError(Exception):
    """A video that cannot be read; the message is one line that says why, without the file's path."""


@dataclass(frozen=True)
class Stream:
    """The first video stream of a file."""

    format: str
    """Name of the container format, by which ffmpeg is told to open it."""
    index: int
    """The stream's number in the file."""
    width: int
    height: int
    """Pixels, as stored: before any rotation."""
    times: list[float]
    """Seconds from the first frame, one a frame, in the order they are shown."""
    marks: list[int]
    """What finds each frame again in ffmpeg's `select` filter: its value of `mark`."""
    mark: Literal["pts", "n"]
    """`pts` (in the stream's time base), or the frame's number `n` where timestamps are missing or not distinct."""
    spare: list[int] = field(default_factory=list)
    """Ascending marks of frames, as far as known, that no other refers to: the decoder need not see them."""


@contextmanager
def deadline(process: subprocess.Popen, seconds: float) -> Iterator[threading.Event]:
    """Kill `process` if the block takes longer than `seconds`; the event tells whether that happened."""
    expired = threading.Event()

    def kill() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


class Prober:
    """Asks the demuxer child about one video after another. Use as a context manager; not shared between processes.

    Args:
        timeout: seconds that the child may take for one video.
        max_pixels: pixels that a frame may have.
    """

    def __init__(self, timeout: float, max_pixels: int):
        self.timeout, self.max_pixels = timeout, max_pixels
        self._child: subprocess.Popen | None = None

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            with suppress(BrokenPipeError):
                self._child.stdin.close()
            self._child.stdout.close()
            self._child = None

    def __call__(self, path: str | os.PathLike) -> Stream:
        """Probe one video. Raises VideoError for whatever is not a readable video."""
        check_file(path)
        if self._child is None or self._child.poll() is not None:
            self.close()
            # By file, and with -P, so that neither the current folder nor this package's shadows a module of av's.
            self._child = subprocess.Popen(
                [sys.executable, "-P", os.path.abspath(__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        request = json.dumps({"path": os.path.abspath(path), "max_pixels": self.max_pixels})
        answer = b""
        with deadline(self._child, self.timeout) as expired:
            with suppress(BrokenPipeError):  # the missing answer says that the child is dead
                self._child.stdin.write(request.encode() + b"\n")
                self._child.stdin.flush()
                answer = self._child.stdout.readline()
        if not answer.endswith(b"\n"):
            try:
                status = self._child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                status = 0
            self.close()
            if expired.is_set():
                raise VideoError(f"reading its packets took longer than {self.timeout:g} s")
            if -status in (signal.SIGKILL, signal.SIGTERM):
                raise OSError(f"the demuxer was killed while it read {path}: was memory short? Run again")
            raise VideoError(f"the demuxer died on it (exit status {status})")
        reply = json.loads(answer)
        if "error" in reply:
            raise VideoError(reply["error"])
        return Stream(**reply)


def check_file(path: str | os.PathLike) -> None:
    """Raise VideoError unless `path` is a regular file that holds something (a pipe or device could block for ever)."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise VideoError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("is not a regular file")
    if status.st_size == 0:
        raise VideoError("is empty")


def probe(path: str, max_pixels: int) -> Stream:
    """Read every packet's timestamp. Runs in the child. Raises VideoError, or av's errors."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    with av.open(f"file:{path}", options=options) as container:
        pictures = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
        if not streams:
            raise VideoError("holds no video stream")
        stream = streams[0]
        if not 0 < stream.width * stream.height <= max_pixels:
            raise VideoError(f"its frames have {stream.width} x {stream.height} pixels; {max_pixels} are allowed")
        if any(entry.pos + entry.size > container.size for entry in stream.index_entries):
            raise VideoError("is cut short: its index names frames beyond the end of the file")

        stamps, spare = [], set()
        length_size = _nal_length_size(stream.codec_context)
        for packet in container.demux(stream):
            # Discarded packets lie outside the edit list; empty ones make no frame.
            if packet.size and not packet.is_discard:
                stamps.append((packet.pts, packet.dts))
                if length_size and not _is_reference(memoryview(packet), length_size):
                    spare.add(packet.pts)
            if len(stamps) > MAX_FRAMES:
                raise VideoError(f"has more than {MAX_FRAMES} frames")
        if not stamps:
            raise VideoError("holds no frames")

        name = container.format.name.split(",")[0]
        marks, mark = [pts for pts, _ in stamps], "pts"
        if name in UNTIMED or None in marks or len(set(marks)) < len(marks):
            marks, mark = [pts if dts is None else dts for pts, dts in stamps], "n"
            if None in marks:
                raise VideoError("has frames without timestamps")
        ticks = sorted(marks)
        marks = ticks if mark == "pts" else list(range(len(ticks)))
        seconds = [float((tick - ticks[0]) * stream.time_base) for tick in ticks]
        spare = sorted(spare) if mark == "pts" else []
        return Stream(name, stream.index, stream.width, stream.height, seconds, marks, mark, spare)


def _nal_length_size(codec) -> int:
    """Bytes of the length before each NAL unit of H.264 as mp4 and Matroska store it; 0 for all else."""
    head = codec.extradata or b""
    return (head[4] & 3) + 1 if codec.name == "h264" and len(head) > 4 and head[0] == 1 else 0


def _is_reference(packet: memoryview, length_size: int) -> bool:
    """Whether other frames may refer to this H.264 frame: the nal_ref_idc of its slices; True if it holds none."""
    start, slices, refers = 0, 0, False
    while start + length_size < len(packet):
        head = packet[start + length_size]
        if head & 31 in (1, 2, 3, 4, 5):
            slices += 1
            refers |= head >> 5 & 3 > 0
        start += length_size + int.from_bytes(packet[start : start + length_size], "big")
    return refers or not slices


def main() -> None:
    """Answer requests until standard input ends."""
    import av

    for line in sys.stdin.buffer:
        try:
            reply = asdict(probe(**json.loads(line)))
        except VideoError as error:
            reply = {"error": str(error)}
        except (av.FFmpegError, ValueError) as error:
            # av's text repeats the path; strerror does not
            reply = {"error": f"is not a video file that can be read: {getattr(error, 'strerror', None) or error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Asks the demuxer, in a child of its own, about one video after another."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from videocap.extract.video import demux
from videocap.extract.video.demux import Stream, VideoError

MOST_MEMORY = 8 << 30  # bytes of address space; the largest frames that are allowed need about 3 GB


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


def limit_memory(process: subprocess.Popen) -> None:
    """Let a child that opens strangers' files have no more than MOST_MEMORY, on Linux."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


class Prober:
    """One child for many videos, killed when it hangs and replaced when it dies.

    Use as a context manager; not shared between processes.

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
                [sys.executable, "-P", os.path.abspath(demux.__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            limit_memory(self._child)
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

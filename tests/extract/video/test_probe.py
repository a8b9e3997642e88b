"""The child that demuxes: it has so much time and memory, and when it dies another takes its place."""

import os
import signal
import sys
import threading
import time

import pytest
from videos import LIMITS

from videocap.extract.video.decode import decode
from videocap.extract.video.demux import VideoError
from videocap.extract.video.probe import Prober


def test_slow_children_are_killed(data):
    path = data / "other/bottle-detection.mp4"
    with Prober(**LIMITS) as prober:
        stream = prober(path)
        start = time.monotonic()
        with pytest.raises(VideoError, match="too long to decode"):
            list(decode(path, stream, range(1100), timeout=0.05, max_pixels=1 << 26))
        assert time.monotonic() - start < 5
        prober.timeout = 1e-4
        with pytest.raises(VideoError, match="longer than"):
            prober(path)
        prober.timeout = 60
        assert prober(path) == stream


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_memory_is_limited(data, prober, monkeypatch):
    path = data / "edge_cases/video_0.mov"
    stream = prober(path)
    monkeypatch.setattr("videocap.extract.video.probe.MOST_MEMORY", 200 << 20)
    with pytest.raises(VideoError):
        list(decode(path, stream, [0], **LIMITS))
    monkeypatch.setattr("videocap.extract.video.probe.MOST_MEMORY", 60 << 20)
    with Prober(**LIMITS) as small, pytest.raises(VideoError, match="died"):
        small(path)


def test_a_demuxer_that_dies_is_replaced(data):
    path = data / "edge_cases/video_0.mov"
    with Prober(**LIMITS) as prober:
        stream = prober(path)
        os.kill(prober._child.pid, signal.SIGSTOP)  # so that it dies on the next video
        threading.Timer(0.2, prober._child.kill).start()
        with pytest.raises(OSError, match="was killed while it read"):  # which says nothing about the video
            prober(path)
        assert prober(path) == stream
        prober._child.kill()  # between two videos: neither is to blame
        prober._child.wait()
        assert prober(path) == stream

"""Decoding: seeking gives the frames that decoding all would, little is decoded, and what never ends is stopped."""

import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from videos import H264, HEVC, LIMITS, SETTINGS, run_ffmpeg, synthetic

from videocap.extract.video.decode import decode, spans
from videocap.extract.video.demux import VideoError
from videocap.extract.video.frames import choose, read
from videocap.extract.video.probe import Prober
from videocap.extract.video.resize import resize_crop


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", f"{H264} -bf 3 -g 60"),
        ("h264.mkv", f"{H264} -bf 3 -g 60"),
        ("hevc.mp4", f"{HEVC}:open-gop=1:bframes=3:keyint=60:min-keyint=30"),
        ("vp9.webm", "-c:v libvpx-vp9 -cpu-used 8 -g 60"),
        ("av1.mkv", "-c:v libsvtav1 -preset 12 -g 60"),
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_seeking_gives_the_same_frames(prober, tmp_path, name, options, cut):
    path = synthetic(tmp_path / name, options, seconds=30, size="64x48")
    if cut:
        run_ffmpeg("-ss", "4.3", "-i", path, "-c", "copy", tmp_path / f"cut-{name}")
        path = tmp_path / f"cut-{name}"
    stream = prober(path)
    indices = choose(stream.times, "uniform", 5)
    runs = spans(stream.entries, indices)
    assert len(runs) >= 4
    found = [frame for entry, run in runs for frame in decode(path, stream, run, entry=entry, **LIMITS)]
    for frame, plain in zip(found, decode(path, replace(stream, spare=[]), indices, **LIMITS), strict=True):
        np.testing.assert_array_equal(frame, plain)
    for frame, image in zip(found, read(path, prober, **SETTINGS | {"frames": 5})[0], strict=True):
        np.testing.assert_array_equal(resize_crop(frame, 224), image)


def test_of_an_hour_little_is_decoded(prober, tmp_path):
    path = synthetic(tmp_path / "hour.mp4", f"-vf loop=-1:25 -t 3600 {H264} -g 125", seconds=1, size="32x32")
    stream = prober(path)
    assert len(stream.pts) == 90_000
    runs = spans(stream.entries, choose(stream.times, "uniform", 20))
    assert sum(run[-1] + 1 - entry for entry, run in runs) <= 20 * 125
    assert len(read(path, prober, **SETTINGS)[0]) == 20


def test_runs_begin_where_seeking_is_worth_it():
    assert spans([], [0, 500, 90_000]) == [(0, [0, 500, 90_000])]
    assert spans([0, 300, 600], [10, 290, 310, 599, 601]) == [(0, [10, 290, 310, 599, 601])]
    assert spans([0, 300, 600, 900], [10, 320, 1000]) == [(0, [10]), (300, [320]), (900, [1000])]
    assert spans([40], [3, 41]) == [(0, [3, 41])]


def test_a_video_that_decodes_for_ever(tmp_path):
    """Sixteen million pixels that do not move, in a few bytes, again and again."""
    path = tmp_path / "forever.webm"
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width = stream.height = 4096
        stream.options = {"deadline": "realtime", "cpu-used": "16", "lag-in-frames": "0"}
        black = np.zeros((4096, 4096, 3), np.uint8)
        packets = [stream.encode(av.VideoFrame.from_ndarray(black))[0] for _ in range(2)]
        container.mux(packets)
        for number in range(2, 20_000):
            again = av.Packet(bytes(packets[1]))
            again.pts = again.dts = number
            again.time_base, again.stream = Fraction(1, 25), stream
            container.mux(again)
    assert path.stat().st_size < 10_000_000
    with Prober(timeout=2, max_pixels=1 << 26) as prober:
        start = time.monotonic()
        with pytest.raises(VideoError, match=r"decode\.timeout"):
            read(path, prober, **SETTINGS)
        assert time.monotonic() - start < 10


def test_frames_of_too_many_pixels_are_refused(data, prober):
    path = data / "other/eat.mkv"
    stream = prober(path)
    with Prober(60, 640 * 480 - 1) as strict, pytest.raises(VideoError, match="640 x 480"):
        strict(path)
    with pytest.raises(VideoError, match="gave 0 of 1 frames"):
        list(decode(path, stream, [0], timeout=60, max_pixels=640 * 480 // 2))

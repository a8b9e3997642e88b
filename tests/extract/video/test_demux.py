"""Demuxing: which frames a file has, whatever its container claims."""

import itertools
import struct

import av
import numpy as np
import pytest
from videos import B_FRAMES, HEVC, LIMITS, SETTINGS, full_decode, patched, synthetic

from videocap.extract.video import demux
from videocap.extract.video.decode import decode, list_frames
from videocap.extract.video.demux import VideoError, probe
from videocap.extract.video.frames import choose, read
from videocap.extract.video.probe import Prober
from videocap.extract.video.resize import resize_crop


def test_key_frames_that_are_none(prober, tmp_path):
    """What a file wrongly calls a key frame would be decoded to something else, without a complaint."""
    path = synthetic(tmp_path / "long.mp4", f"{HEVC}:keyint=1000:scenecut=0", seconds=20, size="64x48")
    lying = tmp_path / "lying.mp4"
    with av.open(path) as source, av.open(lying, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.is_keyframe = number % 150 == 0
                packet.stream = stream
                target.mux(packet)
    assert prober(path).entries == [0]
    stream = prober(lying)
    assert stream.entries == []
    images, _ = read(lying, prober, **SETTINGS)
    _, reference = full_decode(path)
    for image, index in zip(images, choose(stream.times, "uniform", 20), strict=True):
        np.testing.assert_array_equal(image, resize_crop(reference[index], 224))


def test_frames_of_a_stream_are_told_apart(prober, tmp_path):
    """A stream's timestamps are ascending and its entries are among its frames."""
    stream = prober(synthetic(tmp_path / "a.mp4", B_FRAMES, seconds=4))
    assert all(a < b for a, b in itertools.pairwise(stream.pts))
    assert stream.entries == [0, 25, 50, 75]
    assert set(stream.spare) < set(stream.pts)


@pytest.mark.parametrize("size", [16, 65535])
def test_a_container_that_lies_about_the_size_of_frames_is_not_believed(prober, tmp_path, size):
    path = synthetic(tmp_path / "lying.mp4", "-c:v mpeg4", size="320x240")
    patched(path, b"mp4v", 24, struct.pack(">HH", size, size))
    stream = prober(path)
    assert next(iter(decode(path, stream, [0], **LIMITS))).shape == (240, 320, 3)
    with Prober(60, 320 * 240 - 1) as strict, pytest.raises(VideoError, match="320 x 240 pixels"):
        strict(path)


def test_a_video_of_too_many_frames(data, prober, monkeypatch):
    path = data / "msrvtt/videos/video7010.mp4"
    stream = prober(path)
    monkeypatch.setattr("videocap.extract.video.decode.MAX_FRAMES", 100)
    with pytest.raises(VideoError, match="more than 100 frames"):
        list_frames(path, stream, **LIMITS)
    monkeypatch.setattr(demux, "MAX_FRAMES", 100)
    with pytest.raises(VideoError, match="more than 100 frames"):
        probe(str(path), 1 << 26)

"""Sampled frames of the videos in a folder: what can't be read is a failure, and what has changed is none."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from videos import synthetic

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.video.sampler import SourceChanged, in_folder

DECODE, ENCODER = DecodeConfig(frames=5), EncoderConfig(weights="toyclip", pixels=32)


def item(path: Path) -> tuple[str, str]:
    return path.stem, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A video, and a file that is none."""
    synthetic(tmp_path / "good.mp4", "-pix_fmt yuv420p", seconds=1, size="64x48")
    (tmp_path / "bad.mp4").write_text("no video")
    return tmp_path


def test_frames_come_as_the_config_wants_them_and_a_bad_video_is_a_failure_with_its_reason(folder):
    with in_folder(["good", "bad"], folder, DECODE, ENCODER) as sampler:
        images, times = sampler.read(item(folder / "good.mp4"))
        assert (images.shape, images.dtype) == ((5, 32, 32, 3), np.uint8)
        np.testing.assert_allclose(times, [0.08, 0.28, 0.48, 0.68, 0.88], atol=0.041)
        assert sampler.failures == []
        name, digest = item(folder / "bad.mp4")
        assert sampler.read((name, digest)) is None
        (failure,) = sampler.failures
        assert (failure["id"], failure["digest"]) == (name, digest)
        assert "not a video file" in failure["reason"]
        assert sampler.read(item(folder / "good.mp4")) is not None, "the next one is read"


@pytest.mark.parametrize("name", ["good", "bad"])
def test_a_video_that_is_another_than_it_was_says_nothing_about_it(folder, name):
    with in_folder([name, "gone"], folder, DECODE, ENCODER) as sampler:
        with pytest.raises(SourceChanged, match=rf"{name}\.mp4 has changed since the corpus was read"):
            sampler.read((name, "0" * 64))
        with pytest.raises(SourceChanged, match="video 'gone' is no longer there"):
            sampler.read(("gone", "0" * 64))
        assert sampler.failures == []


def test_what_matters_under_one_sampling_is_left_out_under_the_other(folder):
    with in_folder([], folder, DecodeConfig(sampling="fps", fps=3.0), ENCODER) as ticks:
        assert (ticks.settings["fps"], ticks.settings["placement"]) == (3.0, "centres")
    with in_folder([], folder, DecodeConfig(fps=3.0, placement="ends"), ENCODER) as even:
        assert (even.settings["fps"], even.settings["placement"]) == (0.0, "ends")

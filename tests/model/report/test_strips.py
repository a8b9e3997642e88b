"""Strips of frames in the report, of videos that are what they were."""

import base64
import io

import numpy as np
from PIL import Image
from videos import synthetic

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.video.sampler import in_folder
from videocap.model.report import strips
from videocap.pipeline.digests import file_digest


def test_a_strip_shows_the_frames_from_left_to_right_in_two_rows():
    frames = np.zeros((40, 64, 64, 3), np.uint8) + np.linspace(0, 255, 40).astype(np.uint8)[:, None, None, None]
    kind, _, data = strips.strip(frames).partition(",")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert kind == "data:image/jpeg;base64"
    assert picture.shape == (2 * 96, 6 * 96, 3)
    levels = picture.reshape(2, 96, 6, 96, 3).mean(axis=(1, 3, 4)).reshape(12)
    assert np.abs(levels - np.linspace(0, 255, 12)).max() < 6


def test_a_video_that_has_gone_or_changed_has_no_strip(tmp_path):
    clip = synthetic(tmp_path / "a.mp4", "-pix_fmt yuv420p")
    (tmp_path / "b.mp4").write_text("no video")
    items = [("a.mp4", file_digest(clip)), ("b.mp4", file_digest(tmp_path / "b.mp4")), ("c.mp4", "0" * 64)]
    sections = DecodeConfig(), EncoderConfig()
    assert set(strips.strips(items, tmp_path, *sections, in_folder)) == {"a.mp4"}
    assert strips.strips([("a.mp4", "0" * 64)], tmp_path, *sections, in_folder) == {}

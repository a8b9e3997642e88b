"""Rows of a person's own videos: what is bad or gone is told and left out, and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from videos import synthetic
from weights import save_random

from videocap.extract.config import DecodeConfig
from videocap.extract.encoders.load import load
from videocap.extract.files import sha256
from videocap.model.captioner import saved
from videocap.model.captions.own_videos import find_weights, make_rows, picture, read_rows

DECODE = DecodeConfig(frames=5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_random(tmp_path_factory.mktemp("weights") / "clip.pt", "tiny")


@pytest.fixture
def encoder(weights):
    return load(weights, "cpu", "fp32")


def section(encoder, batch_size=3):
    return SimpleNamespace(
        pixels=encoder.pixels, resize=None, interpolation="bicubic", crop="center", batch_size=batch_size
    )


def test_of_several_videos_only_the_bad_are_left_out_each_with_its_reason(encoder, tmp_path):
    files = [tmp_path / f"{name}.mp4" for name in "abcde"]
    for number in (0, 2, 4):
        synthetic(files[number], "-pix_fmt yuv420p", seconds=0.2 + number / 10, size="64x48")
    files[1].write_text("no video")
    ended = []
    found = list(make_rows(files, encoder, DECODE, section(encoder), lambda *of: ended.append(of)))
    made = {clip.file: rows for clip, rows in found}
    assert list(made) == [files[0], files[2], files[4]]
    assert [(file, count) for file, count, _ in ended] == list(zip(files, (1, 0, 1, 0, 1), strict=True))
    assert [wrong for _, _, wrong in ended[::2]] == [None] * 3
    assert "not a video file" in ended[1][2]
    assert ended[3][2].startswith("No such file")
    assert [clip.end for clip, _ in found] == [pytest.approx(0.2 + n / 10, abs=0.05) for n in (0, 2, 4)]
    for rows in made.values():
        assert rows.values.shape == (5, encoder.width)
        assert rows.values.dtype == np.float16
        assert rows.times.shape == (5,)
    ((_, again),) = make_rows(files[4:], encoder, DECODE, section(encoder, 64), lambda *_: None)
    np.testing.assert_allclose(again.values, made[files[4]].values, rtol=1e-2, atol=1e-3)


def test_parts_of_a_video_have_rows_of_their_own(encoder, tmp_path):
    clip = synthetic(tmp_path / "a.mp4", "-pix_fmt yuv420p", seconds=3.2, size="64x48")
    ended = []
    found = list(make_rows([clip], encoder, DECODE, section(encoder), lambda *of: ended.append(of), 1.0))
    assert [(one.start, one.end) for one, _ in found] == [(0, 1), (1, 2), (2, pytest.approx(3.2, abs=0.05))]
    assert ended == [(clip, 3, None)]
    for one, rows in found:
        assert len(rows.times) == 5
        assert (one.start <= rows.times).all()
        assert (rows.times < one.end).all()
    clip.write_bytes(clip.read_bytes()[:-2000])
    ended.clear()
    list(make_rows([clip], encoder, DECODE, section(encoder), lambda *of: ended.append(of), 1.0))
    assert ended[0][2]


def test_a_picture_shows_what_is_looked_at_and_there_is_none_of_what_cant_be_read(encoder, tmp_path):
    clip = synthetic(tmp_path / "a.mp4", "-pix_fmt yuv420p", seconds=0.3, size="64x48")
    assert picture(clip, DECODE, section(encoder))[:3] == b"\xff\xd8\xff"
    (tmp_path / "b.mp4").write_text("no video")
    assert picture(tmp_path / "b.mp4", DECODE, section(encoder)) is None


def test_only_the_encoder_of_the_training_will_do(weights, tmp_path):
    digest = sha256(weights)
    told = {"pixels": 32, "resize": None, "interpolation": "bicubic", "crop": "center", "computed": []}
    by_file = saved.Encoder(weights="mine.pt", sha256=digest, **told)
    with pytest.raises(ValueError, match=f"embedded by 'mine.pt', which did not come along: .* {digest}"):
        find_weights(tmp_path, by_file, None)
    assert find_weights(tmp_path, by_file, weights) == weights
    other = tmp_path / "other.pt"
    other.write_bytes(weights.read_bytes() + b"1")
    with pytest.raises(ValueError, match=r"other\.pt is not the encoder that the model was trained with"):
        find_weights(tmp_path, by_file, other)
    with pytest.raises(ValueError, match=r"gone\.pt: No such file"):
        find_weights(tmp_path, by_file, tmp_path / "gone.pt")
    along = by_file.model_copy(update={"file_sha256": digest})
    (tmp_path / "encoder.safetensors").write_bytes(weights.read_bytes())
    assert find_weights(tmp_path, along, None) == tmp_path / "encoder.safetensors"
    public = "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
    assert find_weights(tmp_path, saved.Encoder(weights="ViT-B/16", sha256=public, **told), None) == "ViT-B/16"


def test_a_damaged_or_missing_shard_is_told_and_its_videos_are_left_out(tmp_path):
    (tmp_path / "bad.h5").write_text("no shard")
    told = []
    assert read_rows({"a": tmp_path / "bad.h5", "b": tmp_path / "gone.h5"}, told.append) == {}
    assert len(told) == 2
    assert str(tmp_path / "bad.h5") in told[0]

"""Training on stored rows: what belongs to a caption is found by its digest, and shards that lie are named."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from captioner import D_IN, D_TEXT, config, videos, vocabulary

from videocap.extract.corpus import table
from videocap.extract.shards import writer
from videocap.model.captions import ensemble
from videocap.model.training.stage import make


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shard(path: Path, items: list[tuple[str, str]], width: int, rows: int) -> dict[str, Path]:
    """Random rows of these items; the shard of each digest."""
    arrays = list(np.random.default_rng(0).normal(size=(len(items), rows, width)).astype(np.float16))
    writer.write(path, items=items, arrays=arrays, times=None, spec={}, key="k")
    return {digest: path for _, digest in items}


@pytest.fixture
def inputs(tmp_path) -> dict:
    """Eight videos for training and one for validation, as files."""
    of = videos(9)
    split = ["train"] * 8 + ["val"]
    found = [table.Video(v.id, sha(v.id), s, v.captions, v.aspects) for v, s in zip(of, split, strict=True)]
    table.write(found, tmp_path)
    vocabulary(of).save(tmp_path / "vocabulary.json")
    texts = table.captions_in(tmp_path / "captions.train.json")
    frames = shard(tmp_path / "frames.h5", [(video.id, video.digest) for video in found], D_IN, 4)
    (tmp_path / "scratch").mkdir()
    return {
        "scratch": tmp_path / "scratch",
        **{f"{part}_train": tmp_path / f"{part}.train.json" for part in ("videos", "captions", "aspects")},
        **{f"{part}_val": tmp_path / f"{part}.val.json" for part in ("videos", "captions")},
        "rows_train": {video.digest: frames[video.digest] for video in found[:8]},
        "rows_val": {video.digest: frames[video.digest] for video in found[8:]},
        "rows_text": shard(tmp_path / "texts.h5", texts, D_TEXT, 1),
        "vocabulary": tmp_path / "vocabulary.json",
    }


def test_a_model_comes_out_and_of_one_validation_video_it_is_said_that_it_is_too_few(inputs, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.warns(UserWarning, match="1 validation videos are too few: the last epoch's weights are kept"):
        make(tmp_path / "out", config(epochs=1), **inputs)
    model, words = ensemble.load(tmp_path / "out", (), "cpu")
    assert words == vocabulary(videos(9))
    assert model.feature_mean.shape == (D_IN,)


def test_shards_that_hold_more_than_a_row_a_caption_are_named(inputs, tmp_path):
    texts = table.captions_in(inputs["captions_train"])
    inputs["rows_text"] = shard(tmp_path / "more.h5", texts, D_TEXT, 2)
    with pytest.raises(ValueError, match="must hold one row a caption: delete them, and run again"):
        make(tmp_path, config(epochs=1), **inputs)

"""Captions of the training videos that look most alike: which those are, and which of their captions is taken."""

import hashlib
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.corpus import table
from videocap.extract.shards import writer
from videocap.model.scores import neighbours
from videocap.model.scores.neighbours import most_agreed, nearest


@given(seed=st.integers(0, 2**31), count=st.integers(1, 12))
def test_the_nearest_are_those_of_a_plain_search(seed, count):
    draw = np.random.default_rng(seed)
    known, wanted = draw.normal(size=(8, 5)).astype(np.float32), draw.normal(size=(3, 5)).astype(np.float32)
    found = list(nearest(known, wanted, [f"k{i}" for i in range(8)], ["w0", "k3", "w2"], count))
    mean, deviation = known.mean(0), known.std(0)
    for index, places in enumerate(found):
        a = (wanted[index] - mean) / deviation
        alike = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for b in (known - mean) / deviation]
        expected = [i for i in sorted(range(8), key=lambda i: -alike[i]) if not (index == 1 and i == 3)]
        np.testing.assert_allclose([alike[i] for i in places], [alike[i] for i in expected[:count]], atol=1e-5)


def test_the_caption_that_agrees_most_is_taken():
    captions = [["a dog runs on grass", "two men talk"], ["a dog runs", "a red car"], ["the dog runs on the grass"]]
    assert most_agreed(captions, iter([[0, 1, 2], [1], []])) == ["a dog runs on grass", "a dog runs", ""]


def test_captions_of_a_split_come_from_those_it_looks_like(tmp_path, monkeypatch):
    seen = {"dog1": [1, 0], "dog2": [0.9, 0.1], "car1": [0, 1], "car2": [0.1, 0.9], "mine": [0.8, 0.2]}
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in (*seen, "failed")}
    texts = {name: f"a {name[:3]} moves" for name in digests}
    splits = {name: "test" if name in ("mine", "failed") else "train" for name in digests}
    table.write([table.Video(name, digests[name], splits[name], (texts[name],)) for name in digests], tmp_path)
    arrays = [np.array([row] * 3, np.float16) for row in seen.values()]
    items = [(name, digests[name]) for name in seen]
    writer.write(tmp_path / "rows.h5", items=items, arrays=arrays, times=None, spec={}, key="k")
    rows = {
        split: {digests[n]: tmp_path / "rows.h5" for n in seen if splits[n] == split} for split in ("train", "test")
    }
    monkeypatch.setattr(neighbours, "nearest", lambda *given: nearest(*given, count=2))
    neighbours.make(
        tmp_path,
        None,
        videos=tmp_path / "videos.test.json",
        rows=rows["test"],
        videos_train=tmp_path / "videos.train.json",
        rows_train=rows["train"],
        captions_train=tmp_path / "captions.train.json",
    )
    assert json.loads((tmp_path / "captions.json").read_text()) == [{"video_id": "mine", "caption": "a dog moves"}]

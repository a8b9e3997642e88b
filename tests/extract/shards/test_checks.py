"""Checking shards: any damaged byte and any lie of a manifest is found; rows are compared as the contract says."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.shards import checks, writer
from videocap.extract.shards.exchange import item_digest
from videocap.extract.shards.shard import Features, Shard

SPEC = {"stage": "EmbedFramesShard", "config": {"decode.frames": 4}}
NAMES = ("a", "video/ü", "c")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make(path: Path, spec: dict = SPEC, names=NAMES, digests=None, width=8) -> dict:
    """Write a shard; returns the manifest that fits it."""
    rng = np.random.default_rng(0)
    digests = digests or [sha(name) for name in names]
    arrays = [rng.normal(size=(number + 1, width)) for number in range(len(names))]
    times = [np.arange(len(rows)) * 0.5 for rows in arrays]
    items = list(zip(names, digests, strict=True))
    info = writer.write(path, items=items, arrays=arrays, times=times, spec=spec, key="k" * 64)
    told = {"key": "k" * 64, "content": info.content, "items": len(items), "ids": list(names), "digests": digests}
    return told | file_of(path)


def file_of(path: Path) -> dict:
    return {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict, bytes]:
    path = tmp_path_factory.mktemp("shard") / "shard.h5"
    manifest = make(path)
    return path, manifest, path.read_bytes()


@given(st.data())
def test_any_damaged_byte_is_found_and_the_file_named(whole, data):
    path, manifest, good = whole
    path.write_bytes(good)
    assert checks.check_shard(path, manifest, SPEC) == []
    place = data.draw(st.integers(0, len(good) - 1))
    flipped = good[place] ^ data.draw(st.integers(1, 255))
    path.write_bytes(good[:place] + bytes([flipped]) + good[place + 1 :])
    (problem,) = checks.check_shard(path, manifest, SPEC)
    assert problem.startswith(f"{path} is damaged")
    assert problem.endswith("delete it, and the next run makes it anew; what was imported, import again")


@given(st.data())
def test_a_file_cut_short_or_lengthened_is_found(whole, data):
    path, manifest, good = whole
    cut = data.draw(st.integers(0, len(good) - 1))
    for content in (good[:cut], good + b"\0" * (cut + 1)):
        path.write_bytes(content)
        (problem,) = checks.check_shard(path, manifest, SPEC)
        assert f"it has {len(content)} bytes, not {len(good)} as its manifest says" in problem


@given(st.data())
def test_rows_changed_together_with_the_files_digest_are_found(whole, data):
    path, manifest, good = whole
    path.write_bytes(good)
    with h5py.File(path) as file:
        spans = [range(start := file[n].id.get_offset(), start + file[n].nbytes) for n in file]
    place = data.draw(st.sampled_from([place for span in spans for place in span]))
    path.write_bytes(good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :])
    assert checks.check_shard(path, manifest | file_of(path), SPEC)


@pytest.mark.parametrize(
    "lie",
    [
        {"key": "l" * 64},
        {"content": "0" * 64},
        {"items": 2},
        {"ids": [*NAMES[:2], "another"]},
        {"digests": [sha(name) for name in "xyz"]},
        {"digests": [sha(name) for name in NAMES[::-1]]},
    ],
    ids=str,
)
def test_a_manifest_that_lies_about_its_shard_is_found(tmp_path, lie):
    manifest = make(tmp_path / "shard.h5")
    assert checks.check_shard(tmp_path / "shard.h5", manifest, SPEC) == []
    (problem,) = checks.check_shard(tmp_path / "shard.h5", manifest | lie, SPEC)
    assert problem.startswith(f"{tmp_path / 'shard.h5'} has not the {next(iter(lie))} that its manifest gives; delete")


def test_a_shard_of_another_spec_is_found(tmp_path):
    manifest = make(tmp_path / "shard.h5")
    (problem,) = checks.check_shard(tmp_path / "shard.h5", manifest, SPEC | {"config": {"decode.frames": 5}})
    assert "has not the spec that its manifest and store.json gives" in problem


def test_the_first_manifests_had_no_ids(tmp_path):
    manifest = make(tmp_path / "shard.h5")
    del manifest["ids"]
    assert checks.check_shard(tmp_path / "shard.h5", json.loads(json.dumps(manifest)), SPEC) == []


def test_a_caption_under_the_digest_of_another_is_found(tmp_path):
    spec = {"stage": "EmbedCaptionsShard"}
    assert checks.check_shard(tmp_path / "a.h5", make(tmp_path / "a.h5", spec), spec) == []
    manifest = make(tmp_path / "b.h5", spec, digests=[sha(name) for name in ("a", "c", "video/ü")])
    (problem,) = checks.check_shard(tmp_path / "b.h5", manifest, spec)
    assert "holds a text under the digest of another one" in problem


def test_a_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        checks.check_shard(tmp_path / "gone.h5", {"size": 1}, SPEC)


def test_of_a_file_that_arrived_all_is_checked_but_its_bytes(tmp_path, monkeypatch):
    path = tmp_path / "shard.h5"
    manifest = make(path)
    monkeypatch.setattr(Shard, "read", None)
    monkeypatch.setattr(Shard, "check", None)
    assert checks.check_arrived(path, manifest, SPEC) == []
    for lie in ({"key": "l" * 64}, {"content": "0" * 64}, {"items": 2}, {"ids": ["x", "y", "z"]}, {"digests": ["0"]}):
        (problem,) = checks.check_arrived(path, manifest | lie, SPEC)
        assert f"has not the {next(iter(lie))} that its manifest gives" in problem
    (problem,) = checks.check_arrived(path, manifest, SPEC | {"version": 2})
    assert "has not the spec" in problem
    path.write_bytes(path.read_bytes()[:-100])
    (problem,) = checks.check_arrived(path, manifest, SPEC)
    assert problem.startswith(f"{path} is damaged")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        checks.check_arrived(path, manifest, SPEC)


def test_of_a_file_that_arrived_texts_and_foreign_rows_must_have_their_digests(tmp_path):
    texts = {"stage": "EmbedCaptionsShard"}
    assert checks.check_arrived(tmp_path / "a.h5", make(tmp_path / "a.h5", texts), texts) == []
    manifest = make(tmp_path / "b.h5", texts, digests=[sha(name) for name in ("a", "c", "video/ü")])
    (problem,) = checks.check_arrived(tmp_path / "b.h5", manifest, texts)
    assert "holds a text under the digest of another one" in problem
    foreign = {"stage": "ForeignShard"}
    manifest = make(tmp_path / "c.h5", foreign)
    (problem,) = checks.check_arrived(tmp_path / "c.h5", manifest, foreign)
    assert "holds rows under the digest of others" in problem
    with Shard(tmp_path / "c.h5") as shard:
        digests = [item_digest(name, shard.read(number)) for number, name in enumerate(NAMES)]
    assert checks.check_arrived(tmp_path / "d.h5", make(tmp_path / "d.h5", foreign, digests=digests), foreign) == []
    (problem,) = checks.check_arrived(tmp_path / "e.h5", make(tmp_path / "e.h5", foreign, width=0), foreign)
    assert "holds rows under the digest of others" in problem, "rows of nothing have no digest"


@pytest.mark.parametrize("check", [checks.check_shard, checks.check_arrived])
def test_features_of_a_spec_of_frames_are_found(tmp_path, check):
    spec = SPEC | {"stage": "DecodeShard"}
    (problem,) = check(tmp_path / "shard.h5", make(tmp_path / "shard.h5", spec), spec)
    assert "holds rows of float16, which its spec does not make" in problem


def one(values: np.ndarray, times=None) -> Features:
    times = np.arange(len(values), dtype=np.float32) if times is None else np.asarray(times, np.float32)
    return Features(values, np.array([0, len(values)]), times)


def turned(row: np.ndarray, cosine: float) -> np.ndarray:
    """A row of the same length at an angle of that cosine."""
    other = np.roll(row, 1)
    other -= row * (other @ row) / (row @ row)
    return cosine * row + np.sqrt(1 - cosine**2) * other * np.linalg.norm(row) / np.linalg.norm(other)


@given(st.floats(-1, 1) | st.floats(0.999, 1), st.floats(0.5, 2) | st.just(1.0), st.integers(0, 2))
def test_a_row_may_differ_by_its_cosine_and_length_as_far_as_the_contract_allows(cosine, stretch, row):
    again = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    stored = again.copy()
    stored[row] = turned(again[row], cosine) * stretch
    if cosine >= 0.99991 and abs(stretch - 1) < 0.019:
        assert checks.compare(one(stored), one(again)) is None
    if cosine < 0.99989 or abs(stretch - 1) > 0.021:
        assert checks.compare(one(stored), one(again))


@given(st.floats(-20, 20), st.integers(0, 2))
def test_a_frame_may_differ_by_a_level_on_average(levels, frame):
    again = np.random.default_rng(0).integers(40, 200, (3, 16, 16, 3), np.uint8)
    stored = again.copy()
    noise = np.random.default_rng(1).permutation(np.linspace(0, 2 * levels, 16 * 16 * 3)).round()
    stored[frame] = again[frame] + noise.reshape(16, 16, 3)
    assert (checks.compare(one(stored), one(again)) is None) == (np.abs(noise).mean() <= 1)


def test_rows_and_times_must_be_as_many_and_the_same():
    rows = np.ones((3, 4), np.float16)
    assert checks.compare(one(rows), one(rows)) is None
    assert checks.compare(one(rows[:0]), one(rows[:0])) is None
    assert checks.compare(one(rows, [0, 1, 2]), one(rows, [0.0005, 1, 2])) is None
    assert "times differ by up to 0.010 s" in checks.compare(one(rows, [0, 1, 2]), one(rows, [0, 1.01, 2]))
    assert checks.compare(one(rows, [0, 1, np.nan]), one(rows))
    assert "2 rows of float16 4 instead of 3 rows of float16 4" in checks.compare(one(rows), one(rows[:2]))
    assert checks.compare(one(rows), one(np.ones((3, 5), np.float16)))


def test_a_row_without_direction_is_like_none_that_has_one():
    zeros, ones = np.zeros((1, 4), np.float16), np.ones((1, 4), np.float16)
    assert checks.compare(one(zeros), one(zeros)) is None
    assert checks.compare(one(zeros), one(ones))
    assert checks.compare(one(ones), one(zeros))
    assert checks.compare(one(ones * np.float16(np.nan)), one(ones))


def test_a_deviation_is_the_least_cosine_or_the_most_levels_and_none_of_equal_bytes():
    rows = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float16)
    assert checks.measure(one(rows), one(rows.copy())) is None
    other = rows.copy()
    other[1, 0] = np.nextafter(other[1, 0], np.float16(9))
    near = checks.measure(one(rows), one(other))
    assert (near.wrong, near.measure) == (None, "cosine")
    assert 0.99999 < near.value < 1
    far = checks.measure(one(rows), one(-other))
    assert far.far > near.far > 0
    assert "cosine -1.00000, less than" in far.wrong
    frames = np.full((2, 4, 4, 3), 100, np.uint8)
    other = frames.copy()
    other[1, :2] += 1
    near = checks.measure(one(frames), one(other))
    assert (near.wrong, near.measure, near.value, str(near)) == (None, "levels", 0.5, "0.5 levels of 255")
    assert "differs by 20.0 levels" in checks.measure(one(frames), one(frames + np.uint8(20))).wrong
    assert not np.isfinite(checks.measure(one(rows), one(rows[:2])).far), "there is no figure for it"
    assert checks.measure(one(rows), one(rows, [0, 0, 0])).wrong == "times differ by up to 2.000 s"


def test_a_measurer_opens_each_shard_once(tmp_path, monkeypatch):
    make(tmp_path / "a.h5")
    make(tmp_path / "b.h5")
    opened = []
    monkeypatch.setattr(checks, "Shard", lambda path: opened.append(path) or Shard(path))
    measure = checks.measurer()
    assert [measure(tmp_path / "a.h5", tmp_path / "b.h5", sha(name)) for name in NAMES] == [None] * 3
    assert opened == [tmp_path / "a.h5", tmp_path / "b.h5"]

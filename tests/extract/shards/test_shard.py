"""Shards: what is written is read, by us and by plain h5py, and damage is noticed."""

import contextlib
import hashlib
import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards import SPEC, some_items, some_rows, write_some

from videocap.extract.shards import format as shard_format
from videocap.extract.shards.shard import DamagedShard, Shard, read
from videocap.extract.shards.writer import write

names = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), unique=True, max_size=6)


@given(names, st.data(), st.integers(0, 5), st.sampled_from([np.float16, np.float32, np.uint8]))
def test_what_is_written_is_read(tmp_path_factory, names, data, width, dtype):
    path = tmp_path_factory.mktemp("shard") / "shard.h5"
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=len(names), max_size=len(names)))
    arrays = some_rows(sizes, width, dtype=dtype)
    times = [np.arange(size) * 0.1 for size in sizes]
    items = some_items(names)
    info = write(path, items=items, arrays=arrays, times=times, spec=SPEC, key="k")
    features = read(path)
    assert (info.items, info.rows) == (len(names), sum(sizes))
    assert list(zip(features.ids, features.digests, strict=True)) == items
    assert len(features) == len(arrays)
    if names:
        assert features.values.dtype == (np.uint8 if dtype == np.uint8 else np.float16)
    for i, (array, seconds) in enumerate(zip(arrays, times, strict=True)):
        np.testing.assert_array_equal(features[i], array.astype(features.values.dtype))
        span = slice(features.offsets[i], features.offsets[i + 1])
        np.testing.assert_array_equal(features.times[span], seconds.astype(np.float32))
    with Shard(path) as shard:
        assert (shard.key, shard.spec, shard.content) == ("k", SPEC, info.content)
        for i in range(len(arrays)):
            np.testing.assert_array_equal(shard.read(i), features[i])


def test_plain_h5py_reads_the_documented_layout(tmp_path):
    arrays = some_rows([2, 0, 3])
    items = some_items(["video1", "ordner/ü.mp4", "x"])
    times = [np.array([0.5, 1.5]), np.array([]), np.array([0, 1, 2])]
    info = write(tmp_path / "s.h5", items=items, arrays=arrays, times=times, spec=SPEC, key="k")
    with h5py.File(tmp_path / "s.h5") as file:
        assert set(file) == {"ids", "digests", "offsets", "values", "times"}
        assert set(file.attrs) == {"format", "format_version", "spec", "key", "content"}
        assert file["ids"].asstr()[:].tolist() == [name for name, _ in items]
        assert h5py.check_string_dtype(file["ids"].dtype) == ("utf-8", len("ordner/ü.mp4".encode()))
        assert file["digests"].dtype == "S64"
        assert file["offsets"][:].tolist() == [0, 2, 2, 5]
        assert (file["values"].dtype, file["values"].shape) == (np.float16, (5, 8))
        assert file["times"].dtype == np.float32
        assert file["times"][:].tolist() == [0.5, 1.5, 0, 1, 2]
        assert json.loads(file.attrs["spec"]) == SPEC
        assert file.attrs["key"].decode() == "k"
        for name in file:
            assert file[name].chunks is None
        # the digest as the docstring defines it
        digest = hashlib.sha256()
        for name, kind in [
            ("ids", "|S13"),
            ("digests", "|S64"),
            ("offsets", "<i8"),
            ("values", "<f2"),
            ("times", "<f4"),
        ]:
            shape = "x".join(map(str, file[name].shape))
            digest.update(f"{name} {kind} {shape}\n".encode() + file[name][:].tobytes())
        assert digest.hexdigest() == file.attrs["content"].decode() == info.content


def test_any_flipped_byte_of_the_data_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_format, "PIECE", 32)
    path = tmp_path / "s.h5"
    write_some(path)
    good = path.read_bytes()
    with h5py.File(path) as file:
        places = [(file[n].id.get_offset(), file[n].nbytes) for n in file]
    for start, size in places:
        for place in range(start, start + size, 5):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
            with pytest.raises(DamagedShard, match=r"s\.h5"):
                read(path)
            with pytest.raises(DamagedShard, match=r"s\.h5"), Shard(path) as shard:
                shard.check()


def test_damage_anywhere_is_noticed_or_does_no_harm(tmp_path):
    path = tmp_path / "s.h5"
    arrays, _ = write_some(path)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        with contextlib.suppress(DamagedShard):
            features = read(path)
            np.testing.assert_array_equal(features.values, np.concatenate(arrays))
    for size in range(0, len(good), 97):
        path.write_bytes(good[:size])
        with pytest.raises(DamagedShard, match=r"s\.h5"):
            read(path)


def test_shards_need_no_torch():
    code = "import sys, videocap.extract.shards.shard; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"

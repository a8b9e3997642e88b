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
from videocap.extract.shards.format import content_digest
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


def test_two_writes_are_byte_identical(tmp_path):
    write_some(tmp_path / "a.h5")
    write_some(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@given(
    st.lists(st.integers(0, 4), max_size=6),
    st.integers(0, 5),
    st.sampled_from([np.float16, np.float64, np.uint8]),
    st.integers(1, 200),
)
def test_neither_file_nor_digest_depends_on_the_pieces(tmp_path_factory, sizes, width, dtype, piece):
    folder = tmp_path_factory.mktemp("shard")
    arguments = {"items": some_items(map(str, range(len(sizes)))), "arrays": some_rows(sizes, width, dtype=dtype)}
    arguments |= {"times": [np.full(size, np.nan) for size in sizes], "spec": SPEC, "key": "k"}
    write(folder / "large.h5", **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_format, "PIECE", piece)
        info = write(folder / "small.h5", **arguments)
        with Shard(folder / "small.h5") as shard, h5py.File(shard.path) as file:
            shard.check()
            assert content_digest({name: file[name][()] for name in file}) == shard.content == info.content
    assert (folder / "large.h5").read_bytes() == (folder / "small.h5").read_bytes()


@pytest.mark.parametrize("rows", ["((20, 224, 224, 3), 7, np.uint8)", "((1000, 512), 7, np.float32)"])
def test_writing_and_checking_takes_little_memory_beside_the_arrays(tmp_path, rows):
    # Linux's own count: ru_maxrss would begin with what this process has, and hide what is less.
    code = f"""
import re, sys
from pathlib import Path
import numpy as np
from videocap.extract.shards.writer import write
from videocap.extract.shards.shard import Shard

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

arrays = [np.full(*{rows})]
arrays += [arrays[0].copy() for _ in range(200_000_000 // arrays[0].nbytes)]
items = [(str(number), 64 * "0") for number in range(len(arrays))]
before = peak()
assert before > 200_000_000 / 2**20
write(sys.argv[1], items=items, arrays=arrays, times=None, spec={{}}, key="k")
with Shard(sys.argv[1]) as shard:
    shard.check()
print(peak() - before)
"""
    path = tmp_path / "s.h5"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    path.unlink()
    assert float(done.stdout) < 64


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


def spoil(file, kind, folder):
    """Change one thing of an open shard."""
    if kind in ("soft link", "external link", "group", "missing", "virtual", "chunked", "external data", "wrong type"):
        values = file["values"][:]
        del file["values"]
    if kind == "soft link":
        file["values"] = h5py.SoftLink("/times")
    elif kind == "external link":
        file["values"] = h5py.ExternalLink(str(folder / "other.h5"), "/values")
    elif kind == "group":
        file.create_group("values")
    elif kind == "virtual":
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "values", values.shape)
        file.create_virtual_dataset("values", layout)
    elif kind == "chunked":
        file.create_dataset("values", data=values, chunks=(1, 8))
    elif kind == "external data":
        outside = [(str(folder / "raw"), 0, values.nbytes)]
        file.create_dataset("values", values.shape, values.dtype, external=outside)
    elif kind == "wrong type":
        file.create_dataset("values", data=values.astype(np.float32))
    elif kind == "unallocated":
        del file["times"]
        file.create_dataset("times", (6,), np.float32)
    elif kind == "huge":
        del file["times"]
        file.create_dataset("times", (1 << 40,), np.float32)
    elif kind == "more":
        file["more"] = 1
    elif kind == "offsets beyond":
        file["offsets"][-1] = 7
    elif kind == "offsets back":
        file["offsets"][1] = 5
    elif kind == "version":
        file.attrs["format_version"] = 2
    elif kind == "no key":
        del file.attrs["key"]
    elif kind == "spec":
        file.attrs["spec"] = "{"
    elif kind == "digest":
        file["digests"][0] = b"abc"


@pytest.mark.parametrize(
    "kind",
    "soft link, external link, group, missing, virtual, chunked, external data, wrong type, unallocated, huge, more, "
    "offsets beyond, offsets back, version, no key, spec, digest".split(", "),
)
def test_what_is_not_plain_data_is_refused_at_opening(tmp_path, kind):
    write_some(tmp_path / "other.h5")
    write_some(tmp_path / "s.h5")
    (tmp_path / "raw").write_bytes(b"secret" * 100)
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        spoil(file, kind, tmp_path)
    with pytest.raises(DamagedShard, match=r"s\.h5"):
        Shard(tmp_path / "s.h5")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no HDF5")
    with pytest.raises(DamagedShard, match="text"):
        read(tmp_path / "text")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["values"] = [1.0]
    with pytest.raises(DamagedShard, match="no feature shard"):
        read(tmp_path / "foreign.h5")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": some_items(["a\0b"])}, "NUL"),
        ({"items": [("a", "abc")]}, "sha256"),
        ({"items": some_items("ab")}, "do not go together"),
        ({"items": some_items("ab"), "arrays": [np.zeros((1, 2)), np.zeros((1, 3))]}, "beside"),
        ({"arrays": [np.full((1, 2), 1e6)]}, "too large"),
        ({"arrays": [np.full((1, 2), np.nan)]}, "not finite"),
        ({"items": some_items("abc"), "arrays": [np.zeros((n, 2)) + n // 2 * 1e6 for n in (0, 1, 2)]}, "^c: a feature"),
        ({"times": [np.zeros(2)]}, "1 rows with 2 times"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(tmp_path, change, message):
    arguments = {
        "items": some_items("a"),
        "arrays": [np.zeros((1, 2))],
        "times": None,
        "spec": SPEC,
        "key": "k",
    } | change
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "s.h5", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_left_alone(tmp_path):
    (tmp_path / "s.h5").write_text("mine")
    with pytest.raises(FileExistsError):
        write_some(tmp_path / "s.h5")
    assert (tmp_path / "s.h5").read_text() == "mine"


def test_shards_need_no_torch():
    code = "import sys, videocap.extract.shards.shard; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path):
    code = (
        "import resource, sys; import numpy as np; from videocap.extract.shards.writer import write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write(sys.argv[1], items=[('a', '0' * 64)], arrays=[np.zeros((9, 64, 64, 3), np.uint8)], times=None,"
        " spec={}, key='k')"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "shard.h5"], capture_output=True, text=True)
    assert run.returncode == 1
    assert "OSError" in run.stderr.splitlines()[-1]
    assert "shard.h5" in run.stderr.splitlines()[-1]
    assert "File too large" in run.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []

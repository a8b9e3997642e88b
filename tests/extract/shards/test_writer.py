"""Writing shards: the same bytes for the same rows, in little memory, whole or not at all."""

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
from videocap.extract.shards.shard import Shard
from videocap.extract.shards.writer import write


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

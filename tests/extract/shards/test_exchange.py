"""Features go to other code and come from it: float32 arrays by id, in .npy files or in HDF5."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from shards import sha
from store_of_shards import SPEC, publish

from videocap import open_store
from videocap.extract.shards.exchange import ForeignFeatures, export, item_digest, read_items

PLACES = ["features.hdf5", "features"]
REFUSED = {
    **dict.fromkeys("abcd", "."),  # numpy has its own words
    "e": "more than one array",
    "f": "no regular file",
    "g": "no regular file",
    "huge": "never written",
    "outside": "in another file",
    "virtual": "in another file",
}


def a_store(folder, names, width=8):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(1 + i % 3, width)).astype(np.float16) for i in range(len(names))]
    publish(folder, [(name, sha(name)) for name in names], rows)
    return open_store(folder)


def test_hdf5_is_what_captioning_code_reads(tmp_path):
    store = a_store(tmp_path / "store", ["video7010", "kitchen/first.mp4"])
    export(store, tmp_path / "features.hdf5")
    with h5py.File(tmp_path / "features.hdf5") as file:
        for name in store:
            assert file[name].dtype == np.float32
            np.testing.assert_array_equal(file[name][:], store[name])
        assert json.loads(file.attrs["spec"]) == SPEC


def test_npy_is_a_file_a_video(tmp_path):
    store = a_store(tmp_path / "store", ["video7010", "kitchen/first.mp4"])
    export(store, tmp_path / "features")
    for name in store:
        rows = np.load(tmp_path / "features" / f"{name}.npy")
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, store[name])
    assert json.loads((tmp_path / "features" / "spec.json").read_text()) == SPEC


segments = st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=8)
ids = st.lists(segments, min_size=1, max_size=3).map("/".join)


@given(st.lists(ids, min_size=1, max_size=5, unique=True), st.sampled_from(PLACES))
@example([".npy/0"], "features")
def test_what_is_exported_is_imported_again_or_refused_before_anything_is_written(tmp_path_factory, names, place):
    folder = tmp_path_factory.mktemp("exchange")
    store = a_store(folder / "store", names)
    try:
        export(store, folder / place)
    except ValueError:
        assert sorted(path.name for path in folder.iterdir()) == ["store"]
        return
    foreign = ForeignFeatures(folder / place)
    assert sorted(foreign.ids) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(foreign.read(name), store[name])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["../video", "a/../b", "/etc/video", "a//b", ".", "", "x" * 260])
def test_ids_that_lead_elsewhere_are_refused(tmp_path, name, place):
    store = a_store(tmp_path / "store", ["good", name])
    with pytest.raises(ValueError, match="the id"):
        export(store, tmp_path / "out" / place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", PLACES)
def test_what_is_there_is_not_overwritten(tmp_path, place):
    store = a_store(tmp_path / "store", ["a"])
    export(store, tmp_path / place)
    with pytest.raises(ValueError, match="there already"):
        export(store, tmp_path / place)


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_store_leaves_nothing_half_exported(tmp_path, place):
    store = a_store(tmp_path / "store", [f"video{i}" for i in range(40)])
    shard = next(store.path.glob("*.h5"))
    store["video0"]
    with open(shard, "r+b") as file:
        file.truncate(3000)
    with pytest.raises(ValueError, match=shard.name):
        export(store, tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_is_named_and_leaves_nothing_half_exported(tmp_path, place):
    a_store(tmp_path / "store", ["a"], width=20_000)
    code = (
        "import resource, sys; from pathlib import Path; from videocap import open_store\n"
        "from videocap.extract.shards.exchange import export\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "export(open_store(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, tmp_path / "store", tmp_path / place]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith(f"OSError: {tmp_path / place} can't be written, is the disk full?")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_what_other_code_writes_is_read(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("video1", data=np.ones((5, 16)), compression="gzip")  # float64
        file.create_dataset("group/video2", data=np.ones(16, np.float32))
    foreign = ForeignFeatures(tmp_path / "other.h5")
    assert foreign.ids == ("group/video2", "video1")
    assert foreign.read("video1").shape == (5, 16)
    assert foreign.read("group/video2").shape == (1, 16)
    assert foreign.read("video1").dtype == np.float16


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3, 4), np.float32), "no feature array"),
        (np.ones((2, 3), np.int64), "no feature array"),
        (np.ones((0, 3), np.float32), "no feature array"),
        (np.full((2, 3), 1e6), "too large for float16"),
        (np.full((2, 3), np.nan), "not finite"),
        (np.array([{"a": 1}], dtype=object), "Python objects"),
        (np.ones((1 << 18, 512), np.float32), "claims 536870912 bytes"),
    ],
)
def test_what_are_no_features_is_named(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        ForeignFeatures(tmp_path).read("a")


def test_hostile_files_are_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "npy").mkdir()
    for name, shape in (("a", (1 << 40, 512)), ("c", (1 << 70, 512))):
        with open(tmp_path / "npy" / f"{name}.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    (tmp_path / "npy" / "b.npy").write_text("no array")
    (tmp_path / "npy" / "d.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 117 + b"\n")
    np.savez(tmp_path / "archive.npz", np.ones((2, 3)))
    (tmp_path / "archive.npz").rename(tmp_path / "npy" / "e.npy")
    os.mkfifo(tmp_path / "npy" / "f.npy")
    (tmp_path / "npy" / "g.npy").symlink_to("/dev/zero")
    (tmp_path / "raw").write_bytes(b"secret" * 100)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["rows"] = np.ones((2, 8), np.float32)
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        file.create_dataset("huge", (1 << 40, 512), np.float32, chunks=(1, 512))
        file.create_dataset("outside", (2, 8), np.float32, external=[(str(tmp_path / "raw"), 0, 64)])
        layout = h5py.VirtualLayout((2, 8), np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "rows", (2, 8))
        file.create_virtual_dataset("virtual", layout)
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/rows")
        file["soft"] = h5py.SoftLink("/huge")
    for source, names in [
        (tmp_path / "npy", list("abcdefg")),
        (tmp_path / "hostile.h5", ["huge", "outside", "virtual"]),
    ]:
        foreign = ForeignFeatures(source)
        assert list(foreign.ids) == names
        for name in names:
            with pytest.raises(ValueError, match=REFUSED[name]):
                foreign.read(name)
        failed = []
        assert list(read_items(foreign, 512, failed)) == []
        assert len(failed) == len(names)
        assert foreign.width() is None


def test_the_width_is_that_of_most(tmp_path):
    for name, width in (("a", 9), ("b", 16), ("c", 16)):
        np.save(tmp_path / f"{name}.npy", np.ones((2, width)))
    assert ForeignFeatures(tmp_path).width() == 16


def test_a_shard_is_no_source(tmp_path):
    a_store(tmp_path / "store", ["a"])
    with pytest.raises(ValueError, match="a shard of a store"):
        ForeignFeatures(next((tmp_path / "store").glob("*.h5")))


def test_other_sources_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    a_store(tmp_path / "store", ["a"])
    for place, message in [("absent", "neither"), ("text", "neither"), ("empty", "no features"), ("store", "already")]:
        with pytest.raises(ValueError, match=message):
            ForeignFeatures(tmp_path / place)


def test_the_digest_tells_ids_shapes_and_values_apart():
    rows = np.arange(12, dtype=np.float16)
    arrays = (rows.reshape(3, 4), rows.reshape(4, 3), rows[::-1].reshape(3, 4))
    assert len({item_digest(name, array) for name in "ab" for array in arrays}) == 6

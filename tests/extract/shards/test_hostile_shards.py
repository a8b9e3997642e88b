"""Shards and stores of somebody who means harm: each is refused with its reason, and nothing but it is touched.

What is not plain data (links inside the file, virtual and chunked datasets, data in other files, …) is in
`test_structure.py`; what a store may look like in `test_store.py`.
"""

import contextlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from shards import write_some

from videocap.extract.shards.format import DATASETS, content_digest
from videocap.extract.shards.shard import DamagedShard, Shard

HOSTILE: dict[str, tuple[str, Callable[[Path], None]]] = {}


def hostile(kind: str, reason: str) -> Callable:
    """Adds to the list a function that makes a hostile file of the good shard at a path."""

    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        HOSTILE[kind] = reason, make
        return make

    return add


def edited(kind: str, reason: str) -> Callable:
    """As `hostile`, for a function that is given the open HDF5 file; the digest is made to fit."""

    def add(edit: Callable[[h5py.File], None]) -> None:
        def make(path: Path) -> None:
            with h5py.File(path, "r+") as file:
                edit(file)
                with contextlib.suppress(Exception):  # not of everything there is one
                    file.attrs["content"] = np.bytes_(content_digest({name: file[name][()] for name in DATASETS}))

        HOSTILE[kind] = reason, make

    return add


def put(file: h5py.File, name: str, kind: h5py.h5t.TypeID, shape: tuple[int, ...] = (3,)) -> None:
    """Replace a dataset by one of this type, all of whose bytes are there."""
    del file[name]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), plan)


@hostile("a link", "is a symbolic link")
def _(path):
    path.rename(path.with_name("elsewhere.h5"))
    path.symlink_to("elsewhere.h5")


@hostile("a link to nowhere", "is a symbolic link")
def _(path):
    path.unlink()
    path.symlink_to("nowhere")


@hostile("a link to itself", "is a symbolic link")
def _(path):
    path.unlink()
    path.symlink_to(path)


@hostile("a folder", "no regular file")
def _(path):
    path.unlink()
    path.mkdir()


@hostile("a pipe", "no regular file")
def _(path):
    path.unlink()
    os.mkfifo(path)


@hostile("a user block", "something else comes before its content")
def _(path):
    path.write_bytes(b"#!/bin/sh\n".ljust(512) + path.read_bytes())


@hostile("something behind its content", "50[0-9]{5} bytes that are of no dataset")
def _(path):
    path.write_bytes(path.read_bytes() + bytes(5_000_000))


@hostile("cut", "truncated file")
def _(path):
    path.write_bytes(path.read_bytes()[:-1])


@edited("a large attribute", "bytes that are of no dataset")
def _(file):
    file.attrs["spec"] = np.bytes_(json.dumps({"a": "a" * 2_000_000}))


@edited("many attributes", "bytes that are of no dataset")
def _(file):
    for number in range(1500):
        file.attrs[f"attribute {number}"] = np.bytes_(b"a" * 1000)


@edited("many datasets", "it is no feature shard: it holds something else than ids, digests, offsets, values, times")
def _(file):
    for number in range(500):
        file[f"link {number}"] = h5py.SoftLink("/")


@edited("a spec that is a list", "its spec is no JSON object")
def _(file):
    file.attrs["spec"] = np.bytes_("[]")


@edited("a spec that nests", "its spec has more than 500 brackets")
def _(file):
    file.attrs["spec"] = np.bytes_('{"a":' + 900 * "[" + 900 * "]" + "}")


@edited("a spec that nests without end", "its spec has more than 500 brackets")
def _(file):
    file.attrs["spec"] = np.bytes_("[" * 60_000)


@edited("a spec of a number without end", "integer string conversion")
def _(file):
    file.attrs["spec"] = np.bytes_('{"a": ' + "9" * 60_000 + "}")


@edited("a spec of variable length", "has no attribute spec")
def _(file):
    file.attrs["spec"] = "{}"


@edited("a key that is a number", "has no attribute key")
def _(file):
    file.attrs["key"] = 1


@edited("a version that is an array", "has no attribute format_version")
def _(file):
    file.attrs["format_version"] = [1, 1]


@hostile("a digest that is a number", "has no attribute content")
def _(path):
    with h5py.File(path, "r+") as file:
        file.attrs["content"] = 1


@edited("one dataset under two names", "lies where another dataset does")
def _(file):
    file["digests"][:] = np.array([b"a" * 64] * 3)
    del file["ids"]
    file["ids"] = file["digests"]


@edited("ids that are no UTF-8", "can't decode byte 0xff")
def _(file):
    del file["ids"]
    file["ids"] = np.array([b"\xff"] * 3, h5py.string_dtype("utf-8", 1))


@edited("a NUL in an id", "an id holds a NUL")
def _(file):
    del file["ids"]
    file["ids"] = np.array([b"a\0b", b"b", b"c"], h5py.string_dtype("utf-8", 3))


@edited("ids that are objects", "`ids` is not wholly there")
def _(file):
    del file["ids"]
    file["ids"] = np.array(["a", "b", "c"], h5py.string_dtype())


@edited("ids that refer to objects", "wrong types.*ids object")
def _(file):
    del file["ids"]
    file["ids"] = np.array([file.ref] * 3, h5py.ref_dtype)


@edited("ids that refer to regions", "`ids` is not wholly there")
def _(file):
    region = file["times"].regionref[:]
    del file["ids"]
    file["ids"] = np.array([region] * 3, h5py.regionref_dtype)


@edited("a tag that names Python's objects", "wrong types.*ids object")
def _(file):
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    kind.set_tag(b"NUMPY:O")
    put(file, "ids", kind)


@edited("a tag that is no type", "not understood")
def _(file):
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    kind.set_tag(b"NUMPY:__import__('os')")
    put(file, "ids", kind)


@edited("rows of records", "wrong types.*values")
def _(file):
    put(file, "values", h5py.h5t.py_create(np.dtype([("a", "<f2")])), (6, 8))


@edited("rows of arrays", "wrong types.*values")
def _(file):
    put(file, "values", h5py.h5t.array_create(h5py.h5t.IEEE_F16LE, (8,)), (6,))


@edited("floats of other bits", "`values` is not wholly there")
def _(file):
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_ebias(127)
    put(file, "values", kind, (6, 8))


@edited("times of no numbers", "No NumPy equivalent")
def _(file):
    put(file, "times", h5py.h5t.UNIX_D32LE, (6,))


@edited("big-endian offsets", "wrong types.*offsets >i8")
def _(file):
    offsets = file["offsets"][:]
    del file["offsets"]
    file["offsets"] = offsets.astype(">i8")


@edited("no dimensions", "wrong types|is damaged")
def _(file):
    del file["times"]
    file["times"] = h5py.Empty("<f4")


@edited("a dataset that may grow", "`times` is not stored contiguously")
def _(file):
    times = file["times"][:]
    del file["times"]
    file.create_dataset("times", data=times, maxshape=(None,))


@edited("a compression bomb", "`values` is not stored contiguously")
def _(file):
    del file["values"]
    file.create_dataset("values", (1 << 40, 8), np.float16, compression="gzip", fillvalue=1)


@edited("a dataset inside a header", "`times` is not stored contiguously")
def _(file):
    times = file["times"][:]
    del file["times"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    dataset = h5py.h5d.create(file.id, b"times", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((6,)), plan)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, times)


def lies_at(path: Path, name: str, place: Callable[[int, int], int]) -> None:
    """Let a dataset begin elsewhere: at what `place` gives for its end and the file's."""
    aside = path.with_name("aside.h5")
    with h5py.File(path) as file, h5py.File(aside, "w", libver="earliest") as old:  # which has no checksums
        for attribute, value in file.attrs.items():
            old.attrs[attribute] = value
        for dataset in file:
            old.create_dataset(dataset, data=file[dataset][:], dtype=file[dataset].dtype)
        start, size = old[name].id.get_offset(), old[name].nbytes
    layout = struct.pack("<BBQQ", 3, 1, start, size)
    data = aside.read_bytes()
    assert data.count(layout) == 1
    aside.write_bytes(data.replace(layout, struct.pack("<BBQQ", 3, 1, place(start + size, len(data)), size)))
    aside.rename(path)


@hostile("rows over other datasets", "lies where another dataset does")
def _(path):
    lies_at(path, "times", lambda end, size: end - 30)


@hostile("rows behind the end", "invalid dataset size")
def _(path):
    lies_at(path, "values", lambda end, size: size - 30)


@hostile("rows at no address", "invalid dataset size")
def _(path):
    lies_at(path, "values", lambda end, size: (1 << 64) - 2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_shard_is_refused_with_its_reason(tmp_path, kind):
    path = tmp_path / "s.h5"
    write_some(path)
    reason, make = HOSTILE[kind]
    make(path)
    with pytest.raises(DamagedShard, match=reason) as caught:
        Shard(path).check()
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    with contextlib.suppress(OSError):
        path.with_name("elsewhere.h5").rename(path)
        Shard(path).check()  # what a link led to is as it was

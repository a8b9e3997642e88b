"""A shard holds plain data only: what is not is refused when it is opened."""

import h5py
import numpy as np
import pytest
from shards import write_some

from videocap.extract.shards.shard import DamagedShard, Shard, read


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

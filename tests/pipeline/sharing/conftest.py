"""Places that share features."""

import pytest
from places import add, push, store_in

from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.remote import Remote


@pytest.fixture
def team(tmp_path) -> Folder:
    """A place with three shards of two items that Alice pushed."""
    for start in (0, 2, 4):
        add(store_in(tmp_path / "alice"), [start, start + 1])
    assert push(tmp_path / "alice", Folder(tmp_path / "team")).problems == []
    return Folder(tmp_path / "team")


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    """An empty place of each kind."""
    if request.param == "folder":
        yield Folder(tmp_path / "place")
    else:
        there = Remote("memory://team")
        yield there
        there.fs.store.clear()
        there.fs.pseudo_dirs[:] = [""]

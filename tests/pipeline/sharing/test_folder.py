"""Places that are folders: listings, modes, file systems without links, and what a killed push left."""

import errno
import itertools
import os
import stat
import threading
from pathlib import Path

import pytest
from places import add, push, store_in

from videocap.pipeline.sharing.folder import Folder


def test_a_listing_misses_nothing_while_files_come(tmp_path):
    (tmp_path / "place" / "store").mkdir(parents=True)
    (tmp_path / "place" / "store" / "there.json").write_text("{}")
    place, stop = Folder(tmp_path / "place"), threading.Event()

    def write() -> None:
        for number in itertools.count():
            place.write(f"store/{number % 50}.h5", [b"0"], lambda path: None)
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all("there.json" in place.sizes("store") for _ in range(1000))
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize(
    ("root", "folders", "files"), [(0o2775, 0o2775, 0o644), (0o1777, 0o777, 0o644), (0o700, 0o700, 0o600)]
)
def test_what_is_made_in_a_place_is_as_open_as_it_is(root, folders, files, tmp_path):
    add(store_in(tmp_path / "alice"), [0, 1])
    team = Folder(tmp_path / "team")
    team.root.mkdir()
    team.root.chmod(root)
    before = os.umask(0o077)
    try:
        push(tmp_path / "alice", team)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in team.root.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {folders}
    assert {mode for path, mode in modes.items() if path.is_file()} == {files}


def test_a_file_system_without_links_takes_a_push(tmp_path, monkeypatch):
    add(store_in(tmp_path / "alice"), [0, 1])

    def refuse(*places):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)  # nor modes
    team = Folder(tmp_path / "team")
    assert push(tmp_path / "alice", team).files == 1
    assert push(tmp_path / "alice", team).there == 1
    assert [team.publish("a.json", value, lambda now: True) for value in (1, 2)] == [True, False]


def test_what_a_killed_push_left_long_ago_goes_with_a_later_one(tmp_path, team):
    folder = store_in(team.root).folder
    left = [folder / f".{name}.{'0' * 32}" for name in ("old.h5", "new.h5")]
    for path in left:
        path.write_bytes(b"half")
    os.utime(left[0], (0, 0))
    add(store_in(tmp_path / "alice"), [6])
    push(tmp_path / "alice", team)
    assert [path.exists() for path in left] == [False, True]

"""Copies: whole or not at all, also where the disk is full, the bytes are others, or somebody stops it."""

import io
import os
import shutil
import signal
import threading
import time

import pytest
from places import Failing, add, pull, push, rows_in, store_in

from videocap.pipeline.sharing import copying
from videocap.pipeline.sharing.folder import Folder


def test_a_transfer_that_was_cut_goes_on(tmp_path, team):
    pull(tmp_path / "bob", team)
    folder = store_in(tmp_path / "bob").folder
    first, second, third = sorted(folder.glob("[0-9a-f]*.json"))
    first.unlink()  # killed between payload and manifest
    payload = next(folder.glob(f"{second.stem}-*.h5"))
    payload.rename(folder / f".{payload.name}.{'0' * 32}")  # killed in the payload
    os.truncate(next(folder.glob(f"{third.stem}-*.h5")), 100)  # after which the power was cut
    assert pull(tmp_path / "bob", team).files == 3
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))
    assert pull(tmp_path / "bob", team).files == 0


def test_a_damaged_shard_is_not_pushed_and_the_others_are(tmp_path):
    for start in (0, 2, 4):
        add(store_in(tmp_path / "alice"), [start, start + 1])
    payload = next(store_in(tmp_path / "alice").folder.glob("*.h5"))
    payload.write_bytes(payload.read_bytes()[:-1] + b"\xff")
    sent = push(tmp_path / "alice", Folder(tmp_path / "team"))
    assert sent.files == 2
    assert payload.name in sent.problems[0]
    assert "sha256" in sent.problems[0]
    assert "the next run makes it anew" in sent.problems[0]
    assert not (tmp_path / "team" / payload.relative_to(tmp_path / "alice")).exists()


def test_a_disk_without_room_is_told_before_anything_is_copied(tmp_path, team, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100, 90, 10))
    assert "do not fit on the 10 bytes free" in pull(tmp_path / "bob", team).problems[0]
    assert not list((tmp_path / "bob").rglob("*.h5*"))


def test_what_has_its_size_but_other_bytes_is_told_how_to_mend(tmp_path, team):
    payload = min(store_in(team.root).folder.glob("*.h5"))
    payload.write_bytes(payload.read_bytes()[:-1] + b"\xff")
    (problem,) = pull(tmp_path / "bob", team).problems
    assert problem.endswith("delete it and its manifest there, and who has it whole can push it again")
    payload.unlink()
    payload.with_name(f"{payload.name[:64]}.json").unlink()
    assert push(tmp_path / "alice", team).files == 1
    assert pull(tmp_path / "bob", team).problems == []


def test_nobody_is_told_to_delete_what_is_good(tmp_path, team):
    add(store_in(tmp_path / "alice"), [6])
    place = Failing(team.root)
    place.writes = "all"
    (problem,) = push(tmp_path / "alice", place).problems
    assert problem.endswith(f"can't be copied to {team}: No space left on device")


def test_stopping_leaves_no_half_file_and_goes_no_further(tmp_path, team, monkeypatch, interrupts):
    monkeypatch.setattr(copying, "PIECE", 64)
    place = Folder(team.root)
    slow = type("Slow", (io.FileIO,), {"readinto": lambda self, to: time.sleep(0.05) or io.FileIO.readinto(self, to)})
    place.open = lambda path: slow(team.root / path) if path.endswith(".h5") else Folder.open(place, path)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        pull(tmp_path / "bob", place)
    timer.join()
    assert [path.suffix for path in store_in(tmp_path / "bob").folder.iterdir()] == [".json"]  # of the store

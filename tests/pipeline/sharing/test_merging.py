"""Stores that are merged: only what is new travels, what is there stays, and what is whole mends what is not."""

import json
import os

import pytest
from places import Failing, add, item, pull, push, rows_in, rows_of, snapshot, store_in

from videocap.pipeline.sharing.folder import Folder


def test_only_shards_with_something_new_travel_whatever_their_cut(tmp_path, team):
    store = store_in(tmp_path / "carol")
    add(store, [0, 2, 4], seed=1)  # another cut of what is there
    add(store, [5, 6], seed=1)
    sent = push(tmp_path / "carol", team)
    assert (sent.files, sent.items, sent.there) == (1, 1, 1)
    assert pull(tmp_path / "carol", team).files == 2  # with items 1 and 3; she has those of the third
    assert set(rows_in(store_in(tmp_path / "carol"))) == {f"video{number}" for number in range(7)}


def test_values_that_are_there_stay(tmp_path, team):
    store = store_in(tmp_path / "bob")
    add(store, [0, 1], seed=1)
    add(store, [6], seed=1)
    before = snapshot(team.root)
    assert push(tmp_path / "bob", team).files == 1
    assert before.items() <= snapshot(team.root).items()
    assert pull(tmp_path / "bob", team).files == 2
    rows = rows_in(store_in(tmp_path / "bob"))
    assert rows["video0"] == rows_of(0, seed=1).tobytes()
    assert rows["video2"] == rows_of(2).tobytes()


def test_failures_travel_and_rows_go_before_them(tmp_path, place):
    add(store_in(tmp_path / "alice"), [0], failed=[1])
    push(tmp_path / "alice", place)
    assert pull(tmp_path / "bob", place).files == 1
    assert store_in(tmp_path / "bob").index().failures[item(1)[1]]["reason"] == "it is cut short"
    assert pull(tmp_path / "bob", place).there == 1
    add(store_in(tmp_path / "carol"), [1], retry=1)
    assert push(tmp_path / "carol", place).files == 1
    pull(tmp_path / "bob", place)
    assert set(rows_in(store_in(tmp_path / "bob"))) == {"video0", "video1"}


def test_one_key_with_other_failures_stays_and_is_told(tmp_path, team):
    add(store_in(tmp_path / "bob"), [0], failed=[1])
    sent = pull(tmp_path / "bob", team)
    assert (sent.files, sent.there) == (2, 0)
    assert "(video1)" in sent.notes[0]


def test_a_push_mends_what_is_cut_short_there(tmp_path, team):
    payload = next(team.root.rglob("*.h5"))
    os.truncate(payload, 100)
    assert "has 100 bytes" in pull(tmp_path / "bob", team).problems[0]
    assert push(tmp_path / "alice", team).files == 1
    assert pull(tmp_path / "bob", team).files == 1


@pytest.mark.parametrize("others", [[6], []], ids=["in another cut", "under the same key"])
def test_what_one_has_whole_takes_the_place_of_what_is_damaged_there(others, tmp_path, team):
    first = min(store_in(team.root).folder.glob("[0-9a-f]*.json"))
    os.truncate(next(first.parent.glob(f"{first.stem}-*.h5")), 100)
    assert "has 100 bytes" in pull(tmp_path / "bob", team).problems[0]
    numbers = [number for number in range(6) if item(number)[1] in json.loads(first.read_text())["digests"]]
    add(store_in(tmp_path / "carol"), [*numbers, *others], seed=1)
    sent = push(tmp_path / "carol", team)
    assert (sent.files, sent.problems) == (1, [])
    assert pull(tmp_path / "bob", team).files == 1
    assert set(rows_in(store_in(tmp_path / "bob"))) >= {f"video{number}" for number in range(6)}


def test_a_manifest_that_can_not_be_read_now_is_not_replaced(tmp_path, team):
    add(store_in(tmp_path / "carol"), [0, 1], seed=1)
    add(store_in(tmp_path / "carol"), [2, 3], seed=1)
    before = snapshot(team.root)
    place = Failing(team.root)
    place.reads = ".json"
    sent = push(tmp_path / "carol", place)
    assert sent.files == 0
    assert "Input/output error" in sent.problems[0]
    assert before.items() <= snapshot(team.root).items()


def test_what_another_publishes_meanwhile_stays(tmp_path, team):
    for path in store_in(team.root).folder.glob("*.h5"):
        os.truncate(path, 100)
    for start in (0, 2, 4):
        add(store_in(tmp_path / "carol"), [start, start + 1], seed=1)
    place = Failing(team.root)
    place.then = lambda: push(tmp_path / "alice", team)  # who mends it while Carol is about to
    push(tmp_path / "carol", place)
    pull(tmp_path / "bob", team)
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))
    store = store_in(team.root)
    assert {path.name for path in store.folder.glob("*.h5")} == {one["payload"] for one in store.manifests().values()}


def test_of_two_cuts_of_the_same_videos_one_travels(tmp_path):
    store = store_in(tmp_path / "alice")
    for start in range(0, 8, 2):
        add(store, [start, start + 1])
    add(store, range(8), seed=1)
    sent = push(tmp_path / "alice", Folder(tmp_path / "team"))
    assert (sent.files, sent.items, sent.there) == (1, 8, 0)
    payload = next(path for path in store.folder.glob("*.h5") if path.stat().st_size == sent.size)
    payload.write_bytes(payload.read_bytes()[:-1] + b"\xff")  # where that is bad, the others do
    sent = push(tmp_path / "alice", Folder(tmp_path / "other"))
    assert (sent.files, sent.items, len(sent.problems)) == (4, 8, 1)

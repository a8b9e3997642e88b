"""Push and pull between artifacts folders and other places: what travels, and what is refused."""

import errno
import io
import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
from places import FRAMES, add, experiment_in, item, pull, push, rows_in, rows_of, snapshot, store_in

from videocap.extract.shards import exchange
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.sharing import copying, push_pull
from videocap.pipeline.sharing.address import place_of
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.stores import imported
from videocap.pipeline.stores.imported import foreign_store


class Counting:
    """A place that counts what is asked of it."""

    def __init__(self, place):
        self.place, self.asked = place, []

    def __getattr__(self, name):
        def ask(*arguments, **options):
            self.asked.append(name)
            return getattr(self.place, name)(*arguments, **options)

        return ask


def test_what_is_pushed_can_be_pulled_and_is_the_same(tmp_path, place):
    for start in (0, 2):
        add(store_in(tmp_path / "alice"), [start, start + 1])
    sent = push(tmp_path / "alice", place)
    assert (sent.files, sent.items, sent.there, sent.problems) == (2, 4, 0, [])
    assert sent.size == sum(path.stat().st_size for path in store_in(tmp_path / "alice").folder.glob("*.h5"))
    assert pull(tmp_path / "bob", place).files == 2
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))
    assert snapshot(tmp_path / "bob" / "stores") == snapshot(tmp_path / "alice" / "stores")  # and nothing else came


def test_nothing_new_costs_one_listing_and_no_byte(tmp_path, team):
    add(store_in(tmp_path / "bob"), [6, 7])
    assert push(tmp_path / "bob", team).files == 1  # so there is what Alice has not
    before = snapshot(team.root)
    for again, who in ((push, "alice"), (push, "bob")):
        counted = Counting(team)
        sent = again(tmp_path / who, counted)
        assert sent.files == 0
        assert [name for name in counted.asked if name != "create"] == ["sizes"]
    assert pull(tmp_path / "bob", team).files == 3
    counted = Counting(team)
    assert pull(tmp_path / "bob", counted).there == 4
    assert counted.asked == ["sizes"]
    assert snapshot(team.root) == before


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


def test_a_dry_run_tells_the_same_and_writes_nothing(tmp_path, team):
    for _ in range(2):
        sent = pull(tmp_path / "bob", team, dry_run=True)
    (tmp_path / "empty").mkdir()
    pull(tmp_path / "bob", Folder(tmp_path / "empty"))
    assert (sent.files, sent.items, sent.problems) == (3, 6, [])
    assert push(tmp_path / "alice", Folder(tmp_path / "new"), dry_run=True).files == 3
    assert not (tmp_path / "bob" / "stores").exists()
    assert not (tmp_path / "new").exists()


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


def test_a_push_mends_what_is_cut_short_there(tmp_path, team):
    payload = next(team.root.rglob("*.h5"))
    os.truncate(payload, 100)
    assert "has 100 bytes" in pull(tmp_path / "bob", team).problems[0]
    assert push(tmp_path / "alice", team).files == 1
    assert pull(tmp_path / "bob", team).files == 1


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


def test_a_place_without_the_spec_tells_how_its_own_differs(tmp_path, team):
    sent = pull(tmp_path / "bob", team, override="decode.frames=7")
    assert "decode.frames: 12 → 7" in sent.problems[0]
    (tmp_path / "empty").mkdir()
    sent = pull(tmp_path / "bob", Folder(tmp_path / "empty"))
    assert sent.problems == [f"{tmp_path / 'empty'} has no shards of this spec"]
    sent = pull(tmp_path / "bob", Folder(tmp_path / "tema"))
    assert sent.problems == [f"there is no folder {tmp_path / 'tema'}: is it mounted?"]
    assert "none here that fits this config" in push(tmp_path / "alice", team, override="decode.frames=7").problems[0]


def test_a_stage_that_waits_for_another_is_told_so(tmp_path, team):
    found = list(push_pull.pull(experiment_in(tmp_path / "bob"), ["Train"], team, check_arrived))
    assert [sent.stage for sent in found] == [
        *("ToyWorld", "Corpus", FRAMES, "EmbedCaptionsShard", "Vocabulary", "Train")
    ]
    assert "ToyWorld" in found[1].problems[0]
    assert found[2].files == 3  # what is good comes all the same
    with pytest.raises(ValueError, match="no stage Trian; it has ToyWorld, Corpus"):
        push(tmp_path / "alice", team, stages=["Trian"])


def test_a_place_that_can_not_be_is_refused(tmp_path, team):
    with pytest.raises(ValueError, match=r"no folder .*mnt to make team in"):
        push(tmp_path / "alice", Folder(tmp_path / "mnt" / "team"))
    with pytest.raises(ValueError, match="Protocol not known"):
        place_of("nosuch://bucket/team")
    with pytest.raises(ValueError, match="a URL has // behind its colon"):
        place_of("s3:bucket/team")
    with pytest.raises(ValueError, match="can't be opened"):
        place_of("dir:///mnt")
    assert str(place_of("file:///mnt/my team")) == "/mnt/my team"
    assert str(place_of("memory://")) == "memory://"


def test_a_disk_without_room_is_told_before_anything_is_copied(tmp_path, team, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100, 90, 10))
    assert "do not fit on the 10 bytes free" in pull(tmp_path / "bob", team).problems[0]
    assert not list((tmp_path / "bob").rglob("*.h5*"))


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


def test_what_has_its_size_but_other_bytes_is_told_how_to_mend(tmp_path, team):
    payload = min(store_in(team.root).folder.glob("*.h5"))
    payload.write_bytes(payload.read_bytes()[:-1] + b"\xff")
    (problem,) = pull(tmp_path / "bob", team).problems
    assert problem.endswith("delete it and its manifest there, and who has it whole can push it again")
    payload.unlink()
    payload.with_name(f"{payload.name[:64]}.json").unlink()
    assert push(tmp_path / "alice", team).files == 1
    assert pull(tmp_path / "bob", team).problems == []


class Failing(Folder):
    """A folder that is not what it was when it was listed, or can't be read or written for a while."""

    reads, writes, then = "", "", staticmethod(lambda: None)

    def open(self, path: str):
        if self.reads and self.reads in path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().open(path)

    def write(self, path: str, pieces, check) -> None:
        if self.writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(path, pieces, check)
        self.then()


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


def test_who_pulls_is_told_what_failed_elsewhere(tmp_path, team):
    add(store_in(tmp_path / "carol"), [6], failed=[7, 8], retry=2)
    push(tmp_path / "carol", team)
    sent = pull(tmp_path / "bob", team)
    assert sent.notes == [
        "2 videos failed where they were extracted, such as video7: it is cut short; --override decode.retry_failed=3 "
        "tries them here"
    ]
    assert pull(tmp_path / "bob", team).notes == []


def test_imported_features_travel(tmp_path):
    rows = {f"video{number}": rows_of(number) for number in range(3)}
    (tmp_path / "npy").mkdir()
    for name, values in rows.items():
        np.save(tmp_path / "npy" / f"{name}.npy", values.astype(np.float32))
    (tmp_path / "captions.csv").write_text("video,caption\nvideo0,it moves")
    override = f"data.kind=folder data.annotations={tmp_path / 'captions.csv'} data.features=i3d aspects.use=[]"
    store = foreign_store(experiment_in(tmp_path / "alice").artifacts, "i3d")
    items = exchange.read_items(exchange.ForeignFeatures(tmp_path / "npy"), 8, [])
    assert imported.publish(store, items, exchange.write_shard, 2, "npy") == 3
    place = Folder(tmp_path / "team")
    assert push(tmp_path / "alice", place, override=override, stages=["FrameFeatures"]).items == 3
    assert pull(tmp_path / "bob", place, override=override, stages=["FrameFeatures"]).items == 3
    there = foreign_store(experiment_in(tmp_path / "bob").artifacts, "i3d")
    assert rows_in(there) == {name: values.tobytes() for name, values in rows.items()}

"""Push and pull between artifacts folders and other places: what travels, and what is refused."""

import errno
import hashlib
import io
import itertools
import json
import os
import shutil
import signal
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shares import FRAMES, add, experiment_in, item, rows_in, rows_of, snapshot, store_in

import tasks
import videocap_store
from extract import exchange
from extract.verify import check_arrived
from pipeline import copying, foreign, sharing
from pipeline.artifacts import Artifacts
from pipeline.foreign import foreign_store
from pipeline.keys import digest
from pipeline.places import Folder, Remote, place_of
from pipeline.sharing import Sent


def push(folder: Path, place, *, override: str = "", stages=(FRAMES,), **how) -> Sent:
    """Push what a folder has; what came of the last stage."""
    return list(sharing.push(experiment_in(folder, override), stages, place, **how))[-1]


def pull(folder: Path, place, *, override: str = "", stages=(FRAMES,), **how) -> Sent:
    return list(sharing.pull(experiment_in(folder, override), stages, place, check_arrived, **how))[-1]


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
    found = list(sharing.pull(experiment_in(tmp_path / "bob"), ["Train"], team, check_arrived))
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


@pytest.mark.parametrize("what", ["a pipe for a shard", "a cut manifest", "a shard that is gone"])
def test_a_push_mends_other_damage_too(what, tmp_path, team):
    HOSTILE[what][0](store_in(team.root).folder)
    sent = push(tmp_path / "alice", team)
    assert (sent.files, sent.problems) == (1, [])
    assert pull(tmp_path / "bob", team).files == 3


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
    assert foreign.publish(store, items, exchange.write_shard, 2, "npy") == 3
    place = Folder(tmp_path / "team")
    assert push(tmp_path / "alice", place, override=override, stages=["FrameFeatures"]).items == 3
    assert pull(tmp_path / "bob", place, override=override, stages=["FrameFeatures"]).items == 3
    there = foreign_store(experiment_in(tmp_path / "bob").artifacts, "i3d")
    assert rows_in(there) == {name: values.tobytes() for name, values in rows.items()}


def test_a_stage_that_fails_does_not_keep_the_others(tmp_path, team):
    result_at(tmp_path / "alice")
    stages = ["ToyWorld", FRAMES]
    (team.root / "ToyWorld").write_text("no folder")
    for sent in (
        list(sharing.push(experiment_in(tmp_path / "alice"), stages, team)),
        list(sharing.pull(experiment_in(tmp_path / "bob"), stages, team, check_arrived)),
    ):
        assert len(sent[0].problems) == 1
        assert "Not a directory" in sent[0].problems[0]
        assert (sent[1].files + sent[1].there, sent[1].problems) == (3, [])


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


def test_the_command_tells_of_every_stage(tmp_path, capsys):
    experiment = experiment_in(tmp_path)
    assert len(experiment.order) > 15
    for kind in experiment.order:
        assert videocap_store.sent_text(Sent(kind.__name__, files=1, there=1), kind, False).startswith(kind.__name__)


# -- strangers


def rewrite(store: Path, **changes) -> str:
    """Change the first manifest of a store; nothing is changed of its shard. Its name."""
    path = min(store.glob("[0-9a-f]*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path.name


def replace(store: Path, pattern: str, make) -> str:
    """Put something else in the place of the first such file. Its name."""
    path = min(store.glob(pattern))
    good = path.read_bytes()
    path.unlink()
    make(path, good)
    return path.name


def rename(store: Path, payload: str) -> None:
    """Call the payload of the first manifest by another name."""
    name = rewrite(store, payload=payload)
    there = store / payload
    there.parent.mkdir(parents=True, exist_ok=True)
    next(store.glob(f"{name[:64]}-*.h5")).rename(there)


def link_to_copy(path: Path, good: bytes) -> None:
    outside = path.parents[3] / "outside.h5"
    outside.write_bytes(good)
    path.symlink_to(outside)


def other_spec(store: Path) -> None:
    rewrite(store, spec=digest("other"))


def lie(name: str, value):
    return lambda store: rewrite(store, **{name: value})


BROAD = f"[{'[],' * (1 << 20)}[]]"
SHARDS = "[0-9a-f]*.h5"
MANIFESTS = "[0-9a-f]*.json"
HOSTILE = {
    "an absolute path": (lambda s: rename(s, str(s.parents[2] / f"{'0' * 64}-{'0' * 32}.h5")), "no manifest"),
    "a path up": (lambda s: rename(s, f"../../{'0' * 64}-{'0' * 32}.h5"), "no manifest"),
    "another's payload": (lie("payload", f"{'0' * 64}-{'0' * 32}.h5"), "no manifest"),
    "a linked shard": (lambda s: replace(s, SHARDS, link_to_copy), "it is a link"),
    "a linked manifest": (lambda s: replace(s, MANIFESTS, link_to_copy), "it is a link"),
    "a pipe for a shard": (lambda s: replace(s, SHARDS, lambda path, good: os.mkfifo(path)), "no regular file"),
    "a pipe as manifest": (lambda s: replace(s, MANIFESTS, lambda path, good: os.mkfifo(path)), "no regular file"),
    "a shard that is gone": (lambda s: replace(s, SHARDS, lambda path, good: None), "not there"),
    "a longer shard": (lambda s: replace(s, SHARDS, lambda path, good: path.write_bytes(good + b"0")), "bytes, not"),
    "a shorter shard": (lambda s: replace(s, SHARDS, lambda path, good: path.write_bytes(good[:-1])), "bytes, not"),
    "a smaller size": (lie("size", 100), "not 100 as"),
    "an immense size": (lie("size", 1 << 60), "not 1152921504606846976 as"),
    "a larger size": (lie("size", 1 << 30), "not 1073741824"),
    "another sha256": (lie("sha256", "0" * 64), "sha256"),
    "another content": (lie("content", "0" * 64), "content"),
    "other ids": (lie("ids", ["video8", "video9"]), "ids"),
    "other digests": (lie("digests", [item(8)[1], item(9)[1]]), "digests"),
    "another spec": (other_spec, "no manifest"),
    "a cut manifest": (lambda s: replace(s, MANIFESTS, lambda path, good: path.write_bytes(good[:-9])), "no JSON"),
    "deep JSON": (lambda s: replace(s, MANIFESTS, lambda path, good: path.write_text("[" * 9**6)), "no JSON"),
    "endless JSON": (
        lambda s: replace(s, MANIFESTS, lambda path, good: os.truncate(_made(path), 1 << 40)),
        "too large",
    ),
    "broad JSON": (lambda s: replace(s, MANIFESTS, lambda path, good: path.write_text(BROAD)), "parts"),
    "a pickle": (lambda s: replace(s, SHARDS, lambda path, good: path.write_bytes(b"\x80\x04N.")), "bytes, not"),
}


def _made(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_store_is_refused_with_its_reason_and_the_good_shards_come(how, tmp_path, team):
    make, reason = HOSTILE[how]
    make(store_in(team.root).folder)
    before = snapshot(team.root)
    sent = pull(tmp_path / "bob", team)
    assert (sent.files, len(sent.problems)) == (2, 1)
    assert reason in sent.problems[0]
    assert str(team.root) in sent.problems[0]
    rows, true = rows_in(store_in(tmp_path / "bob")), rows_in(store_in(tmp_path / "alice"))
    assert len(rows) == 4
    assert rows.items() <= true.items()
    assert snapshot(team.root) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".h5") == ["alice", "bob", "team"]
    assert sorted(path.suffix for path in (tmp_path / "bob" / "stores").rglob("*.*")) == [*[".h5"] * 2, *[".json"] * 3]


def result_at(place: Path, **changes) -> None:
    """A ToyWorld of one file that somebody has put there; its manifest may lie."""
    stage = tasks.ToyWorld.of(experiment_in(place))
    Artifacts(place).publish(
        stage.name, stage.key(), stage.recipe(), lambda work: (work / "scenes.jsonl").write_text("a scene"), {}
    )
    manifest = place / stage.place() / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def test_a_result_that_is_pushed_can_be_pulled(tmp_path, place):
    result_at(tmp_path / "alice")
    assert push(tmp_path / "alice", place, stages=["ToyWorld"]).files == 1
    assert push(tmp_path / "alice", place, stages=["ToyWorld"]).there == 1
    for _ in range(2):
        assert pull(tmp_path / "bob", place, stages=["ToyWorld"]).problems == []
        stage = tasks.ToyWorld.of(experiment_in(tmp_path / "bob"))
        assert (stage.payload() / "scenes.jsonl").read_text() == "a scene"
        shutil.rmtree(stage.payload())


FILE = {"size": 7, "sha256": hashlib.sha256(b"a scene").hexdigest()}
RESULTS = {
    "a path up": ({"files": {"../scenes.jsonl": FILE}}, "not that of a ToyWorld"),
    "an absolute path": ({"files": {"/etc/passwd": FILE}}, "not that of a ToyWorld"),
    "no name": ({"files": {"": FILE}}, "not that of a ToyWorld"),
    "another payload": ({"payload": ".."}, "not that of a ToyWorld"),
    "another recipe": ({"recipe": {"stage": "ToyWorld"}}, "not that of a ToyWorld"),
    "another key": ({"key": "0" * 64}, "not that of a ToyWorld"),
    "another file": ({"files": {"scenes.jsonl": FILE | {"sha256": "0" * 64}}}, "not that of a ToyWorld"),
    "nothing": ({"payload": "0" * 32}, "not wholly there"),
}


@pytest.mark.parametrize("how", RESULTS)
def test_a_hostile_result_is_refused_with_its_reason(how, tmp_path):
    changes, reason = RESULTS[how]
    result_at(tmp_path / "team", **changes)
    sent = pull(tmp_path / "bob", Folder(tmp_path / "team"), stages=["ToyWorld"])
    assert sent.files == 0
    assert reason in sent.problems[0]
    assert not list((tmp_path / "bob" / "ToyWorld").rglob("*.*"))


def test_a_result_is_not_read_through_a_link_to_elsewhere(tmp_path):
    result_at(tmp_path / "team")
    payload = tasks.ToyWorld.of(experiment_in(tmp_path / "team")).payload()
    payload.rename(tmp_path / "secret")
    payload.symlink_to(tmp_path / "secret")
    sent = pull(tmp_path / "bob", Folder(tmp_path / "team"), stages=["ToyWorld"])
    assert "leads elsewhere by a link" in sent.problems[0]


def test_a_store_that_is_a_link_to_elsewhere_is_neither_read_nor_written(tmp_path, team):
    folder = store_in(team.root).folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    add(store_in(tmp_path / "alice"), [6])
    before = snapshot(tmp_path / "elsewhere")
    for sent in (pull(tmp_path / "bob", team), push(tmp_path / "alice", team)):
        assert sent.files == 0
        assert "leads elsewhere by a link" in sent.problems[0]
    assert snapshot(tmp_path / "elsewhere") == before
    assert not store_in(tmp_path / "bob").manifests()
    # in one's own artifacts a disk may be put in by a link
    pull(tmp_path / "carol", Folder(tmp_path / "alice"))
    mine = store_in(tmp_path / "carol").folder
    mine.rename(tmp_path / "disk")
    mine.symlink_to(tmp_path / "disk")
    assert push(tmp_path / "carol", Folder(tmp_path / "other")).files == 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_a_store_what_comes_is_true(data, tmp_path, team):
    """Files of the place are cut, changed by bytes, exchanged, or hold another manifest."""
    for name in ("spoilt", "bob"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    shutil.copytree(team.root, tmp_path / "spoilt")
    store = store_in(tmp_path / "spoilt").folder
    files = sorted(store.iterdir())
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        kind = data.draw(st.sampled_from(["byte", "cut", "exchange", "field"]))
        if kind == "byte" and content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del content[data.draw(st.integers(0, len(content))) :]
        elif kind == "exchange":
            content = bytearray(data.draw(st.sampled_from(files)).read_bytes())
        elif path.suffix == ".json":
            value = data.draw(st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists, max_leaves=5))
            try:
                field = data.draw(st.sampled_from(sorted(manifest := json.loads(content))))
                content = bytearray(json.dumps(manifest | {field: value}).encode())
            except (ValueError, TypeError):  # it was spoilt before
                pass
        path.write_bytes(content)
    sent = pull(tmp_path / "bob", Folder(tmp_path / "spoilt"))
    rows = rows_in(store_in(tmp_path / "bob"))
    assert rows.items() <= rows_in(store_in(tmp_path / "alice")).items()
    assert len(rows) == 6 or sent.problems
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice", "bob", "spoilt", "team"]

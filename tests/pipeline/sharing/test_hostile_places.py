"""Stores and results that strangers pushed: what is hostile is refused with its reason, and the good ones come."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import add, experiment_in, item, pull, push, result_at, rows_in, snapshot, store_in

from videocap import tasks
from videocap.pipeline.digests import digest
from videocap.pipeline.sharing.folder import Folder


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


def test_a_result_that_is_pushed_can_be_pulled(tmp_path, place):
    result_at(tmp_path / "alice")
    assert push(tmp_path / "alice", place, stages=["ToyWorld"]).files == 1
    assert push(tmp_path / "alice", place, stages=["ToyWorld"]).there == 1
    for _ in range(2):
        assert pull(tmp_path / "bob", place, stages=["ToyWorld"]).problems == []
        stage = tasks.ToyWorld.of(experiment_in(tmp_path / "bob"))
        assert (stage.product.payload() / "scenes.jsonl").read_text() == "a scene"
        shutil.rmtree(stage.product.payload())


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
    payload = tasks.ToyWorld.of(experiment_in(tmp_path / "team")).product.payload()
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
    made = {path.name for path in tmp_path.iterdir()}
    assert made - {"bob"} == {"alice", "spoilt", "team"}, "nothing beside them"


@pytest.mark.parametrize("what", ["a pipe for a shard", "a cut manifest", "a shard that is gone"])
def test_a_push_mends_other_damage_too(what, tmp_path, team):
    HOSTILE[what][0](store_in(team.root).folder)
    sent = push(tmp_path / "alice", team)
    assert (sent.files, sent.problems) == (1, [])
    assert pull(tmp_path / "bob", team).files == 3

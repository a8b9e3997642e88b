"""Manifests of somebody who means harm: each is treated as none, and nothing that it names is looked at."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.digests import digest
from videocap.pipeline.stores.plans import plan
from videocap.pipeline.stores.store import Store

SPEC = {"stage": "EmbedFramesShard", "version": 1}
KEY = digest("a result")
NESTED = '{"a":' + 900 * "[" + 900 * "]" + "}"


def written(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def linked(path: Path) -> None:
    """Put a link in a file's place, to a copy of it outside the folder."""
    elsewhere = path.parents[1] / "elsewhere.json"
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(elsewhere)


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def grown(path: Path) -> None:
    """Let a file claim a terabyte, none of it written."""
    os.truncate(path, 1 << 40)


FILES: dict[str, Callable[[Path], object]] = {
    "link": linked,
    "link to itself": looped,
    "pipe": piped,
    "folder": made_a_folder,
    "terabyte": grown,
    "empty": written(""),
    "text": written("no JSON"),
    "list": written("[]"),
    "nested without end": written("[" * 1_000_000),
    "a number without end": written('{"size": ' + "9" * 100_000 + "}"),
    "no UTF-8": lambda path: path.write_bytes(path.read_bytes()[:-2] + b', "\xff": 1}'),
}
"""What a manifest may be instead of one."""
MADE = {
    "created never": '{"created": NaN}',
    "created later than all": '{"created": 1e999}',
    "created before all": '{"created": -1}',
    "no provenance": '{"provenance": null}',
    "provenance of a number that is none": '{"provenance": {"a": NaN}}',
    "provenance of half a character": r'{"provenance": {"host": "\ud83d"}}',
    "provenance that nests": f'{{"provenance": {NESTED}}}',
    "an experiment of no name": '{"provenance": {"experiment": ["mine"]}}',
}
"""What every manifest may say wrongly, as JSON that replaces what it says."""
OF_SHARD = MADE | {
    "negative size": '{"size": -1}',
    "size true": '{"size": true}',
    "half a byte": '{"size": 0.5}',
    "size of no disk": f'{{"size": {1 << 63}}}',
    "size in words": '{"size": "12"}',
    "sha256 of few digits": '{"sha256": "00"}',
    "sha256 of other digits": f'{{"sha256": "{"G" * 64}"}}',
    "sha256 with more": f'{{"sha256": "{"0" * 64}\\n"}}',
    "more items than digests": '{"items": 3}',
    "negative items": '{"items": -2}',
    "digests in a text": '{"digests": "ab"}',
    "digests without ids": '{"digests": []}',
    "an id that is none": '{"ids": ["a", ["b"]]}',
    "failure of no retry": '{"failures": [{"id": "a", "digest": "a", "reason": "", "retry": true}]}',
    "failure before the first": '{"failures": [{"id": "a", "digest": "a", "reason": "", "retry": -1}]}',
    "failure that never ends": f'{{"failures": [{{"id": "a", "digest": "a", "reason": "", "retry": {10**30}}}]}}',
    "another key": f'{{"key": "{"0" * 64}"}}',
    "payload of another key": f'{{"payload": "{"0" * 64}-{"0" * 32}.h5"}}',
    "payload up": '{"payload": "../elsewhere.h5"}',
    "payload at the root": '{"payload": "/etc/passwd"}',
    "payload itself": '{"payload": "store.json"}',
}


def replaced(path: Path, changes: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | json.loads(changes)))


@pytest.fixture
def store(tmp_path) -> Store:
    def write(path: Path, key: str) -> dict:
        path.write_text("rows")
        return {"digests": ["a", "b"], "failures": [], "content": "c", "provenance": {}}

    store = Store(tmp_path / "stores" / "store", SPEC)
    store.publish_shard([("a", "a"), ("b", "b")], 0, write, {"experiment": "mine"})
    return store


@pytest.mark.parametrize("kind", [*FILES, *OF_SHARD])
def test_a_hostile_manifest_of_a_shard_is_none_and_is_told_of(store, kind):
    (name,) = store.manifests()
    path = store.folder / name
    FILES[kind](path) if kind in FILES else replaced(path, OF_SHARD[kind])
    fresh = Store.open(store.folder)
    assert not fresh.index().rows
    assert not fresh.index().failures
    assert fresh.strays()[0] == [name]
    assert json.dumps(fresh.about())
    assert fresh.files() == []


OF_STORE = {
    "no spec": '{"spec": null}',
    "no recipe": '{"spec": {"inputs": []}}',
    "spec of a number that is none": '{"spec": {"version": Infinity}}',
    "spec of half a character": r'{"spec": {"stage": "\ud83d"}}',
    "spec that nests": f'{{"spec": {NESTED}}}',
}


@pytest.mark.parametrize("kind", [*FILES, *OF_STORE])
def test_a_hostile_store_says_no_spec(store, kind):
    path = store.folder / "store.json"
    FILES[kind](path) if kind in FILES else replaced(path, OF_STORE[kind])
    assert Store.open(store.folder) is None


OF_RESULT = (
    MADE
    | {
        "negative size": '{"files": {"a.txt": {"size": -1, "sha256": "%s"}}}' % ("0" * 64),
        "size true": '{"files": {"a.txt": {"size": true, "sha256": "%s"}}}' % ("0" * 64),
        "no sha256": '{"files": {"a.txt": {"size": 1}}}',
        "sha256 of few digits": '{"files": {"a.txt": {"size": 1, "sha256": "00"}}}',
        "a list of files": '{"files": ["a.txt"]}',
        "another key": f'{{"key": "{"0" * 64}"}}',
        "payload up": '{"payload": ".."}',
        "payload itself": '{"payload": "."}',
        "payload at the root": '{"payload": "/etc"}',
        "recipe of a number that is none": '{"recipe": {"config": {"a": NaN}}}',
        "recipe that nests": f'{{"recipe": {{"config": {NESTED}}}}}',
    }
    | {
        f"a file {name!r}": json.dumps({"files": {name: {"size": 0, "sha256": "0" * 64}}})
        for name in (
            *("/etc/passwd", "..", ".", "", "../a", "a/../../b", "./a", "a/", "a//b", "//a", "a\0b", "\ud83d"),
            "\udc80",  # which would be a byte that is no UTF-8
        )
    }
)


@pytest.mark.parametrize("kind", [*FILES, *OF_RESULT])
def test_a_hostile_manifest_of_a_result_is_none(tmp_path, kind):
    artifacts = Artifacts(tmp_path / "artifacts")

    def make(folder: Path) -> None:
        (folder / "a.txt").write_text("a")

    artifacts.publish("Stage", KEY, {"config": {}}, make, {"experiment": "mine"})
    assert (artifacts.payload("Stage", KEY) / "a.txt").read_text() == "a"
    path = artifacts.folder("Stage", KEY) / "manifest.json"
    FILES[kind](path) if kind in FILES else replaced(path, OF_RESULT[kind])
    fresh = Artifacts(artifacts.root)
    assert fresh.manifest("Stage", KEY) is None
    assert fresh.payload("Stage", KEY) is None
    assert fresh.newest("Stage") == []
    if not path.is_dir():  # what is made again takes its place, and writes through no link
        fresh.publish("Stage", KEY, {"config": {}}, make, {})
        assert not path.is_symlink()
        assert (fresh.payload("Stage", KEY) / "a.txt").read_text() == "a"


def test_records_may_be_larger_than_manifests_but_not_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "MOST_MANIFEST", 10)
    store = Store(tmp_path / "store", SPEC)
    place, packs = plan(store, [("a", "a"), ("b", "b")], 0, 0, 1)
    assert place.stat().st_size > 10
    assert plan(store, [("a", "a"), ("b", "b")], 0, 0, 1)[1] == packs
    os.truncate(place, 1 << 40)
    assert plan(store, [("a", "a"), ("b", "b")], 0, 0, 1)[1] == packs
    assert place.stat().st_size < 1000

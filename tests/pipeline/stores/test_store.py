"""Stores: items are computed once, by whatever shards; plans are decided once; dropped rows come back."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videocap.pipeline.stores.plans import MOST_PACKS, plan
from videocap.pipeline.stores.store import Store

SPEC = {"stage": "EmbedFramesShard", "version": 1}


def items(*names: str) -> list[tuple[str, str]]:
    return [(name, f"digest-{name}") for name in names]


def publish(store: Store, wanted, retry=0, failing=()) -> None:
    def write(path: Path, key: str) -> dict:
        good = [(name, digest) for name, digest in wanted if name not in failing]
        path.write_text("".join(digest for _, digest in good))
        failures = [{"id": name, "digest": digest, "reason": "broken"} for name, digest in wanted if name in failing]
        return {"digests": [digest for _, digest in good], "failures": failures, "content": "c", "provenance": {}}

    store.publish_shard(wanted, retry, write, {})


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", SPEC)


def test_items_are_settled_by_rows_or_by_a_failure_of_their_retry_number(store):
    publish(store, items("a", "b", "c"), failing={"b"})
    index = store.index()
    assert index.settled("digest-a", 5)
    assert index.settled("digest-b", 0)
    assert not index.settled("digest-b", 1)
    assert not index.settled("digest-d", 0)
    publish(store, items("b"), retry=1)
    assert store.index().settled("digest-b", 9)


def test_a_manifest_names_the_items_it_holds_and_may_not_do_so_wrongly(store):
    publish(store, items("a", "b", "c"), failing={"b"})
    ((name, manifest),) = store.manifests().items()
    assert list(zip(manifest["ids"], manifest["digests"], strict=True)) == items("a", "c")
    for ids, rows in ((["a"], set()), (["a", 1], set()), (None, {"digest-a", "digest-c"})):
        (store.folder / name).write_text(json.dumps(manifest | {"ids": ids}))
        assert Store(store.folder, SPEC).index().rows.keys() == rows


@pytest.mark.parametrize("damage", [{"ids": ["a"]}, {"digests": [1]}, {"spec": "another"}, [], {}])
def test_what_is_published_replaces_a_manifest_that_is_none(store, damage):
    publish(store, items("a", "b"))
    ((name, manifest),) = store.manifests().items()
    (store.folder / name).write_text(json.dumps(manifest | damage if damage else damage))
    again = Store(store.folder, SPEC)
    assert not again.index().rows
    publish(again, items("a", "b"))
    assert again.index().rows.keys() == Store(store.folder, SPEC).index().rows.keys() == {"digest-a", "digest-b"}


def test_only_missing_items_are_planned_and_all_ask_for_the_same_packs(store):
    publish(store, items("a", "b"))
    wanted = items("a", "b", "c", "d", "e")
    place, packs = plan(store, wanted, 0, 0, shard_size=2)
    assert [len(pack) for pack in packs] == [2, 1]
    assert {name for pack in packs for name, _ in pack} == {"c", "d", "e"}
    publish(store, packs[0])
    assert plan(Store(store.folder, SPEC), wanted, 0, 0, shard_size=99) == (place, packs)
    assert plan(Store(store.folder, SPEC), wanted, 0, 1, shard_size=99)[1] == [packs[1]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 50))
def test_packs_hold_every_item_once_and_are_not_too_many(tmp_path_factory, count, size):
    store = Store(tmp_path_factory.mktemp("store"), SPEC)
    wanted = items(*map(str, range(count)))
    _, packs = plan(store, wanted + wanted[:3], 0, 0, size)
    assert sorted(item for pack in packs for item in pack) == sorted(wanted)
    assert len(packs) <= MOST_PACKS


def test_the_same_items_publish_once(store):
    publish(store, items("a"))
    publish(store, items("a"))
    assert len(list(store.folder.glob("*.h5"))) == 1


def test_a_shard_whose_payload_is_gone_is_not_there_and_can_be_published_again(store):
    publish(store, items("a"))
    next(store.folder.glob("*.h5")).unlink()
    assert not store.index().settled("digest-a", 0)
    publish(store, items("a"))
    assert store.index().settled("digest-a", 0)


def test_a_shard_that_another_process_publishes_again_is_seen(store):
    publish(store, items("a"))
    mine = Store(store.folder, SPEC)
    assert mine.index().settled("digest-a", 0)
    next(store.folder.glob("*.h5")).unlink()
    assert not mine.index().settled("digest-a", 0)
    publish(store, items("a"))
    assert mine.index().settled("digest-a", 0)


def test_where_shards_overlap_the_smallest_key_wins_in_every_copy(store, tmp_path):
    publish(store, items("a", "b"))
    publish(store, items("a", "c"))
    first = store.index().rows["digest-a"].name
    assert first == min(path.name for path in store.folder.glob("*.h5"))
    shutil.copytree(store.folder, tmp_path / "copy")
    assert Store(tmp_path / "copy", SPEC).index().rows["digest-a"].name == first


def test_shards_of_another_spec_are_not_taken(store, tmp_path):
    publish(store, items("a"))
    assert not Store(store.folder, {**SPEC, "version": 2}).index().rows


def test_dropping_removes_only_what_is_chosen(store):
    publish(store, items("a", "b"))
    publish(store, items("c"))
    store.drop(lambda manifest: manifest["items"] == 2)
    assert set(store.index().rows) == {"digest-c"}
    assert len(list(store.folder.glob("*.h5"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "../victim.h5"},
        {"payload": None},
        {"digests": [1]},
        {"failures": [{"id": "a"}]},
        {"spec": "another"},
    ],
    ids=str,
)
def test_a_manifest_that_is_none_is_passed_over_and_nothing_outside_is_touched(store, change):
    publish(store, items("a"))
    place = next(path for path in store.folder.glob("*.json") if path.name != "store.json")
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    victim = store.folder.parent / "victim.h5"
    victim.write_text("mine")
    fresh = Store(store.folder, SPEC)
    assert not fresh.index().rows
    fresh.drop(lambda manifest: True)
    assert victim.read_text() == "mine"

"""Imported features: what is new is added in shards of a size, and the newest rows of an id are those that count."""

from pathlib import Path

import numpy as np
import pytest

from videocap.extract.shards.exchange import write_shard
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.digests import digest
from videocap.pipeline.stores import imported
from videocap.pipeline.stores.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    return imported.foreign_store(Artifacts(tmp_path / "artifacts"), "i3d")


def rows(name: str, version: int = 1) -> tuple[str, str, np.ndarray]:
    return name, digest([name, version]), np.full((2, 4), version, np.float16)


def publish(store: Store, *read: tuple, size: int = 2) -> int:
    return imported.publish(store, read, write_shard, size, "theirs.hdf5")


def shards(store: Store) -> list[int]:
    return sorted(manifest["items"] for manifest in store.manifests().values())


def test_a_name_is_a_store_that_says_it_holds_what_was_made_elsewhere(store, tmp_path):
    assert imported.is_foreign(store.spec)
    assert not imported.is_foreign({"stage": "EmbedFramesShard"})
    assert imported.foreign_store(Artifacts(tmp_path / "artifacts"), "i3d").folder == store.folder
    assert imported.foreign_store(Artifacts(tmp_path / "artifacts"), "c3d").folder != store.folder


def test_items_come_in_shards_of_a_size_and_only_new_ones(store):
    assert publish(store, *(rows(name) for name in "abcde")) == 5
    assert shards(store) == [1, 2, 2]
    assert publish(store, *(rows(name) for name in "abcdef")) == 1
    assert shards(store) == [1, 1, 2, 2]
    assert publish(store, *(rows(name) for name in "abcdef")) == 0
    assert set(store.index().rows) == {digest([name, 1]) for name in "abcdef"}
    (made,) = {manifest["provenance"]["source"] for manifest in store.manifests().values()}
    assert made == "theirs.hdf5"


def test_memory_is_not_filled_with_what_waits(store, monkeypatch):
    monkeypatch.setattr(imported, "MOST_HELD", 20)  # bytes: a video and a half
    assert publish(store, *(rows(name) for name in "abcd"), size=100) == 4
    assert shards(store) == [2, 2]


def test_the_newest_rows_count_also_when_one_goes_back(store):
    for version in (1, 2, 1, 2):
        assert publish(store, rows("a", version)) == 1
        assert imported.newest(store.manifests().values()) == {"a": digest(["a", version])}
    assert shards(store) == [1, 1, 1, 1]


def test_what_has_gone_is_new_again(store):
    publish(store, rows("a"), rows("b"))
    (payload,) = store.folder.glob("*.h5")
    Path(payload).unlink()
    assert publish(store, rows("a"), rows("b")) == 2
    assert set(store.index().rows) == {digest([name, 1]) for name in "ab"}

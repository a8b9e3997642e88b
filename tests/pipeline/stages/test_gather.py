"""A gather plans packs for what is missing, waits for them, and ends with a record; too much or too bad is refused."""

import shutil
from pathlib import Path

import pytest
from failures import RETRY, again, in_folder, with_failures

from videocap import tasks
from videocap.pipeline.stages.gather import Gather
from videocap.pipeline.stores.plans import read_record

NAMES = [f"video{number}.mp4" for number in range(6)]


@pytest.fixture
def folder(tmp_path, artifacts) -> Path:
    """Of an experiment of six videos whose corpus is made."""
    tasks.Corpus.of(in_folder(tmp_path, NAMES)).run()
    return tmp_path


def gather_of(folder: Path, override: str = "") -> Gather:
    return tasks.FrameFeatures.of(again(folder, override))


def publish(gather: Gather, items: list, failed: int = 0) -> None:
    """A shard of these items, of which the first ones failed."""
    failures = [{"id": name, "digest": source, "reason": "is damaged"} for name, source in items[:failed]]

    def write(path: Path, key: str) -> dict:
        path.write_bytes(b"rows")
        digests = [source for _, source in items[failed:]]
        return {"digests": digests, "failures": failures, "content": "", "provenance": {}}

    gather.spec.store.publish_shard(items, 0, write, {"how": {}})


def test_it_asks_for_packs_of_what_is_missing_and_again_for_what_goes_meanwhile(folder):
    gather = gather_of(folder, "pipeline.shard_size=2")
    running = gather.run()
    packs = next(running)
    assert [len(pack.items) for pack in packs] == [2, 2, 2]
    assert sorted(item for pack in packs for item in pack.items) == sorted(gather.rows.items())
    assert next(gather_of(folder, "pipeline.shard_size=2").run()) == packs, "who asks later is given the same"
    publish(gather, packs[0].items)
    (one, two) = (pack.items for pack in next(running))
    assert sorted([*one, *two]) == sorted([*packs[1].items, *packs[2].items])
    publish(gather, [*one, *two])
    assert list(running) == []
    assert read_record(gather.rows.record()) == gather.rows.held()
    assert gather.complete()


def test_more_failures_than_are_allowed_stop_it_and_are_named(folder):
    gather = gather_of(folder)
    publish(gather, sorted(gather.rows.items()), failed=2)
    with pytest.raises(ValueError, match=r"2 of 6 videos failed, more than decode\.max_failures = 0\.2 allows"):
        list(gather.run())
    assert not gather.complete()
    assert list(gather_of(folder, "decode.max_failures=0.5").run()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_computed(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(ValueError, match=r"has 10 bytes free: make room, .* --override decode\.keep=false"):
        next(gather_of(folder).run())
    with pytest.raises(ValueError, match=r"has 10 bytes free: make room, or keep the artifacts on a larger disk$"):
        next(gather_of(folder, "decode.keep=false").run())


def test_its_id_tells_specs_apart(tmp_path, artifacts):
    with_failures(tmp_path, NAMES)
    ids = {gather_of(tmp_path, override).id for override in ("", "decode.frames=7", f"decode.retry_failed={RETRY}")}
    assert len(ids) == 2, "a retry number decides what is computed, not which values"

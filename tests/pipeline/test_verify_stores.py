"""Verifying walks all stores, names every file that is wrong, and believes nothing of what it finds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract import shard_writer
from extract.verify import check_shard
from pipeline.keys import digest
from pipeline.stores import Store
from pipeline.verify import verify

SPEC = {"stage": "EmbedFramesShard", "version": 1, "config": {"decode.frames": 4}, "inputs": {}}


def publish(store: Store, names: str) -> None:
    items = [(name, digest(name)) for name in names]

    def write(path: Path, key: str) -> dict:
        rows = [np.full((2, 4), ord(name)) for name in names]
        info = shard_writer.write(path, items=items, arrays=rows, times=None, spec=store.spec, key=key)
        return {"digests": [d for _, d in items], "failures": [], "content": info.content, "provenance": {}}

    store.publish_shard(items, 0, write, {"experiment": "mine"})


def make(folder: Path, spec: dict = SPEC) -> Store:
    store = Store(folder, spec)
    publish(store, "ab")
    publish(store, "cde")
    return store


@pytest.fixture
def store(tmp_path) -> Store:
    return make(tmp_path / "store")


def problems(*folders: Path) -> list[list[str]]:
    return [verdict.problems for verdict in verify(folders, check_shard)]


def manifests(store: Store) -> list[Path]:
    return sorted(path for path in store.folder.glob("*.json") if path.name != "store.json")


def test_a_sound_store_is_counted(store):
    (verdict,) = verify([store.folder], check_shard)
    size = sum(path.stat().st_size for path in store.folder.glob("*.h5"))
    assert (verdict.problems, verdict.notes) == ([], [])
    assert (verdict.shards, verdict.items, verdict.size) == (2, 5, size)
    json.dumps(verdict.told())


def test_all_stores_and_shards_are_checked_whatever_is_found(store, tmp_path):
    for name in ("other", "third"):
        shutil.copytree(store.folder, tmp_path / name)
    payloads = sorted(store.folder.glob("*.h5"))
    for path in (payloads[0], tmp_path / "third" / payloads[1].name):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    first, second, third = verify([store.folder, tmp_path / "other", tmp_path / "third"], check_shard)
    assert [str(payloads[0]) in first.problems[0], len(first.problems), first.shards] == [True, 1, 2]
    assert second.problems == []
    assert [payloads[1].name in third.problems[0], len(third.problems), third.shards] == [True, 1, 2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Store:
    return make(tmp_path_factory.mktemp("whole") / "store")


@given(st.integers(0, 1), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_damaged_byte_of_a_manifest_is_found_wherever_it_says_what_the_shard_is(whole, which, at, flip):
    place = manifests(whole)[which]
    good = place.read_bytes()
    at = int(at * len(good))
    place.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
    (found,) = problems(whole.folder)
    bad = place.read_bytes()
    place.write_bytes(good)
    assert all(place.stem in line for line in found)
    if not found:  # it was in what tells who made it and when; or in the name of what the first manifests lacked
        before, after = json.loads(good), json.loads(bad)
        for name in ("key", "spec", "payload", "content", "sha256", "size", "digests", "items", "ids"):
            assert after.get(name, before[name] if name in ("items", "ids") else None) == before[name]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_what_is_no_manifest_is_named_with_what_to_do(store, text):
    place = manifests(store)[0]
    place.write_text(text)
    (verdict,) = verify([store.folder], check_shard)
    (problem,) = verdict.problems
    assert problem.startswith(f"{place} is no manifest")
    assert problem.endswith("delete it, and the next run makes its shard anew; what was imported, import again")
    assert verdict.notes[0].startswith(f"no manifest names {place.stem}-")


def test_a_manifest_whose_shard_is_gone_is_named(store):
    gone = next(store.folder.glob("*.h5"))
    gone.unlink()
    ((problem,),) = problems(store.folder)
    assert problem.startswith(f"{gone} is gone")
    assert "; delete " in problem


def test_what_a_killed_run_leaves_is_mentioned_only(store):
    (store.folder / ".half.h5").write_text("half")
    (store.folder / "loose.h5").write_text("no manifest")
    (store.folder / ".key.json.123").write_text("aside")
    (verdict,) = verify([store.folder], check_shard)
    assert verdict.problems == []
    assert verdict.notes[0].startswith("no manifest names .half.h5, loose.h5: a killed run leaves such")


def test_a_store_that_does_not_say_its_spec(store, tmp_path):
    (store.folder / "store.json").write_text("{")
    ((problem,),) = problems(store.folder)
    assert problem.startswith(f"{store.folder / 'store.json'} is damaged")
    (store.folder / "store.json").unlink()
    ((problem,),) = problems(store.folder)
    assert "store.json is missing" in problem
    (tmp_path / "empty" / "plans").mkdir(parents=True)  # killed before its first shard was there
    assert problems(tmp_path / "empty") == [[]]


def test_a_store_whose_spec_is_another_than_its_shards(store):
    place = store.folder / "store.json"
    about = json.loads(place.read_text())
    about["spec"]["config"]["decode.frames"] = 5
    place.write_text(json.dumps(about))
    (verdict,) = verify([store.folder], check_shard)
    assert len(verdict.problems) == 2
    assert any("is it the wrong one?" in note for note in verdict.notes)
    for manifest in manifests(store):  # made to fit, so that only the shards tell
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"spec": digest(about["spec"])}))
    (found,) = problems(store.folder)
    assert len(found) == 2
    assert all("has not the spec" in line for line in found)


def test_a_shard_that_cannot_be_read_is_named_and_the_others_are_checked(store):
    place = sorted(store.folder.glob("*.h5"))[0]
    place.unlink()
    place.symlink_to(place.name)  # a loop, which not even root can read
    (verdict,) = verify([store.folder], check_shard)
    (problem,) = verdict.problems
    assert problem.startswith(f"{place} can't be read")
    assert verdict.shards == 2


def test_pipeline_verify_loads_nothing_heavy():
    code = "import sys, pipeline.verify; print({'numpy', 'h5py', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

"""Verifying walks all stores, names every file that is wrong, and believes nothing of what it finds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from copies import SPEC, hold, overlap, publish, rows_of
from hypothesis import given
from hypothesis import strategies as st

import videocap
from videocap.extract.shards.checks import check_shard, measurer
from videocap.pipeline.digests import digest
from videocap.pipeline.stores.store import Store
from videocap.pipeline.stores.verify import compare_copies, verify


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


def test_shards_are_checked_at_once_and_told_in_order(store, tmp_path):
    bar = threading.Barrier(2, timeout=20)

    def check(path: Path, manifest: dict, spec: dict) -> list[str]:
        bar.wait()  # broken unless two are there at a time
        return [path.name]

    shutil.copytree(store.folder, tmp_path / "other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 2)
        verdicts = verify([tmp_path / "other", store.folder], check)
    payloads = [manifest["payload"] for manifest in store.manifests().values()]
    assert [verdict.problems for verdict in verdicts] == [payloads, payloads]


def test_an_interrupt_ends_it_with_what_is_being_read(store, monkeypatch, interrupts):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    publish(store, "f")
    seen = []

    def check(path: Path, manifest: dict, spec: dict) -> list[str]:
        seen.append(path)
        time.sleep(0.1)  # the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.2)  # it is done with this shard
        return []

    with pytest.raises(KeyboardInterrupt):
        verify([store.folder], check)
    assert len(seen) == 1


def nudged(rows: np.ndarray) -> np.ndarray:
    """Rows that differ from these in a last bit."""
    rows = rows.copy()
    rows[1, 5] = np.nextafter(rows[1, 5], np.float16(9))
    return rows


def test_shards_that_hold_nothing_twice_do_not_overlap(store):
    (verdict,) = overlap(store.folder)
    assert (verdict.overlap, verdict.notes, verdict.problems) == ({}, [], [])


def test_copies_of_one_content_are_told_and_not_read(store, tmp_path):
    shutil.copytree(store.folder, tmp_path / "other")
    verdicts = verify([store.folder, tmp_path / "other"], check_shard)
    compare_copies(verdicts, None)
    assert [verdict.overlap for verdict in verdicts] == [{}, {"items": 5, "unequal": 0}]
    assert [verdict.notes for verdict in verdicts] == [[], ["held by more than one shard: 5 items, with equal rows"]]


def test_equal_rows_in_shards_of_other_items_are_told(tmp_path):
    store = Store(tmp_path, SPEC)
    hold(store, rows_of("a", "b"))
    hold(store, rows_of("b", "c"))
    (verdict,) = overlap(tmp_path)
    assert verdict.problems == []
    assert verdict.notes == ["held by more than one shard: 1 item, with equal rows"]
    assert verdict.overlap == {"items": 1, "unequal": 0}


def test_rows_that_differ_in_their_last_bits_are_told_with_the_largest_deviation(tmp_path):
    rows = rows_of("a", "b", "c", "d")
    for names, folder in (("ab", "mine"), ("cd", "mine"), ("abcd", "theirs")):
        mine = folder == "mine"
        changed = {name: rows[name] if mine or name == "d" else nudged(rows[name]) for name in names}
        if not mine:
            changed["c"][:, 7] += 0.05
        hold(Store(tmp_path / folder, SPEC), changed)
    mine, theirs = overlap(tmp_path / "mine", tmp_path / "theirs")
    assert (mine.overlap, mine.notes) == ({}, [])
    cosine = theirs.overlap.pop("cosine")
    assert 0.9999 < cosine < 0.99999
    assert theirs.overlap == {"items": 4, "unequal": 3}
    told = f"held by more than one shard: 4 items, of which 3 differ, the most by a cosine of {cosine:.7f} ('c')"
    assert (theirs.notes, theirs.problems) == ([told], [])


def test_rows_beyond_the_contract_are_a_problem_that_names_item_and_files(tmp_path):
    store = Store(tmp_path, SPEC)
    rows = rows_of("a", "b", "c")
    one, two = hold(store, {name: rows[name] for name in "ab"}), hold(store, rows | {"b": -rows["b"]})
    counts, other = sorted([one, two])  # by their keys
    (verdict,) = overlap(tmp_path)
    (problem,) = verdict.problems
    assert problem.startswith(
        f"{other} holds 'b' with other rows than {counts}, which counts (two rows have cosine -1.0"
    )
    assert "--recompute tells which is right" in problem
    assert verdict.overlap == {"items": 2, "unequal": 1, "cosine": pytest.approx(-1)}
    assert verdict.disputed == {digest("b")}


def test_the_first_store_counts_and_both_know_what_is_disputed(tmp_path):
    mine = hold(Store(tmp_path / "mine", SPEC), rows_of("a", "b"))
    theirs = hold(Store(tmp_path / "theirs", SPEC), {name: 2 * rows for name, rows in rows_of("a", "b", "c").items()})
    for first, second in ((mine, theirs), (theirs, mine)):
        good, bad = overlap(first.parent, second.parent)
        assert good.problems == []
        (problem,) = bad.problems
        assert problem.startswith(
            f"{second} holds 'a' with other rows than {first}, which counts (lengths of a row are"
        )
        assert " to 1), and 1 more that differ too far; --recompute tells which is right" in problem
        assert good.disputed == bad.disputed == {digest("a"), digest("b")}


def test_the_command_compares_the_stores_that_it_is_given(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path))
    for name, change in (("mine", np.array), ("theirs", nudged), ("bad", np.negative)):
        hold(Store(tmp_path / name, SPEC), {name: change(rows) for name, rows in rows_of("a", "b").items()})
    mine, theirs, bad = (str(tmp_path / name) for name in ("mine", "theirs", "bad"))
    assert videocap.main(["store", "verify", mine, theirs]) == 0
    assert "2 items, of which 2 differ, the most by a cosine of 1.0000000" in capsys.readouterr().out
    assert videocap.main(["store", "verify", "--json", mine, bad]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["overlap"] for one in told] == [{}, {"items": 2, "unequal": 2, "cosine": pytest.approx(-1)}]
    assert videocap.main(["store", "verify", "--json", bad]) == 0, "alone, nothing tells"


def test_rows_of_another_number_are_a_problem_without_a_figure(tmp_path):
    store = Store(tmp_path, SPEC)
    rows = rows_of("a", "b")
    hold(store, rows)
    hold(store, {"a": rows["a"][:2]})
    (verdict,) = overlap(tmp_path)
    assert "rows of float16 64 instead of" in verdict.problems[0]
    assert verdict.overlap == {"items": 1, "unequal": 1}


def test_copies_of_frames_differ_by_levels(tmp_path):
    spec = SPEC | {"stage": "DecodeShard"}
    frames = np.full((2, 4, 4, 3), 100, np.uint8)
    other = frames.copy()
    other[1, :1] += 1
    hold(Store(tmp_path / "mine", spec), {"a": frames, "b": frames})
    hold(Store(tmp_path / "near", spec), {"a": frames, "b": other})
    hold(Store(tmp_path / "far", spec), {"a": frames, "b": frames + np.uint8(9)})
    _, near, far = overlap(*(tmp_path / name for name in ("mine", "near", "far")))
    assert (near.problems, near.overlap) == ([], {"items": 2, "unequal": 1, "levels": 0.25})
    assert near.notes == [
        "held by more than one shard: 2 items, of which 1 differs, the most by 0.25 levels of 255 ('b')"
    ]
    assert "a frame differs by 9.0 levels of 255 on average" in far.problems[0]


def test_stores_of_other_specs_and_damaged_shards_take_no_part(tmp_path):
    rows = rows_of("a", "b")
    hold(Store(tmp_path / "mine", SPEC), rows)
    hold(Store(tmp_path / "other", SPEC | {"version": 2}), {name: -of for name, of in rows.items()})
    damaged = hold(Store(tmp_path / "damaged", SPEC), {name: -of for name, of in rows.items()})
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    verdicts = overlap(tmp_path / "mine", tmp_path / "other", tmp_path / "damaged")
    assert [verdict.overlap for verdict in verdicts] == [{}, {}, {}]
    assert [len(verdict.problems) for verdict in verdicts] == [0, 0, 1]


def test_a_copy_that_goes_meanwhile_is_mentioned_only(tmp_path):
    mine, theirs = Store(tmp_path / "mine", SPEC), Store(tmp_path / "theirs", SPEC)
    hold(mine, rows_of("a", "b"))
    gone = hold(theirs, rows_of("a", "b", "c"))
    verdicts = verify([mine.folder, theirs.folder], check_shard)
    gone.unlink()
    compare_copies(verdicts, measurer())
    assert [verdict.problems for verdict in verdicts] == [[], []]
    assert verdicts[1].notes[1].startswith("not compared: 2 of these, among them 'a': ")


def test_pipeline_verify_loads_nothing_heavy():
    code = "import sys, videocap.pipeline.stores.verify; print({'numpy', 'h5py', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

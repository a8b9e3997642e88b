"""Garbage is what nothing needs; unfinished work is left alone until it is old; a running job keeps what it needs."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from videocap.pipeline import garbage
from videocap.pipeline.artifacts import jobs
from videocap.pipeline.artifacts.outside import stat_file
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.artifacts.shown import Shown
from videocap.pipeline.stores.store import Store, store_of

KEYS = {name: f"{name * 64}" for name in "abc"}


def fill(folder: Path) -> None:
    (folder / "result.txt").write_text("0123456789")


@pytest.fixture
def artifacts(tmp_path) -> Artifacts:
    """Three models, of which an experiment shows one."""
    artifacts = Artifacts(tmp_path / "artifacts")
    for key in KEYS.values():
        artifacts.publish("Train", key, {}, fill, {"experiment": "mine"})
    show(artifacts, "mine", KEYS["a"])
    return artifacts


def show(artifacts: Artifacts, name: str, key: str) -> None:
    made_of = {"Train": f"Train/{key}"}
    Shown(artifacts.root, name, artifacts.payload("Train", key), {"made_of.json": json.dumps(made_of)}).link({})


def places(artifacts: Artifacts) -> set[str]:
    return {one.place for one in garbage.find(artifacts)}


def test_what_an_experiment_shows_is_kept_and_the_rest_is_listed_and_deleted(artifacts):
    assert places(artifacts) == {f"Train/{KEYS['b']}", f"Train/{KEYS['c']}"}
    show(artifacts, "other", KEYS["b"])
    for one in garbage.find(artifacts):
        assert one.size > 10
        one.delete()
    assert places(artifacts) == set()
    assert [artifacts.payload("Train", key) is not None for key in KEYS.values()] == [True, True, False]


def test_what_was_shown_before_goes(artifacts):
    show(artifacts, "mine", KEYS["b"])
    assert {place.split("/")[0] for place in places(artifacts)} == {"runs", "Train"}
    for one in garbage.find(artifacts):
        one.delete()
    assert (artifacts.root / "runs" / "mine" / "result.txt").exists()


def test_unfinished_work_is_left_alone_for_a_week(artifacts):
    work = artifacts.scratch / "Train-xyz"
    work.mkdir(parents=True)
    (work / "epoch-3.pt").write_text("")
    assert "scratch/Train-xyz" not in places(artifacts)
    for path in (work / "epoch-3.pt", work):
        os.utime(path, (1, time.time() - 8 * 24 * 3600))
    assert "scratch/Train-xyz" in places(artifacts)


@pytest.mark.parametrize("text", ["", "[]"])
def test_an_experiment_that_does_not_say_what_it_needs_stops_it_all(artifacts, text):
    (artifacts.root / "runs" / "mine" / "made_of.json").write_text(text)
    with pytest.raises(ValueError, match="runs/mine does not say what it needs"):
        garbage.find(artifacts)


def job_of(artifacts: Artifacts, needs: dict, token: str = "0" * 64) -> tuple:
    """What a run that needs this is registered by."""
    return artifacts, token, lambda: needs


def _work(job, entered):
    jobs.enter(*job)
    entered.set()
    time.sleep(60)


@pytest.mark.parametrize(("needs", "left"), [({"Train": f"Train/{KEYS['c']}"}, {"b"}), ({"Train": None}, set())])
def test_a_running_job_keeps_what_it_needs_and_one_that_was_killed_for_a_week(artifacts, needs, left):
    context = multiprocessing.get_context("fork")
    entered = context.Event()
    process = context.Process(target=_work, args=(job_of(artifacts, needs), entered))
    process.start()
    assert entered.wait(30)
    (note,) = (artifacts.scratch / "jobs").glob("*.json")
    os.utime(note, (1, 1))
    assert places(artifacts) == {f"Train/{KEYS[name]}" for name in left}, "it runs, however long"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    os.utime(note)
    assert places(artifacts) == {f"Train/{KEYS[name]}" for name in left}, "the same command can go on"
    os.utime(note, (1, 1))
    assert places(artifacts) == {f"Train/{KEYS['b']}", f"Train/{KEYS['c']}"}
    assert not list((artifacts.scratch / "jobs").iterdir())


def test_a_process_may_run_several_experiments_and_leaves_no_trace_when_they_are_done(artifacts):
    some = [job_of(artifacts, {"Train": f"Train/{KEYS[name]}"}, token=name * 64) for name in "bc"]
    for job in some:
        jobs.enter(*job)
        jobs.enter(*job)
    assert places(artifacts) == set()
    jobs.leave(*some[0][:2])
    assert places(artifacts) == {f"Train/{KEYS['b']}"}
    jobs.leave(*some[1][:2])
    assert not list((artifacts.scratch / "jobs").iterdir())


@pytest.mark.parametrize("text", ["[1]", '{"Train": 5}', "{"])
def test_a_note_that_is_none_deletes_nothing_of_others(artifacts, text):
    jobs.enter(*job_of(artifacts, {}))
    (note,) = (artifacts.scratch / "jobs").glob("*.json")
    note.write_text(text)
    assert f"Train/{KEYS['a']}" not in places(artifacts)
    jobs.leave(*job_of(artifacts, {})[:2])


def test_of_a_shown_result_nothing_goes_though_its_manifest_is_damaged(artifacts):
    folder = artifacts.folder("Train", KEYS["a"])
    (folder / "manifest.json").write_text("{")
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (1, 1))
    assert not any(place.startswith(f"Train/{KEYS['a']}") for place in places(artifacts))


@pytest.mark.parametrize("payload", ["..", "", "gathers", "store.json", "KEY.h5", "OTHER"])
def test_a_shards_manifest_never_leads_to_another_file(artifacts, payload):
    store = store_of(artifacts.root, {"stage": "Embed"})

    def write(path: Path, key: str) -> dict:
        path.write_text("rows")
        return {"digests": ["d"], "failures": [], "content": "c", "provenance": {}}

    store.publish_shard([("a", "d")], 0, write, {})
    (honest,) = store.folder.glob("[0-9a-f]*.json")
    other = json.loads(honest.read_text())
    payload = payload.replace("KEY", "f" * 64).replace("OTHER", other["payload"])
    hostile = {**other, "key": "f" * 64, "payload": payload, "digests": []}
    (store.folder / f"{'f' * 64}.json").write_text(json.dumps(hostile))
    made_of = {"Embed": store.folder.relative_to(artifacts.root).as_posix(), "Features": "stores/x/gathers/y.json"}
    (artifacts.root / "stores" / "x" / "gathers").mkdir(parents=True)
    (artifacts.root / "stores" / "x" / "gathers" / "y.json").write_text('{"train": [["a", "d"]]}')
    text = json.dumps({"Train": f"Train/{KEYS['a']}", **made_of})
    Shown(artifacts.root, "mine", artifacts.payload("Train", KEYS["a"]), {"made_of.json": text}).link({})
    for one in garbage.find(artifacts):
        one.delete()
    assert Store(store.folder, store.spec).index().rows["d"].read_text() == "rows"


def test_records_of_files_that_a_shown_result_names_are_kept(artifacts, tmp_path):
    files = []
    for number in range(25):
        file = tmp_path / f"file{number}"
        file.write_text("x")
        stats = {"x": stat_file(file)}
        artifacts.outside.digests("Corpus", stats, compute=True)
        files.append(artifacts.outside.record("Corpus", stats))
        os.utime(files[-1], (number + 1, number + 1))
    made_of = {"Train": f"Train/{KEYS['a']}", "Corpus files": f"sources/{files[0].name}"}
    Shown(artifacts.root, "mine", artifacts.payload("Train", KEYS["a"]), {"made_of.json": json.dumps(made_of)}).link({})
    assert {place for place in places(artifacts) if "sources" in place} == {f"sources/{f.name}" for f in files[1:5]}

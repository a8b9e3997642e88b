"""Garbage is what nothing needs; unfinished work is left alone until it is old; a running job keeps what it needs."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from pipeline import garbage, jobs
from pipeline.artifacts import Artifacts

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
    artifacts.link_run(name, artifacts.payload("Train", key), {"made_of.json": json.dumps(made_of)})


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


class Job:
    """What `jobs` asks of an experiment."""

    def __init__(self, artifacts: Artifacts, needs: dict):
        self.artifacts, self.needs = artifacts, needs

    def made_of(self) -> dict:
        return self.needs


def _work(job, entered):
    jobs.enter(job)
    entered.set()
    time.sleep(60)


@pytest.mark.parametrize(("needs", "left"), [({"Train": f"Train/{KEYS['c']}"}, {"b"}), ({"Train": None}, set())])
def test_a_running_job_keeps_what_it_needs_until_it_is_killed(artifacts, needs, left):
    context = multiprocessing.get_context("fork")
    entered = context.Event()
    process = context.Process(target=_work, args=(Job(artifacts, needs), entered))
    process.start()
    assert entered.wait(30)
    assert places(artifacts) == {f"Train/{KEYS[name]}" for name in left}
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert places(artifacts) == {f"Train/{KEYS['b']}", f"Train/{KEYS['c']}"}
    assert not list((artifacts.scratch / "jobs").glob("*.lock"))

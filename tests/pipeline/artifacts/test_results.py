"""Publishing: whole or not at all, the first wins, a damaged or emptied place is taken over."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.outside import stat_file
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.artifacts.shown import Shown


def test_the_first_publisher_wins(tmp_path):
    place = tmp_path / "plan.json"
    assert publish.publish_json(place, [1]) == [1]
    assert publish.publish_json(place, [2]) == [1]
    assert publish.read_json(place) == [1]
    assert os.listdir(tmp_path) == ["plan.json"]


def test_a_damaged_file_is_taken_over(tmp_path):
    place = tmp_path / "plan.json"
    place.write_text("[1, 2")
    assert publish.read_json(place) is None
    assert publish.publish_json(place, [3]) == [3]
    assert publish.read_json(place) == [3]


def _publish(place, value, results):
    results.put(publish.publish_json(place, value))


def test_concurrent_publishers_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_publish, args=(tmp_path / "x.json", [i] * 1000, results)) for i in range(8)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=30) for _ in workers]
    assert all(answer == answers[0] for answer in answers)


def _hold(place, held):
    with publish.lock(place):
        held.set()
        time.sleep(60)


def test_a_lock_is_free_when_its_holder_is_killed(tmp_path):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "lock", held))
    holder.start()
    assert held.wait(30)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with publish.lock(tmp_path / "lock"):
        pass


def _count(place, counter):
    for _ in range(50):
        with publish.lock(place):
            value = int(counter.read_text())
            counter.write_text(str(value + 1))


def test_a_lock_lets_one_in_at_a_time(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(tmp_path / "lock", counter)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counter.read_text() == "200"


def test_an_error_inside_a_lock_comes_out(tmp_path):
    with pytest.raises(FileNotFoundError), publish.lock(tmp_path / "lock"):
        raise FileNotFoundError("mine")


@pytest.fixture
def artifacts(tmp_path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def make(text):
    def fill(folder):
        (folder / "result.txt").write_text(text)

    return fill


def test_an_artifact_is_whole_or_absent(artifacts):
    def fails(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        artifacts.publish("Train", "k", {}, fails, {})
    assert artifacts.payload("Train", "k") is None
    artifacts.publish("Train", "k", {"a": 1}, make("one"), {})
    artifacts.publish("Train", "k", {"a": 1}, make("two"), {})
    payload = artifacts.payload("Train", "k")
    assert (payload / "result.txt").read_text() == "one"
    assert sorted(os.listdir(payload.parent)) == sorted(["manifest.json", payload.name])
    assert os.listdir(artifacts.scratch) == []


@pytest.mark.parametrize("harm", ["delete file", "shorten file", "delete payload", "damage manifest"])
def test_what_is_gone_or_damaged_is_made_anew(artifacts, harm):
    artifacts.publish("Train", "k", {}, make("one"), {})
    payload = artifacts.payload("Train", "k")
    if harm == "delete file":
        (payload / "result.txt").unlink()
    elif harm == "shorten file":
        (payload / "result.txt").write_text("o")
    elif harm == "delete payload":
        (payload / "result.txt").unlink()
        payload.rmdir()
    else:
        (payload.parent / "manifest.json").write_text("{")
    assert artifacts.payload("Train", "k") is None
    artifacts.publish("Train", "k", {}, make("two"), {})
    assert (artifacts.payload("Train", "k") / "result.txt").read_text() == "two"


def test_the_folder_keeps_its_id_when_it_moves(artifacts, tmp_path):
    before = artifacts.id
    os.rename(artifacts.root, tmp_path / "moved")
    assert Artifacts(tmp_path / "moved").id == before


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"nothing can be kept in .*file .*VIDEOCAP_ARTIFACTS"):
        _ = Artifacts(tmp_path / "file").id


def test_files_outside_are_read_once_for_a_place_size_and_mtime(artifacts, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("a")
    b.write_text("b")

    def digests(compute, *paths):
        return artifacts.outside.digests("Corpus", {path.name: stat_file(path) for path in paths}, compute)

    assert digests(False, a, b) is None
    known = digests(True, a, b)
    assert digests(False, a, b) == known
    os.utime(a, ns=(1, 1))
    assert digests(False, a, b) is None
    assert digests(True, a, b) == known
    (tmp_path / "moved").mkdir()
    moved = [path.rename(tmp_path / "moved" / path.name) for path in (a, b)]
    assert digests(False, *moved) is None
    assert digests(True, *moved) == known
    moved[1].write_text("c")
    assert digests(True, *moved) != known


def test_a_file_that_changes_while_it_is_read_is_an_error(artifacts, tmp_path):
    file = tmp_path / "a"
    file.write_text("a")
    before = stat_file(file)
    file.write_text("longer")
    with pytest.raises(ValueError, match="has changed while this ran"):
        artifacts.outside.digests("Corpus", {"a": before}, compute=True)


def test_a_run_shows_its_results_and_moves_with_the_folder(artifacts, tmp_path):
    artifacts.publish("Report", "k", {}, make("one"), {})
    artifacts.publish("Report", "l", {}, make("two"), {})
    for key, config in (("k", "x"), ("l", "y"), ("k", "x"), ("k", "z")):
        payload = artifacts.payload("Report", key)
        texts = {"config.toml": config}
        shown = Shown(artifacts.root, "demo", payload, texts)
        assert not shown.is_linked()
        shown.link({})
        assert shown.is_linked()
    os.rename(artifacts.root, tmp_path / "moved")
    assert (tmp_path / "moved" / "runs" / "demo" / "result.txt").read_text() == "one"
    assert (tmp_path / "moved" / "runs" / "demo" / "config.toml").read_text() == "z"


def test_manifests_are_json_a_person_can_read(artifacts):
    artifacts.publish("Train", "k", {"config": {"train.lr": 0.1}}, make("one"), {"host": "here"})
    manifest = json.loads((artifacts.folder("Train", "k") / "manifest.json").read_text())
    assert manifest["recipe"] == {"config": {"train.lr": 0.1}}
    assert manifest["files"]["result.txt"]["size"] == 3

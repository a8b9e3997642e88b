"""Publishing: a reader sees a whole file or none, the first publisher wins, and a lock dies with its holder."""

import multiprocessing
import os
import signal
import time

import pytest

from videocap.pipeline.artifacts import publish


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

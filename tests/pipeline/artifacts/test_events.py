"""A run's log: what is written reads back as data, and survives odd names and kills."""

import json
import logging
import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.pipeline.artifacts import events as log
from videocap.pipeline.stages.failures import described


def test_odd_names_and_torn_lines_do_no_harm(tmp_path):
    log.write(tmp_path, "warning", "Corpus", warning="a\u2028b\x85c\ud800.mp4")
    with open(log.log_path(tmp_path), "a") as file:
        file.write('{"event": "torn')
    assert [event["warning"] for event in log.read(tmp_path)] == ["a\u2028b\x85c\ud800.mp4"]


def test_lines_that_ran_into_each_other_are_left_out(tmp_path):
    log.write(tmp_path, "ran", "Corpus")
    with open(log.log_path(tmp_path), "a") as file:
        file.write('{"event": "cut{"event": "ran"}\n')
    log.write(tmp_path, "ran", "Train")
    assert [found["stage"] for found in log.read(tmp_path) if "stage" in found][-2:] == ["Corpus", "Train"]


data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.sampled_from(["items", "reasons", "warning", "left"]), data), max_size=3))
def test_what_is_written_reads_back_as_data(tmp_path_factory, several):
    folder = tmp_path_factory.mktemp("log")
    written = [log.write(folder, "warning", f"Stage{number}", **one) for number, one in enumerate(several)]
    assert log.read(folder) == written
    for number, (event, given_data) in enumerate(zip(written, several, strict=True)):
        assert given_data.items() <= event.items()
        assert (event["event"], event["stage"]) == ("warning", f"Stage{number}")


def _write_many(folder, number):
    for count in range(100):
        log.write(folder, "ran", f"Worker{number}", count=count, text="x" * 5000)


def test_lines_of_several_workers_do_not_mix(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_many, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = log.read(tmp_path)
    assert len(found) == 400
    for number in range(4):
        assert [event["count"] for event in found if event["stage"] == f"Worker{number}"] == list(range(100))


def test_before_anything_was_written_there_is_nothing(tmp_path):
    assert log.read(tmp_path / "nowhere") == []


@pytest.fixture
def said():
    """What a person was told."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    log.LOG.addHandler(handler)
    yield records
    log.LOG.removeHandler(handler)


def fail(folder) -> dict:
    """Put an error on record; what is known of it."""
    try:
        raise ValueError("lower train.lr")
    except ValueError as error:
        log.write_failure(folder, "Train", described(error), batch_sizes=[])
        return described(error)


def test_a_failure_is_said_at_once_and_kept_as_data_with_its_traceback(tmp_path, said):
    known = fail(tmp_path)
    assert said == ["failed: Train: lower train.lr"]
    (event,) = log.read(tmp_path)
    assert (event["event"], event["stage"], event["error"], event["artifacts"]) == (
        "failed",
        "Train",
        known,
        str(tmp_path),
    )
    assert event["error"] == json.loads(json.dumps(known))
    assert 'raise ValueError("lower train.lr")' in event["traceback"]


def test_a_failure_is_said_also_where_nothing_can_be_written(tmp_path, said):
    (tmp_path / "file").write_text("in the way")
    fail(tmp_path / "file")
    assert said == ["failed: Train: lower train.lr"]

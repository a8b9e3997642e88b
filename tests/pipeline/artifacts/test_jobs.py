"""Runs in work: what each needs is told until it is done, and for a week if it ended unfinished."""

import multiprocessing
import os
import time

import pytest

from videocap.pipeline.artifacts import jobs

TOKENS = "a" * 64, "b" * 64


def _work(artifacts, entered):
    jobs.enter(artifacts, TOKENS[0], lambda: {"Train": "Train/k"})
    entered.set()
    time.sleep(60)


def test_what_a_run_needs_is_told_until_it_leaves(artifacts):
    assert jobs.needs(artifacts) == []
    jobs.enter(artifacts, TOKENS[0], lambda: {"Train": None})
    assert jobs.needs(artifacts) == [{"Train": None}]
    jobs.write(artifacts, TOKENS[0], lambda: {"Train": "Train/k"})
    jobs.enter(artifacts, TOKENS[0], lambda: {"Train": None})  # which it has, already
    jobs.enter(artifacts, TOKENS[1], lambda: {"Score": None})
    assert jobs.needs(artifacts) == [{"Train": "Train/k"}, {"Score": None}]
    jobs.leave(artifacts, TOKENS[0])
    assert jobs.needs(artifacts) == [{"Score": None}]
    jobs.leave(artifacts, TOKENS[1])
    assert jobs.needs(artifacts) == []
    assert not list((artifacts.scratch / "jobs").iterdir())


def test_a_run_that_was_killed_is_remembered_for_a_week(artifacts):
    context = multiprocessing.get_context("fork")
    entered = context.Event()
    process = context.Process(target=_work, args=(artifacts, entered))
    process.start()
    assert entered.wait(30)
    (note,) = (artifacts.scratch / "jobs").glob("*.json")
    old = time.time() - jobs.UNFINISHED - 60
    os.utime(note, (old, old))
    assert jobs.needs(artifacts) == [{"Train": "Train/k"}], "it runs, however long"
    process.kill()
    process.join()
    os.utime(note)
    assert jobs.needs(artifacts) == [{"Train": "Train/k"}]
    os.utime(note, (old, old))
    assert jobs.needs(artifacts) == []
    assert not note.exists()


@pytest.mark.parametrize("text", ["{", "[1]", '{"Train": 5}'])
def test_a_note_that_is_none_tells_nothing_and_counts_as_a_run(artifacts, text):
    jobs.enter(artifacts, TOKENS[0], dict)
    (note,) = (artifacts.scratch / "jobs").glob("*.json")
    note.write_text(text)
    assert jobs.needs(artifacts) == [{}]
    jobs.leave(artifacts, TOKENS[0])


def test_where_nothing_can_be_written_it_says_what_to_do(artifacts):
    artifacts.root.write_text("a file")
    with pytest.raises(OSError, match=r"nothing can be kept in .*VIDEOCAP_ARTIFACTS"):
        jobs.enter(artifacts, TOKENS[0], dict)

"""What a run would do and why: what is missing, stale, fresh or dropped, and what may turn out to be there."""

from pathlib import Path

import pytest
from failures import RETRY, again, in_folder, with_failures

from videocap import tasks
from videocap.pipeline.status import status, why

NAMES = [f"video{number}.mp4" for number in range(4)]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path


def rows(folder: Path, override: str = "") -> dict[str, dict]:
    """As another run finds it."""
    return {row["stage"]: row for row in status(again(folder, override))}


def told(row: dict) -> tuple[str, bool, bool]:
    return row["state"], row["will_run"], row["may_run"]


def test_of_what_was_never_made_the_first_will_run_and_the_rest_may(folder):
    in_folder(folder, NAMES)
    found = rows(folder)
    assert told(found["Corpus"]) == ("missing", False, True), "its files were not read yet: they may be known"
    assert {told(row)[::2] for row in found.values()} == {("missing", True)}
    assert found["Train"]["key"] is None
    assert [reason["field"] for reason in found["Vocabulary"]["reasons"]] == [
        "Corpus:aspects.train.json",
        "Corpus:captions.train.json",
    ]


def test_what_is_there_is_fresh_and_what_nobody_needs_dropped(folder):
    with_failures(folder, NAMES)
    found = rows(folder)
    assert told(found["Corpus"]) == told(found["EmbedFramesShard"]) == ("fresh", False, False)
    assert told(found["DecodeShard"]) == ("dropped", False, False)
    assert told(found["Vocabulary"]) == ("missing", True, True)
    assert found["Corpus"]["size"] > 0
    assert found["Corpus"]["made"] > 0
    assert [failure["id"] for failure in found["FrameFeatures"]["failures"]] == NAMES[:1]
    assert found["FrameFeatures"]["warnings"][0] == "video0.mp4: is damaged"


def test_another_config_makes_stale_what_reads_it_and_says_why(folder):
    with_failures(folder, NAMES)
    found = rows(folder, "decode.frames=7")
    assert told(found["Corpus"]) == ("fresh", False, False)
    assert told(found["EmbedFramesShard"]) == ("stale", True, True)
    change = {"what": "config", "field": "decode.frames", "old": 20, "new": 7}
    assert found["EmbedFramesShard"]["reasons"] == [change]
    assert found["EmbedFramesShard"]["ahead"]["items"] == 4
    experiment = again(folder, f"decode.retry_failed={RETRY + 1}")
    assert why(experiment, tasks.EmbedFramesShard.of(experiment)) == [
        {"what": "items", "field": "EmbedFramesShard", "old": 3, "new": 4}
    ]


def test_behind_an_input_that_changed_stands_what_changed_of_it(folder):
    in_folder(folder, NAMES)
    lowered = "vocabulary.min_count=1"
    for stage in (tasks.Corpus, tasks.Vocabulary):
        stage.of(again(folder, lowered)).run()
    (folder / "captions.csv").write_text(
        "".join(f"{line}\n" for line in ["video,caption", *(f"{n},other words" for n in NAMES)])
    )
    experiment = again(folder, lowered)
    waits = why(experiment, tasks.Vocabulary.of(experiment))
    assert [(one["what"], one["new"]) for one in waits] == [("input", None)], "each cause once"
    assert waits[0]["because"][0]["unread"] == ["annotations"]
    tasks.Corpus.of(experiment).run()
    (changed,) = why(experiment, tasks.Vocabulary.of(experiment))
    assert changed["field"] == "Corpus:captions.train.json"
    assert [(one["what"], one["field"]) for one in changed["because"]] == [("source", "annotations")]

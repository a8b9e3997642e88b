"""A stage as Luigi runs it: it makes and publishes its result once, says so, and nothing if nobody needs it."""

import luigi
import pytest
from failures import again, in_folder

from videocap import tasks
from videocap.pipeline.artifacts import events
from videocap.pipeline.stages.experiment import Experiment

NAMES = ["a.mp4", "b.mp4"]


@pytest.fixture
def experiment(tmp_path, artifacts) -> Experiment:
    return in_folder(tmp_path, NAMES)


def told(experiment: Experiment, stage: str) -> list[str]:
    return [event["event"] for event in events.read(experiment.artifacts.root) if event["stage"] == stage]


def test_luigi_runs_it_and_what_it_requires_once(experiment, tmp_path):
    for _ in range(2):
        vocabulary = tasks.Vocabulary.of(again(tmp_path, "vocabulary.min_count=1"))
        assert luigi.build([vocabulary], local_scheduler=True, log_level="ERROR")
        assert vocabulary.complete()
        vocabulary.run()
        assert [event for event in told(experiment, "Corpus") if event != "warning"] == ["start", "ran"]
        assert told(experiment, "Vocabulary") == ["start", "ran"]
    assert (vocabulary.product.payload() / "vocabulary.json").is_file()
    assert not vocabulary.scratch().exists()


def test_its_id_is_that_of_all_behind_it(experiment, tmp_path):
    ids = {stage.name: stage.id for stage in experiment.nodes() if isinstance(stage, luigi.Task)}
    assert {kind.of(again(tmp_path)).id for kind in (tasks.Train,)} == {ids["Train"]}
    other = again(tmp_path, "train.lr=0.5")
    changed = {name for name, one in ids.items() if getattr(tasks, name).of(other).id != one}
    assert {"Train", "Caption", "Score", "Report"} <= changed
    assert not {"Corpus", "Vocabulary", "FrameFeatures", "References"} & changed
    (tmp_path / "captions.csv").write_text("video,caption\na.mp4,another caption\n")
    later = again(tmp_path)
    assert tasks.Corpus.of(later).id != ids["Corpus"]
    assert tasks.Train.of(later).id != ids["Train"]


def test_a_failure_is_put_on_record_with_the_sizes_that_it_reads(experiment):
    stage = tasks.Train.of(experiment)
    try:
        raise MemoryError("Unable to allocate 8 GiB")
    except MemoryError as error:
        stage.on_failure(error)
    (event,) = events.read(experiment.artifacts.root)
    assert (event["event"], event["stage"], event["experiment"]) == ("failed", "Train", "demo")
    assert event["error"]["memory"] == "Unable to allocate 8 GiB"
    assert event["batch_sizes"] == ["train.batch_size"]
    assert "MemoryError" in event["traceback"]


def test_an_input_that_changes_while_it_runs_stops_it(experiment, tmp_path):
    corpus = tasks.Corpus.of(experiment)
    (tmp_path / "videos" / "a.mp4").write_text("something else")
    with pytest.raises(ValueError, match="has changed while this ran; run the same command again"):
        corpus.run()
    assert not corpus.complete()

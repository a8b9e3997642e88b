"""An experiment: its stages in order, what of them is needed, and how it goes through Luigi's strings."""

import pytest
from failures import again, in_folder

from videocap import tasks
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.parameter import ExperimentParameter

NAMES = ["a.mp4", "b.mp4"]


@pytest.fixture
def experiment(tmp_path, artifacts) -> Experiment:
    return in_folder(tmp_path, NAMES)


def test_a_stage_is_one_object_and_has_what_it_needs_before_it(experiment):
    order = list(experiment.order)
    assert order[-1] is tasks.Report
    assert tasks.ToyWorld not in order, "of a person's own videos nothing is rendered"
    for kind, stage in zip(order, experiment.nodes(), strict=True):
        assert kind.of(experiment) is kind.of(stage) is stage
        assert {order.index(other) for other in stage.upstream()} <= set(range(order.index(kind)))
    assert experiment.named("Train") is tasks.Train.of(experiment)
    with pytest.raises(ValueError, match="this experiment has no stage Trian; it has Corpus, "):
        experiment.named("Trian")


def test_what_is_done_is_needed_no_more_once_it_has_looked_again(experiment, tmp_path):
    assert experiment.needed()[tasks.Corpus]
    assert experiment.needs(tasks.Corpus.of(experiment))
    tasks.Corpus.of(again(tmp_path)).run()
    assert tasks.Corpus in experiment.needed()
    experiment.look_again()
    assert tasks.Corpus not in experiment.needed()
    assert experiment.needed()[tasks.Vocabulary]


def test_it_says_where_all_lies_that_it_is_made_of(experiment):
    tasks.Corpus.of(experiment).run()
    places = experiment.made_of()
    assert (experiment.artifacts.root / places["Corpus"] / "manifest.json").is_file()
    assert (experiment.artifacts.root / places["Corpus files"]).is_file()
    assert places["EmbedFramesShard"].startswith("stores/EmbedFramesShard-"), "its spec is known, though none is there"
    assert places["Train"] is None


def test_another_config_or_folder_is_another_token(experiment, tmp_path, monkeypatch):
    parameter = ExperimentParameter()
    assert parameter.parse(parameter.serialize(experiment)) is experiment
    assert again(tmp_path, "train.lr=0.5").token != experiment.token
    same = again(tmp_path)
    assert same.token == experiment.token
    assert parameter.parse(experiment.token) is same, "the one that was loaded last"
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "elsewhere"))
    assert again(tmp_path).token != experiment.token

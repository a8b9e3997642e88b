"""What a stage declares is what it may read, and all that its key is made of."""

import pytest
from failures import again, in_folder

from videocap import tasks
from videocap.pipeline.stages.declared import Declared, code_changed, title
from videocap.pipeline.stages.experiment import Experiment

NAMES = ["a.mp4", "b.mp4"]


@pytest.fixture
def experiment(tmp_path, artifacts) -> Experiment:
    return in_folder(tmp_path, NAMES)


def test_a_stage_sees_what_it_declares(experiment):
    train = tasks.Train.of(experiment)
    assert train.field("train.batch_size") == experiment.config.train.batch_size
    for read in (lambda: train.config.data, lambda: train.field("generate.beam")):
        with pytest.raises(AttributeError, match=r"Train reads .* does not declare"):
            read()


def test_a_control_sees_other_values_and_nobody_else_does(experiment):
    control, _ = tasks.CONTROLS["one_frame"]
    assert control.of(experiment).config.fusion.frames == "one"
    assert tasks.Train.of(experiment).config.fusion.frames == experiment.config.fusion.frames == "all"
    assert control.of(experiment).recipe.draft()["config"] != tasks.Train.of(experiment).recipe.draft()["config"]


def test_all_that_goes_into_it_is_upstream_and_luigi_waits_for_it(experiment):
    train = tasks.Train.of(experiment)
    assert train.upstream() == [tasks.Corpus, tasks.FrameFeatures, tasks.CaptionFeatures, tasks.Vocabulary]
    assert {type(task) for task in train.requires()} == set(train.upstream())
    assert tasks.EmbedFramesShard in tasks.FrameFeatures.of(experiment).upstream()
    assert tasks.EmbedFramesShard not in tasks.FrameFeatures.of(experiment).before(), "it is asked for by packs"


def test_how_it_was_made_is_on_record_beside_the_key(experiment):
    made = tasks.Train.of(experiment).provenance()
    assert made["how"]["train.device"] == experiment.config.train.device
    assert not {"train.lr", "train.batch_size"} & made["how"].keys()
    assert made["experiment"] == "demo"
    assert made["code"] == tasks.Train.of(experiment).recipe.code()
    assert made["versions"]["torch"]


def test_its_title_says_where_it_stands(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(Experiment, "_known", {experiment.token: experiment})
    count = len(experiment.order)
    assert title(tasks.Corpus.of(experiment)) == f"[1/{count}] Corpus"
    assert title(tasks.Report.of(experiment)) == f"[{count}/{count}] Report"
    assert title(tasks.ToyWorld.of(experiment)) == "ToyWorld"
    again(tmp_path, "experiment.name=other")
    assert title(tasks.Corpus.of(experiment)) == f"[1/{count}] Corpus of demo"


def test_code_that_is_in_no_key_is_told_when_it_is_another(experiment, monkeypatch):
    corpus = tasks.Corpus.of(experiment)
    assert not code_changed(corpus), "nothing was made"
    corpus.run()
    assert not code_changed(corpus)
    monkeypatch.setattr("videocap.pipeline.stages.recipe.code_digest", lambda module: "another")
    assert code_changed(corpus)
    assert not code_changed(tasks.Train.of(experiment)), "its code is in its key"


def test_what_has_no_product_is_no_stage(experiment):
    with pytest.raises(NotImplementedError):
        _ = Declared().product

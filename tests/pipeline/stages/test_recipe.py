"""Recipes: what they wait for, that they are data, and that what was derived is kept until one looks again."""

import json
import os

import pytest
from failures import again, in_folder

from videocap import tasks
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.recipe import part_name

NAMES = ["a.mp4", "b.mp4"]


@pytest.fixture
def experiment(tmp_path, artifacts) -> Experiment:
    return in_folder(tmp_path, NAMES)


def make_corpus(folder) -> None:
    """As another run does."""
    tasks.Corpus.of(again(folder)).run()


def test_without_the_identity_of_an_input_there_is_no_key_but_a_draft(experiment):
    recipe = tasks.Vocabulary.of(experiment).recipe
    assert (recipe.settled(), recipe.key) == (None, None)
    assert recipe.waits_for() == {tasks.Corpus}
    assert recipe.draft()["inputs"] == {"Corpus:captions.train.json": None, "Corpus:aspects.train.json": None}
    assert recipe.draft()["config"] == {"vocabulary.min_count": 3, "aspects.use": []}


def test_what_was_derived_is_kept_until_the_experiment_looks_again(experiment, tmp_path):
    recipe = tasks.Vocabulary.of(experiment).recipe
    assert recipe.settled() is None
    make_corpus(tmp_path)
    assert (recipe.settled(), recipe.key) == (None, None)
    experiment.look_again()
    settled = recipe.settled()
    assert recipe.key == digest(settled)
    assert recipe.waits_for() == set()
    assert recipe.settled() is settled
    files = tasks.Corpus.of(experiment).product.manifest()["files"]
    assert settled["inputs"] == {f"Corpus:{name}": files[name]["sha256"] for name in files if name in str(settled)}
    experiment.look_again()
    assert recipe.settled() == settled


def test_a_draft_is_what_reads_back_from_json(experiment, tmp_path):
    make_corpus(tmp_path)
    for stage in experiment.nodes():
        draft = stage.recipe.draft()
        assert json.loads(json.dumps(draft)) == draft
        assert (draft["stage"], draft["version"]) == (stage.name, stage.version)
    corpus = tasks.Corpus.of(experiment)
    assert corpus.product.manifest()["recipe"] == corpus.recipe.settled()


def test_files_outside_are_in_no_draft_before_they_were_read(experiment, tmp_path):
    recipe = tasks.Corpus.of(experiment).recipe
    assert recipe.draft()["outside"] is None
    assert set(recipe.unread()) == set(recipe.files()) == {"annotations", *(f"videos/{name}" for name in NAMES)}
    assert recipe.settled() is None
    read = recipe.digests(compute=True)
    assert recipe.digests() == read
    assert (experiment.artifacts.root / recipe.record()).is_file()
    experiment.look_again()
    assert recipe.settled()["outside"] == read


def test_what_changes_outside_during_a_run_is_for_the_next_run(experiment, tmp_path):
    recipe = tasks.Corpus.of(experiment).recipe
    before = recipe.stats()
    os.utime(tmp_path / "videos" / "a.mp4", ns=(1, 1))
    experiment.look_again()
    assert recipe.stats() == before
    with pytest.raises(ValueError, match=r"a\.mp4 has changed while this ran; run the same command again"):
        recipe.digests(compute=True)
    assert tasks.Corpus.of(again(tmp_path)).recipe.digests(compute=True).keys() == before.keys()


def test_what_matters_to_no_value_is_in_no_recipe(tmp_path, artifacts):
    in_folder(tmp_path, NAMES)
    keys = [tasks.DecodeShard.of(again(tmp_path, override)).recipe.values() for override in ("", "decode.keep=false")]
    assert keys[0] == keys[1]
    assert "decode.fps" not in keys[0], "which does not matter beside decode.sampling = uniform"
    assert tasks.DecodeShard.of(again(tmp_path, "decode.sampling=fps")).recipe.values()["decode.fps"] == 2.0


def test_a_part_is_called_by_its_stage():
    assert part_name(tasks.Corpus, "videos.train.json") == "Corpus:videos.train.json"
    assert part_name(tasks.Train, "") == "Train"

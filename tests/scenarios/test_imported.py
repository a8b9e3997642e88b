"""Features that other code made train here: imported under a name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from imports import features_of, lay_out, videocap
from runs import TINY, foretold, luigi, status

from videocap import tasks
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.imported import foreign_store


@pytest.fixture
def folder(tmp_path) -> Path:
    """Captions and features, see `lay_out`."""
    return lay_out(tmp_path)


def test_a_corpus_is_not_made_without_features_that_have_gone(folder, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(folder / "artifacts"))
    videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    experiment = Experiment(load(tasks.Config, folder / "theirs.toml"), tasks.Report)
    corpus = tasks.Corpus.of(experiment)
    assert len(corpus.recipe.digests(compute=True)) == 2
    assert len(corpus.inputs()["features"]) == 25
    for path in (folder / "artifacts").glob("stores/*/*.h5"):
        path.unlink()
    with pytest.raises(ValueError, match=r"have gone: import them again"):
        corpus.inputs()
    assert "25 of 26 items are new" in videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d").stdout
    corpus = tasks.Corpus.of(Experiment(load(tasks.Config, folder / "theirs.toml"), tasks.Report))
    assert len(corpus.recipe.digests(compute=True)) == 3
    assert len(corpus.inputs()["features"]) == 25


def test_features_that_were_not_imported_are_named(folder):
    done = videocap(folder, "status", "--config", "theirs.toml")
    assert done.returncode != 0
    assert "no features are called 'c3d'" in done.stdout + done.stderr


def test_the_store_of_an_import_is_that_of_the_stage(folder, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(folder / "artifacts"))
    experiment = Experiment(load(tasks.Config, folder / "theirs.toml"), tasks.Report)
    assert tasks.ForeignShard.of(experiment).store.folder == foreign_store(experiment.artifacts, "c3d").folder


@pytest.mark.slow
def test_imported_features_train_and_new_ones_train_again(folder):
    tiny = " ".join(part for part in TINY.split() if not part.startswith(("toy", "decode")))
    arguments = ("--config", str(folder / "theirs.toml"), "--override", tiny)
    artifacts = folder / "artifacts"
    videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    run = luigi(artifacts, *arguments)
    assert run.status == 0, run.output
    assert "1 videos left out, no features: video97" in run.output
    assert len(json.loads(run.result("captions.json", "theirs"))) == 4
    rows = status(artifacts, *arguments)
    assert foretold(rows) == (set(), set())
    assert rows["ForeignShard"]["state"] == "fresh"
    assert not {"DecodeShard", "EmbedFramesShard"} & rows.keys()
    assert luigi(artifacts, *arguments).ran() == set()

    (folder / "more").mkdir()
    np.save(folder / "more" / "video97.npy", features_of(97))
    assert videocap(folder, "store", "import", "more", "--name", "c3d").returncode == 0
    run = luigi(artifacts, *arguments)
    assert run.status == 0, run.output
    assert {"Corpus", "Train", "Report"} <= run.ran()

    # features that have gone make no model stale, and are missed where a model needs them
    for path in artifacts.glob("stores/ForeignShard-*/*.h5"):
        os.unlink(path)
    assert luigi(artifacts, *arguments).ran() == set()
    run = luigi(artifacts, *arguments[:3], f"{tiny} train.lr=0.01")
    assert run.status != 0
    assert "import" in run.output

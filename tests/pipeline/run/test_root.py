"""A root task is complete when its last stage is, and what it shows is just that, with texts of its own."""

import json
from pathlib import Path

import luigi
import pytest
from failures import in_folder

from videocap import tasks
from videocap.pipeline.artifacts import jobs
from videocap.pipeline.config import ConfigError, load
from videocap.pipeline.run.root import Root, WholeNumber


class ShowsCorpus(Root):
    """For the corpus alone, which is made in a moment."""

    sections, final = tasks.Config, tasks.Corpus

    def pages(self, payload: Path) -> dict[str, str]:
        return {"counts.json": f"counts of {self.name}"}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    in_folder(tmp_path, ["a.mp4", "b.mp4"])
    return tmp_path


def root_of(folder: Path, override: str = "") -> ShowsCorpus:
    return ShowsCorpus(config=str(folder / "mine.toml"), override=override)


def build(root: Root) -> bool:
    return luigi.build([root], local_scheduler=True, log_level="ERROR")


def test_it_runs_what_its_last_stage_needs_and_shows_the_result(folder):
    root = root_of(folder)
    assert not root.complete()
    assert build(root)
    assert root.complete()
    assert (root.folder / "videos.train.json").resolve().parent == root.last.product.payload()
    assert load(tasks.Config, root.folder / "config.toml") == root.experiment.config
    assert json.loads((root.folder / "made_of.json").read_text()) == root.experiment.made_of()
    assert (root.folder / "counts.json").read_text() == "counts of demo"
    assert jobs.needs(root.experiment.artifacts) == [], "it has left"


def test_another_name_shows_the_same_result_for_itself(folder):
    assert build(root_of(folder))
    other = root_of(folder, "experiment.name=other")
    assert not other.complete()
    assert other.last.complete()
    assert build(other)
    assert (other.folder / "counts.json").read_text() == "counts of other"
    assert root_of(folder).complete()
    same = [(root_of(folder, override).folder / "videos.train.json").resolve() for override in ("", other.override)]
    assert same[0] == same[1]


def test_another_config_under_the_name_is_not_what_is_shown(folder):
    assert build(root_of(folder))
    other = root_of(folder, "train.lr=0.5")
    assert other.last.complete(), "the corpus does not depend on it"
    assert not other.complete()


def test_a_result_that_goes_meanwhile_is_named(folder):
    root = root_of(folder)
    with pytest.raises(ValueError, match="the result of Corpus is gone; run the same command again"):
        root.run()


def test_a_mistake_in_the_config_is_raised_where_no_command_asks_for_it(folder):
    with pytest.raises(ConfigError, match=r"train\.lrr: unknown key; did you mean train\.lr\?"):
        root_of(folder, "train.lrr=1")


def test_an_option_says_what_it_wants():
    number = WholeNumber(description="of the table")
    assert number.parse("3") == 3
    with pytest.raises(ValueError, match="'four' is no whole number: of the table"):
        number.parse("four")

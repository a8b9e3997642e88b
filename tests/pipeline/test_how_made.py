"""How an experiment was made, for its report: the graph of its stages, and what differs from the defaults."""

import re

import pytest
from failures import again, in_folder

from videocap.pipeline import how_made
from videocap.pipeline.stages.experiment import Experiment


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Experiment:
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    return in_folder(tmp_path, ["a.mp4", "b.mp4"])


def boxes(picture: str) -> dict[str, tuple[float, float]]:
    """Where each stage stands: the middle of its box, from the left and from above."""
    found = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)">(\w+)</text>', picture)
    return {name: (float(x), float(y)) for x, y, name in found}


def test_each_stage_stands_below_all_that_goes_into_it(experiment):
    found = boxes(how_made.graph(experiment))
    assert found.keys() == {stage.name for stage in experiment.nodes()}
    assert len(set(found.values())) == len(found), "no two in one place"
    for stage in experiment.nodes():
        assert all(found[kind.__name__][1] < found[stage.name][1] for kind in stage.upstream())


def lines(picture: str) -> set[tuple[str, str]]:
    """From which stage to which one there is a line: from the foot of a box to the head of another."""
    foot = {(x, y - 4 + how_made.BOX[1] / 2): name for name, (x, y) in boxes(picture).items()}
    head = {(x, y - 4 - how_made.BOX[1] / 2): name for name, (x, y) in boxes(picture).items()}
    found = re.findall(r'd="M([\d.-]+),([\d.-]+) C[^"]* ([\d.-]+),([\d.-]+)"', picture)
    return {(foot[float(a), float(b)], head[float(c), float(d)]) for a, b, c, d in found}


def test_what_reaches_a_stage_through_another_has_no_line(experiment):
    above: dict[str, set[str]] = {}
    nearest = set()
    for stage in experiment.nodes():
        direct = {kind.__name__ for kind in stage.upstream()}
        above[stage.name] = direct.union(*(above[name] for name in direct))
        nearest |= {(name, stage.name) for name in direct - set().union(*(above[name] for name in direct))}
    found = lines(how_made.graph(experiment))
    assert found == nearest
    assert ("Vocabulary", "Train") in found
    assert ("Corpus", "Train") not in found


def test_only_what_is_not_as_by_default_is_listed(experiment, tmp_path):
    differs = {name: (value, default) for name, value, default in how_made.different(experiment)}
    assert differs["data.kind"] == ('"folder"', '"toyworld"')
    assert differs["aspects.use"][0] == "[]"
    assert "train.lr" not in differs
    assert "experiment.name" not in differs
    other = how_made.different(again(tmp_path, "experiment.name=mine train.lr=0.5"))
    assert dict.fromkeys(differs) | {"train.lr": None} == dict.fromkeys(name for name, *_ in other)

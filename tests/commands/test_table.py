"""The paper's tables by one command: rows share what they have in common, survive kills, and stand beside the paper."""

import csv
import json

import pytest
from runs import TINY, kill_once_in_each, luigi

from videocap import tasks
from videocap.model.report.tables import Table
from videocap.pipeline.config import load
from videocap.tasks import CONFIGS

PAPER = {1: 62.2, 2: 60.4, 3: 62.4, 4: 59.3, 5: 62.2}  # CIDEr of each table's last row
ROWS = {1: 1, 2: 3, 3: 5, 4: 6, 5: 5}  # that have an experiment


def made(artifacts, stage: str) -> int:
    """How many results a stage has."""
    return len(list(artifacts.glob(f"{stage}/*/manifest.json")))


def table(artifacts, name: str = "table5-seeds1") -> str:
    return (artifacts / "tables" / f"demo-{name}.csv").read_text()


def cells(artifacts, name: str = "table5-seeds1") -> dict[tuple[str, str], dict]:
    """A table's figures by row and metric."""
    rows = csv.DictReader(table(artifacts, name).splitlines())
    return {(row["row"], row["metric"]): row for row in rows}


@pytest.mark.parametrize("number", ROWS)
def test_the_rows_of_each_table_are_configs_that_differ(number, tmp_path):
    rows = Table.read(CONFIGS / "ablations" / f"table{number}.toml").rows
    assert rows[-1].paper["CIDEr"] == PAPER[number]
    rows = [row for row in rows if row.name]
    assert len(rows) == ROWS[number]
    (tmp_path / "mine.toml").write_text('[data]\nkind = "folder"\nvideos = "."\nannotations = "mine.toml"\n')
    for config, in_demo in ((tasks.DEFAULT_CONFIG, True), (tmp_path / "mine.toml", False)):
        found = [load(tasks.Config, config, row.override(in_demo)).model_dump_json() for row in rows]
        assert len(set(found)) == len(rows)


@pytest.mark.slow
def test_a_killed_table_goes_on_and_what_rows_have_in_common_runs_once(tmp_path, monkeypatch):
    artifacts = tmp_path / "artifacts"
    arguments = ("--number", "5", "--workers", "2", "--override", TINY)
    stages = [
        "ToyWorld",
        "ToyClip",
        "EmbedFramesShard",
        "Vocabulary",
        "Train",
        "Caption",
        "References",
        "Score",
        "Report",
    ]
    kill_once_in_each(stages, artifacts, *arguments, root="Table")
    run = luigi(artifacts, *arguments, root="Table")
    assert run.status == 0, run.output
    once = ("ToyWorld", "Corpus", "ToyClip", "References")
    assert {stage: made(artifacts, stage) for stage in once} == dict.fromkeys(once, 1)
    several = {"Vocabulary": 5, "Train": 5, "Caption": 5, "Score": 5, "Report": 5}
    assert {stage: made(artifacts, stage) for stage in several} == several
    stores = {store.name.partition("-")[0]: len(list(store.glob("[!.]*.h5"))) for store in artifacts.glob("stores/*")}
    assert stores == {"DecodeShard": 2, "EmbedFramesShard": 2, "EmbedCaptionsShard": 1}

    found = cells(artifacts)
    score = json.loads(run.result("scores.json", "demo-table5-effect-seed0"))["CIDEr"]
    assert float(found["effect", "CIDEr"]["mean"]) == pytest.approx(100 * score)
    assert found["effect", "CIDEr"]["paper"] == "61.0"

    other = luigi(artifacts, *arguments, "--number", "4", root="Table")
    assert other.status == 0, other.output
    assert made(artifacts, "Train") == 5 + 6
    assert made(artifacts, "Vocabulary") == 5, "that of no sub-decoders was made for a row of the other table"
    alone = luigi(artifacts, "--override", f"{TINY} experiment.name=alone")
    assert alone.ran() == set(), "the first seed of that row is the experiment itself"
    unharmed = luigi(tmp_path / "other", *arguments, root="Table")  # as many workers, so as many threads in each
    assert table(tmp_path / "other") == table(artifacts), unharmed.output

    # one more seed of a row
    seeds = luigi(artifacts, *arguments, "--number", "1", "--seeds", "2", root="Table")
    assert seeds.status == 0, seeds.output
    assert (made(artifacts, "Train"), made(artifacts, "Vocabulary")) == (5 + 6 + 1, 5)
    scores = [json.loads(seeds.result("scores.json", f"demo-table1-model-seed{seed}"))["CIDEr"] for seed in (0, 1)]
    mean = float(cells(artifacts, "table1-seeds2")["Clip4VideoCap", "CIDEr"]["mean"])
    assert mean == pytest.approx(50 * sum(scores))

    # if a run ends badly, the files of a table that is done stay, and those of other figures go
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(artifacts))
    task, file = tasks.Table(number=1, seeds=2, override=TINY), artifacts / "tables" / "demo-table1-seeds2.csv"
    task.unfinished()
    assert task.complete()
    file.write_text("other figures")
    task.unfinished()
    assert not file.exists()

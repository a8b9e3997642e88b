"""Several experiments as one task: those that are none, or one under two names, are refused, by the real command."""

import numpy as np
from runs import luigi

from videocap.extract.shards.exchange import write_shard
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.stores import imported


def test_a_table_that_is_none_is_refused(tmp_path):
    for arguments, says in (
        (("--number", "6"), "--number is 1 to 5"),
        (("--number", "2", "--seeds", "0"), "--seeds is 1 or more"),
        (("--number", "2", "--override", "train.epoch=never"), "train.epoch: should be 'video' or 'caption'"),
        (("--number", "2", "--override", "encoder.pixels=50"), "encoder.pixels of a multiple of 32"),
        ((), "--number is 1 to 5"),
        (("--number", "5", "--override", "aspects.use=[]"), "--override: aspects.use: table5 sets that itself"),
        (
            ("--number", "3", "--override", "score.controls=['one_frame']"),
            "--override: score.controls: table3 sets that itself",
        ),
        (("--number", "4", "--override", "data.kind=msrvtt"), "kind 'msrvtt' needs `annotations`"),
    ):
        run = luigi(tmp_path / "artifacts", *arguments, root="Table")
        assert run.status == 2
        assert says in run.output
        assert "Traceback" not in run.output


def test_rows_that_no_stage_tells_apart_are_refused(tmp_path):
    text = '[data]\nkind = "folder"\nfeatures = "i3d"\nannotations = "mine.toml"\n'
    (tmp_path / "mine.toml").write_text(text)
    rows = [("a", "0" * 64, np.zeros((1, 8), np.float16))]
    imported.publish(imported.foreign_store(Artifacts(tmp_path / "artifacts"), "i3d"), rows, write_shard, 128, "i3d")
    run = luigi(tmp_path / "artifacts", "--number", "2", "--config", str(tmp_path / "mine.toml"), root="Table")
    assert run.status == 2
    assert "table2: resnet-seed0 and vit-32-seed0 are one experiment under this config" in run.output

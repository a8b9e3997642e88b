"""An experiment of three videos whose features the real stages made."""

import shutil
from pathlib import Path

import luigi
import pytest
from runs import FOLDER
from videos import synthetic
from weights import save_random

import videocap
from videocap import tasks
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.store import Store

CONFIG = FOLDER.replace("pixels = 64", "pixels = 32\nprecision = 'fp32'") + "[decode]\nframes = 3\n[pipeline]\n"
CONFIG += "shard_size = 2\n"

STAGES = {"frames": tasks.DecodeShard, "features": tasks.EmbedFramesShard, "captions": tasks.EmbedCaptionsShard}


def extract(folder: Path) -> Path:
    """Three videos, their captions, weights, and the features that the real stages make of them."""
    (folder / "videos").mkdir()
    for name, size in (("a", "160x120"), ("b", "120x120"), ("c", "128x96")):
        synthetic(folder / "videos" / f"{name}.mp4", "-pix_fmt yuv420p", size=size)
    rows = [f"{name},{split},clip {name} moves" for name, split in (("a", "train"), ("b", "train"), ("c", "test"))]
    (folder / "captions.csv").write_text("\n".join(["video,split,caption", *rows]))
    save_random(folder / "clip.pt", "tiny")
    save_random(folder / "other.pt", "tiny", seed=1)
    (folder / "mine.toml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOCAP_ARTIFACTS", str(folder / "artifacts"))
        experiment = experiment_of(folder)
        gathers = [stage.of(experiment) for stage in (tasks.FrameFeatures, tasks.CaptionFeatures)]
        assert luigi.build(gathers, local_scheduler=True, log_level="ERROR")
    return folder


def copied(extracted: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, whose artifacts are the environment's."""
    shutil.copytree(extracted, place, symlinks=True)
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(place / "artifacts"))
    return place


def experiment_of(place: Path, override: str = "") -> Experiment:
    return Experiment(load(tasks.Config, place / "mine.toml", override), tasks.Report)


def store_of(place: Path, what: str) -> Store:
    return STAGES[what].of(experiment_of(place)).store


def command(place: Path, *arguments: str) -> int:
    return videocap.main(["store", *arguments, "--config", str(place / "mine.toml")])

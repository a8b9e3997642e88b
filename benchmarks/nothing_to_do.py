"""What a run costs that has nothing to do, against importing luigi and pydantic alone.

    python benchmarks/nothing_to_do.py [--videos 10000] [--captions 20] [--rounds 5]

Makes an experiment of synthetic rows with real manifests, all stages published, in a temporary folder; then times
`luigi --module tasks Pipeline`, a table of 18 experiments, `videocap status` and the imports in turn, and `status` once
more when a video has been touched. Prints medians and the surplus over the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from videocap import tasks
from videocap.extract.shards import writer
from videocap.pipeline.artifacts import publish
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.gather import Gather
from videocap.pipeline.stores.plans import plan

CONFIG = """
[data]
kind = "folder"
videos = "videos"
annotations = "captions.jsonl"
[aspects]
use = []
"""
FILES = {
    "Vocabulary": ["vocabulary.json"],
    "Train": ["config.json", "model.safetensors", "vocabulary.json", "curves.csv"],
    "Caption": ["captions.json"],
    "Neighbours": ["captions.json"],
    "References": ["references.json", "paraphrases.gz"],
    "Model": ["config.json", "model.safetensors", "vocabulary.json"],
    "Score": ["scores.json", "video_scores.json"],
    "Report": ["report.html", "scores.json", "video_scores.json", "captions.json", "model.safetensors"],
}
LUIGI = (sys.executable, "-m", "luigi", "--module", "tasks")
TABLE = {"number": 4, "seeds": 3}
QUALITY = {"distinct": 1.0, "words": 1, "known": 1, "copied": 0.0, "broken_off": 0.0, "repeated": []}
SCORES = dict.fromkeys(("CIDEr", "METEOR", "ROUGE-L", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"), 0.0)


def make(folder: Path, videos: int, captions: int) -> None:
    """An experiment whose every stage is done, with `videos` videos of `captions` captions each."""
    (folder / "videos").mkdir(parents=True)
    with open(folder / "captions.jsonl", "w") as file:
        for video in range(videos):
            name = f"video{video}.mp4"
            (folder / "videos" / name).write_text(name)
            for caption in range(captions):
                file.write(json.dumps({"video": name, "caption": f"caption {caption} of video {video}"}) + "\n")
    (folder / "experiment.toml").write_text(CONFIG)
    os.environ["VIDEOCAP_ARTIFACTS"] = str(folder / "artifacts")
    experiment = Experiment(load(tasks.Config, folder / "experiment.toml"), tasks.Report)
    tasks.Corpus.of(experiment).run()
    for gather in (tasks.FrameFeatures.of(experiment), tasks.CaptionFeatures.of(experiment)):
        fill(gather)
    table = tasks.Table(config=str(folder / "experiment.toml"), **TABLE)
    for root in (tasks.Pipeline(config=str(folder / "experiment.toml")), *table.roots.values()):
        finish(root.experiment)
        root.run()
    table.run()


def finish(experiment: Experiment) -> None:
    """Publish what follows the features."""
    for stage in (getattr(tasks, name) for name in FILES):  # in an order in which each has what it needs
        task = stage.of(experiment)
        experiment.look_again()
        task.recipe.digests(compute=True)

        def write(place: Path, names: list[str] = FILES[stage.__name__]) -> None:
            for name in names:
                head = {"protocol": "coco", "split": "test", "videos": 1, "aspects": {}, "controls": {}}
                head |= SCORES | {"quality": QUALITY, "interval": {metric: [0.0, 0.0] for metric in SCORES}}
                (place / name).write_text(json.dumps(head if name == "scores.json" else []))

        if not task.complete():
            experiment.artifacts.publish(task.name, task.recipe.key, task.recipe.settled(), write, {})


def fill(gather: Gather, width: int = 4) -> None:
    """Publish a shard of one synthetic row an item for each pack of the gather's plan, and its record."""
    spec = gather.spec
    _, packs = plan(spec.store, gather.rows.items(), spec.retry, 0, 128 * spec.bulk)
    for pack in packs:

        def write(path: Path, key: str, pack: list = pack) -> dict:
            rows = [np.zeros((1, width), np.float16)] * len(pack)
            info = writer.write(path, items=pack, arrays=rows, times=None, spec=spec.store.spec, key=key)
            digests = [digest for _, digest in pack]
            return {"digests": digests, "failures": [], "content": info.content, "provenance": {}}

        spec.store.publish_shard(pack, spec.retry, write, {"how": {}})
    publish.replace_json(gather.rows.record(), gather.rows.held())


def seconds(*command: str) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--captions", type=int, default=20, help="a video")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "experiment", options.videos, options.captions)
        config = str(Path(folder) / "experiment" / "experiment.toml")
        commands = {
            "import luigi, pydantic": (sys.executable, "-c", "import luigi, pydantic"),
            "luigi … Pipeline": (*LUIGI, "Pipeline", "--config", config),
            "luigi … Table": (*LUIGI, "Table", "--number", "4", "--seeds", "3", "--config", config),
            "videocap status": (sys.executable, "-m", "videocap", "status", "--config", config),
        }
        times = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                times[name].append(seconds(*command))
        os.utime(Path(folder) / "experiment" / "videos" / "video0.mp4")
        touched = [seconds(*commands["videocap status"]) for _ in range(options.rounds)]
        times["… one video touched"] = touched
        base, *_ = medians = [statistics.median(values) for values in times.values()]
        print(f"{options.videos} videos, {options.videos * options.captions} captions, median of {options.rounds}")
        for name, median in zip(times, medians, strict=True):
            print(f"{name:<24} {median:6.2f} s, surplus {median - base:5.2f} s")


if __name__ == "__main__":
    main()

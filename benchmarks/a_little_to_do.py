"""What 100 videos appended to 10,000 compute and write, against the 100 alone.

    python benchmarks/a_little_to_do.py [--videos 10000] [--more 100]

10,000 videos have synthetic features under real manifests; real clips are appended, and the real command runs. Then
it runs for these clips alone. Prints items computed and bytes of features written in both runs, and their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nothing_to_do import fill

from videocap import tasks
from videocap.extract.toy import clip, world
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment

CONFIG = """
[data]
kind = "folder"
videos = "videos"
annotations = "captions.jsonl"
[decode]
frames = 6
[encoder]
weights = "../clip.pt"
pixels = 64
[text_encoder]
weights = "../clip.pt"
[aspects]
use = []
[vocabulary]
min_count = 1
[decoder]
width = 32
heads = 2
inner = 32
[train]
epochs = 1
[generate]
beam = 1
"""
PACKS = ("DecodeShard", "EmbedFramesShard", "EmbedCaptionsShard")


def lay_out(folder: Path, clips: Path, synthetic: int) -> None:
    """An experiment of `synthetic` videos that have features, if any, to which the clips are then added."""
    (folder / "videos").mkdir(parents=True)
    (folder / "experiment.toml").write_text(CONFIG)
    rows = [{"video": f"video{n}.mp4", "caption": f"a thing of kind {n % 500}"} for n in range(synthetic)]
    for row in rows:
        (folder / "videos" / row["video"]).write_text(row["video"])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if synthetic:
        (folder / "captions.jsonl").write_text(lines)
        os.environ["VIDEOCAP_ARTIFACTS"] = str(folder / "artifacts")
        experiment = Experiment(load(tasks.Config, folder / "experiment.toml"), tasks.Report)
        tasks.Corpus.of(experiment).run()
        for gather in (tasks.FrameFeatures, tasks.CaptionFeatures):
            fill(gather.of(experiment), clip.EMBED)
    shutil.copytree(clips / "videos", folder / "videos", dirs_exist_ok=True)
    (folder / "captions.jsonl").write_text(lines + (clips / "captions.jsonl").read_text())


def measure(folder: Path) -> dict[str, tuple[int, int]]:
    """Run the pipeline; items computed and bytes of shards written, by kind of pack."""
    artifacts = folder / "artifacts"
    before = set(artifacts.glob("stores/*/*.h5"))
    command = (sys.executable, "-m", "luigi", "--module", "tasks", "Pipeline", "--config", "experiment.toml")
    environment = {**os.environ, "VIDEOCAP_ARTIFACTS": str(artifacts)}
    subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    events = [json.loads(line) for log in artifacts.glob("logs/*.jsonl") for line in log.read_text().splitlines()]
    found = {}
    for stage in PACKS:
        items = sum(event["items"] for event in events if event["event"] == "ran" and event["stage"] == stage)
        shards = set(artifacts.glob(f"stores/{stage}-*/*.h5")) - before
        found[stage] = items, sum(path.stat().st_size for path in shards)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--more", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world.render(folder / "clips", options.more, seed=0)
        captions = [json.loads(line) for line in (folder / "clips" / "captions.jsonl").read_text().splitlines()]
        clips = {row["video"]: folder / "clips" / "videos" / row["video"] for row in captions}
        texts = {video: [row["caption"] for row in captions if row["video"] == video] for video in clips}
        clip.train(clips, texts, folder / "clip.pt", steps=1, seed=0)
        runs = {}
        for run, synthetic in (("appended", options.videos), ("alone", 0)):
            lay_out(folder / run, folder / "clips", synthetic)
            runs[run] = measure(folder / run)
    print(f"{options.more} videos appended to {options.videos}, against {options.more} alone")
    for stage in PACKS:
        (items, size), (items_alone, size_alone) = runs["appended"][stage], runs["alone"][stage]
        ratios = f"{items / items_alone:.2f} of the items, {size / size_alone:.2f} of the bytes"
        print(f"{stage:<20} {items:>6} items {size:>12,} bytes: {ratios}")


if __name__ == "__main__":
    main()

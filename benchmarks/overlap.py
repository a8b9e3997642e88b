"""Decoding beside embedding: a run with `--workers 2`, over the slower of decoding and embedding alone.

    python benchmarks/overlap.py [--rounds 1] [--packs 16] [--videos 64]

Real runs of FrameFeatures on copies of the MSR-VTT clips, `--packs` shards of `--videos` each. The encoder is a
stand-in that sleeps, as if a GPU worked, for as long as decoding took in a first run: the worst case. All else is real:
frames are read from shards, features written and published. But each process loads a real encoder anew, which is not
measured (0.4 s for ViT-B/16).

Alone is what all DecodeShard, or all EmbedFramesShard, took by the log of a run with one worker; both, what
FrameFeatures took from its start to its end with two. With P packs the best is 1 + 1/P: the first is only decoded.
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
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from videocap import tasks

CLIPS = Path(__file__).parents[1].parent / "shared" / "data" / "msrvtt" / "videos"
FRAMES = 20
CONFIG = """
[data]
kind = "folder"
videos = "videos"
annotations = "captions.csv"
[encoder]
weights = "encoder"
[pipeline]
shard_size = {videos}
"""
SLEEP = "BENCHMARK_SECONDS_A_FRAME"


class Features(tasks.Pipeline):
    """The pipeline as far as FrameFeatures, with the stand-in for the encoder."""

    final = tasks.FrameFeatures

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        tasks.EmbedFramesShard.function = lambda spec: embed  # forked workers inherit it

    def complete(self) -> bool:
        self.experiment.look_again()
        return self.last.complete()

    def run(self) -> None:
        """There is no report to link."""

    def results(self) -> str:
        return ""


def embed(path: Path, config: Any, **named: Any) -> dict:
    """The real function with the stand-in."""
    import numpy as np  # as in the pipeline, processes import what they need when they need it

    from videocap.extract import features

    def encode(frames: np.ndarray) -> np.ndarray:
        time.sleep(float(os.environ[SLEEP]) * len(frames))
        return np.zeros((len(frames), 512), np.float32)

    geometry = SimpleNamespace(check=lambda *_: None)
    encoder = SimpleNamespace(width=512, computed="asleep", geometry=geometry, encode=encode)
    features.load_encoder = lambda *_: encoder
    return features.embed_frames_shard(path, config, **named)


def lay_out(folder: Path, packs: int, videos: int) -> None:
    """An experiment of copies of the clips, each of other bytes: an empty atom at its end."""
    clips = [clip.read_bytes() for clip in sorted(CLIPS.glob("*.mp4"))]
    (folder / "videos").mkdir()
    for number in range(packs * videos):
        atom = b"\0\0\0\x0cfree" + number.to_bytes(4, "big")
        (folder / "videos" / f"{number}.mp4").write_bytes(clips[number % len(clips)] + atom)
    rows = [f"{number}.mp4,a clip,train" for number in range(packs * videos)]
    (folder / "captions.csv").write_text("\n".join(["video,caption,split", *rows]))
    (folder / "encoder").write_text("none")
    (folder / "experiment.toml").write_text(CONFIG.format(videos=videos))


def seconds(folder: Path, workers: int, sleep: float) -> Counter[str]:
    """Run it in a new artifacts folder; seconds of each stage, by the run's log."""
    with tempfile.TemporaryDirectory(dir=folder) as artifacts:
        command = [sys.executable, "-m", "luigi", "--module", "overlap", "Features", "--workers", str(workers)]
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "VIDEOCAP_ARTIFACTS": artifacts, SLEEP: str(sleep)}
        command += ["--config", str(folder / "experiment.toml")]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        [log] = Path(artifacts).glob("logs/*.jsonl")
        spent = Counter()
        for event in map(json.loads, log.read_text().splitlines()):
            spent[event["stage"]] += event.get("seconds", 0)
        return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--packs", type=int, default=16)
    parser.add_argument("--videos", type=int, default=64, help="a pack")
    options = parser.parse_args()
    packs, videos, ratios = options.packs, options.videos, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, packs, videos)
        sleep = seconds(folder, 1, 0.0)["DecodeShard"] / (packs * videos * FRAMES)
        for _ in range(options.rounds):
            alone, both = seconds(folder, 1, sleep), seconds(folder, 2, sleep)["FrameFeatures"]
            decode, embedding = alone["DecodeShard"], alone["EmbedFramesShard"]
            ratios.append(both / max(decode, embedding))
            print(f"decoding {decode:.1f} s, embedding {embedding:.1f} s, both {both:.1f} s", flush=True)
    print(f"both / the slower alone, {packs} packs of {videos}   {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()

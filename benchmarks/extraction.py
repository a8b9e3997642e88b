"""Real clips to published features, against the plain loop that people write. ViT-B/16 with random weights, on the CPU.

    pip install --no-deps opencv-python-headless    # needed by the plain loop, and by nothing else in this project
    python benchmarks/extraction.py [--frames 20] [--rounds 3] [CLIP …]

Ours is all of FrameFeatures, run by Luigi in this process (plan, decode, embed, publish, record), in the default
precision and in fp32. The plain loop reads every frame by OpenCV, keeps some, and calls OpenAI's `preprocess` and
`encode_image`, in fp32, and `np.save` once a video. Both take the same frames, their pixels as stored, and the same
weights. Imports, loading of weights, and hashing of files come before. The sides take turns; prints medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import luigi
import numpy as np
import torch
from encoders import random_clip
from frames import CLIPS, COUNT
from PIL import Image

from videocap import tasks
from videocap.extract import features as extraction
from videocap.extract.encoders import load as encoders
from videocap.extract.encoders import openai_clip
from videocap.extract.shards import shard as shards
from videocap.extract.video import frames
from videocap.pipeline.artifacts import events
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment

try:
    import cv2
except ImportError:
    raise SystemExit("the plain loop needs OpenCV: pip install --no-deps opencv-python-headless") from None

CONFIG = """
[data]
kind = "folder"
videos = "videos"
annotations = "captions.csv"
[decode]
square_pixels = false
frames = {count}
[encoder]
device = "cpu"
weights = "clip.pt"
"""


def lay_out(folder: Path, clips: list[Path], count: int) -> None:
    """An experiment of the clips, and a checkpoint."""
    (folder / "videos").mkdir()
    for clip in clips:
        shutil.copy(clip, folder / "videos")
    rows = [f"{clip.name},a clip,train" for clip in clips]
    (folder / "captions.csv").write_text("\n".join(["video,caption,split", *rows]))
    (folder / "experiment.toml").write_text(CONFIG.format(count=count))
    torch.save(random_clip().half().state_dict(), folder / "clip.pt")


def ours(folder: Path, out: Path, precision: str) -> tuple[list[float], dict[str, np.ndarray]]:
    """Seconds of FrameFeatures, and in it of decoding and embedding; the features by video."""
    os.environ["VIDEOCAP_ARTIFACTS"] = str(out)
    config = load(tasks.Config, folder / "experiment.toml", f"encoder.precision={precision}")
    experiment = Experiment(config, tasks.Report)
    tasks.Corpus.of(experiment).run()
    gather = tasks.FrameFeatures.of(experiment)
    assert gather.product.key, "the videos and the checkpoint have been hashed"
    started = time.perf_counter()
    assert luigi.build([gather], local_scheduler=True, log_level="WARNING")
    seconds = [time.perf_counter() - started]
    ran = [event for event in events.read(out) if event["event"] == "ran"]
    seconds += [sum(e["seconds"] for e in ran if e["stage"] == pack) for pack in ("DecodeShard", "EmbedFramesShard")]
    made = [shards.read(path) for path in set(gather.product.value("train").values())]
    return seconds, {name: shard[number] for shard in made for number, name in enumerate(shard.ids)}


@torch.inference_mode()
def plain(folder: Path, out: Path, model: torch.nn.Module, keep: int) -> tuple[list[float], dict[str, np.ndarray]]:
    """Seconds of the plain loop, and its features."""
    preprocess = openai_clip.clip.clip._transform(model.visual.input_resolution)
    started = time.perf_counter()
    for path in (folder / "videos").iterdir():
        video, images = cv2.VideoCapture(str(path)), []
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(frames.choose(range(count), "uniform", keep))
        for number in range(count):
            _, image = video.read()
            if number in wanted:
                images.append(preprocess(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))))
        np.save(out / path.name, model.encode_image(torch.stack(images)).numpy())
    seconds = time.perf_counter() - started
    return [seconds], {path.stem: np.load(path) for path in out.iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, default=sorted(CLIPS.glob("*.mp4")))
    parser.add_argument("--frames", type=int, default=COUNT, help="of a clip")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    times, features = {"plain": [], "auto": [], "fp32": []}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, options.clips, options.frames)
        model = openai_clip.build(encoders.read_state(folder / "clip.pt")).eval()
        loaded = {side: encoders.load(folder / "clip.pt", "cpu", side) for side in ("auto", "fp32")}
        extraction.load_encoder = lambda *wanted: loaded[wanted[-1]]
        for side in list(times) * options.rounds:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                out = Path(out)
                made = plain(folder, out, model, options.frames) if side == "plain" else ours(folder, out, side)
            times[side].append(made[0])
            features[side] = made[1]
    [loop], *rest = (np.median(taken, axis=0) for taken in times.values())
    print(f"the plain loop: {loop:.2f} s, median of {options.rounds}")
    for side, (whole, decode, embed) in zip(("auto", "fp32"), rest, strict=True):
        pairs = [(features["plain"][video], rows.astype(np.float32)) for video, rows in features[side].items()]
        least = min(torch.cosine_similarity(*map(torch.from_numpy, pair)).min() for pair in pairs)
        print(f"ours, {side}: {whole:.2f} s, of these decoding {decode:.2f} and embedding {embed:.2f}")
        print(f"plain loop / ours, {side}   {loop / whole:.2f}   (least cosine of a frame's features {least:.5f})")


if __name__ == "__main__":
    main()

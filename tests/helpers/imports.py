"""Features that other code made, to be imported."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from runs import environment
from weights import save_random

CONFIG = """
[experiment]
name = "theirs"
[data]
kind = "folder"
features = "c3d"
annotations = "captions.csv"
[text_encoder]
weights = "clip.pt"
[aspects]
use = []
"""

VIDEOS = {f"video{i}": ("train" if i < 16 else "val" if i < 20 else "test") for i in range(24)}


def lay_out(folder: Path) -> Path:
    """Captions of 26 videos, and features of 24 of these and of one more; one of them is of another width."""
    rows = ["video,caption,split"]
    rows += [f"{name},a thing of kind {i % 4} moves,{split}" for i, (name, split) in enumerate(VIDEOS.items())]
    (folder / "captions.csv").write_text("\n".join([*rows, "video97,a thing of kind 3 sleeps,train"]) + "\n")
    (folder / "theirs.toml").write_text(CONFIG)
    save_random(folder / "clip.pt", "tiny")
    with h5py.File(folder / "theirs.hdf5", "w") as file:
        for i, name in enumerate(VIDEOS):
            file[name] = features_of(i)
        file["nobody"] = features_of(99)
        file["wrong"] = np.ones((2, 9), np.float32)
    return folder


def features_of(number):
    return np.random.default_rng(number).normal(size=(3 + number % 3, 16)).astype(np.float32)


def videocap(folder, *arguments):
    command = [sys.executable, "-m", "videocap", *arguments]
    return subprocess.run(command, env=environment(folder / "artifacts"), cwd=folder, capture_output=True, text=True)

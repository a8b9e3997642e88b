"""Strips: a picture of what a model has seen of a video, its sampled frames side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FRAMES, PIXELS = 12, 96  # of a strip: frames at most, and the width and height of each


def strips(items: Sequence[tuple[str, str]], folder: Path, decode: Any, encoder: Any) -> dict[str, str]:
    """Data URLs of JPEG pictures, by video id; videos that have gone, changed or can't be read are left out.

    Args:
        items: (id, sha256) of each video.
        folder: where they lie.
        decode, encoder: the sections [decode] and [encoder]: the frames are those that were embedded.
    """
    # no import statement, which would make extraction's code count for what shows it, and load torch with the scores
    extraction = import_module("extract.extraction")
    found = {}
    with extraction.Sampler([name for name, _ in items], folder, decode, encoder) as sampler:
        for item in items:
            with suppress(extraction.SourceChanged, OSError):
                if read := sampler.read(item):
                    found[item[0]] = strip(read[0])
    return found


def strip(frames: np.ndarray) -> str:
    """The data URL of one picture of frames, uint8 (n, H, W, 3): at most 12, evenly chosen, from left to right."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int)]
    small = [np.asarray(Image.fromarray(frame).resize((PIXELS, PIXELS))) for frame in chosen]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(small, axis=1)).save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()

"""Strips: a picture of what a model has seen of a video, its sampled frames side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FRAMES, ACROSS, PIXELS = 12, 6, 96  # of a strip: frames at most, in a row, and the width and height of each


def strips(
    items: Sequence[tuple[str, str]], folder: Path, decode: Any, encoder: Any, sampler: Callable
) -> dict[str, str]:
    """Data URLs of JPEG pictures, by video id; videos that have gone, changed or can't be read are left out.

    Args:
        items: (id, sha256) of each video.
        folder: where they lie.
        decode, encoder: the sections [decode] and [encoder]: the frames are those that were embedded.
        sampler: `extract.video.sampler.in_folder`; not imported, or extraction's code would count for what shows it.
    """
    found = {}
    with sampler([name for name, _ in items], folder, decode, encoder) as read:
        for item in items:
            with suppress(ValueError, OSError):  # as of a video that has changed
                if frames := read.read(item):
                    found[item[0]] = strip(frames[0])
    return found


def strip(frames: np.ndarray) -> str:
    """The data URL of one picture of frames, uint8 (n, H, W, 3): at most 12, evenly chosen, in rows of 6."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int)]
    small = [np.asarray(Image.fromarray(frame).resize((PIXELS, PIXELS))) for frame in chosen]
    rows = [np.concatenate(small[start : start + ACROSS], axis=1) for start in range(0, len(small), ACROSS)]
    whole = np.zeros((len(rows) * PIXELS, rows[0].shape[1], 3), np.uint8)
    for number, row in enumerate(rows):
        whole[number * PIXELS :][:PIXELS, : row.shape[1]] = row
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()

"""The sampled frames of the videos in a folder, each known by the digest of its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.corpus import video_files
from videocap.extract.video import frames
from videocap.extract.video.demux import VideoError
from videocap.extract.video.probe import Prober

Item = tuple[str, str]  # id, sha256 of the source


class SourceChanged(ValueError):
    """A file is not what it was when the corpus was read. That says nothing about its content, so it is no failure."""


class Sampler:
    """Reads the sampled frames of videos in a folder; counts what can't be read.

    Args:
        ids: the videos to come.
        folder: where they lie.
        decode, encoder: the sections [decode] and [encoder] (of the latter only the geometry).
    """

    def __init__(self, ids: Sequence[str], folder: Path, decode: DecodeConfig, encoder: EncoderConfig):
        self.paths = video_files.locate(ids, folder)
        self.prober = Prober(decode.timeout, decode.max_pixels)
        self.settings = {
            "sampling": decode.sampling,
            "frames": decode.frames,
            "fps": decode.fps if decode.sampling == "fps" else 0.0,
            "placement": decode.placement if decode.sampling == "uniform" else "centres",
            "square_pixels": decode.square_pixels,
            "geometry": {name: getattr(encoder, name) for name in ("pixels", "interpolation", "crop", "resize")},
        }
        self.failures: list[dict[str, str]] = []

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *exception: object) -> None:
        self.prober.close()

    def read(self, item: Item) -> tuple[np.ndarray, np.ndarray] | None:
        """Frames uint8 (n, pixels, pixels, 3) and times float32 (n,); None, and a failure more, for a bad video.

        Raises:
            SourceChanged: if the file is not there, or not the one with that digest.
            OSError: if it can't be read.
        """
        name, digest = item
        path = self.paths.get(name)
        if path is None:
            raise SourceChanged(f"video {name!r} is no longer there; run the same command again")
        before = os.stat(path)
        with open(path, "rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
        try:
            sampled = frames.read(path, self.prober, **self.settings)
        except VideoError as error:
            sampled, wrong = None, str(error)
        after = os.stat(path)
        if not same or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SourceChanged(f"{path} has changed since the corpus was read; run the same command again")
        if sampled is None:
            self.failures.append({"id": name, "digest": digest, "reason": wrong})
        return sampled

"""The sampled frames of videos, each known by the digest of its file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.corpus import video_files
from videocap.extract.files import sha256
from videocap.extract.video import frames
from videocap.extract.video.demux import VideoError
from videocap.extract.video.probe import Prober, check_file

Item = tuple[str, str]  # id, sha256 of the source; empty where it is not known


class SourceChanged(ValueError):
    """A file is not what it was when the corpus was read. That says nothing about its content, so it is no failure."""


class Sampler:
    """Reads the sampled frames of videos; counts what can't be read.

    Args:
        paths: the file of each id to come.
        decode, encoder: the sections [decode] and [encoder] (of the latter only the geometry).
    """

    def __init__(self, paths: Mapping[str, Path], decode: DecodeConfig, encoder: EncoderConfig):
        self.paths = paths
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
        whole = list(self.parts(item, None))
        return (whole[0].images, whole[0].times) if whole else None

    def parts(self, item: Item, every: float | str | None) -> Iterator[frames.Part]:
        """The parts of a video, see `frames.parts`; a failure more, where it can't be read on. Errors as for `read`."""
        name, digest = item
        path = self.paths.get(name)
        if path is None:
            raise SourceChanged(f"video {name!r} is no longer there; run the same command again")
        wrong, same, before = "", True, os.stat(path)
        try:
            check_file(path)  # or a pipe would be waited for
            same = not digest or sha256(path) == digest
            yield from frames.parts(path, self.prober, every, **self.settings)
        except VideoError as error:
            wrong = str(error)
        after = os.stat(path)
        if not same or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SourceChanged(f"{path} has changed since the corpus was read; run the same command again")
        if wrong:
            self.failures.append({"id": name, "digest": digest, "reason": wrong})


def in_folder(ids: Sequence[str], folder: Path, decode: DecodeConfig, encoder: EncoderConfig) -> Sampler:
    """The sampler of the videos that ids mean in a folder."""
    return Sampler(video_files.locate(ids, folder), decode, encoder)

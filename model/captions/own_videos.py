"""Captions of a person's own videos: rows from the shards that hold them, or made from the files; then a search."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from videocap.extract.ahead import ahead
from videocap.extract.config import MODELS
from videocap.extract.device import resolve
from videocap.extract.encoders.encoder import Encoder
from videocap.extract.encoders.load import load
from videocap.extract.features import encoded
from videocap.extract.files import sha256
from videocap.extract.shards import shard
from videocap.extract.video.sampler import Sampler, SourceChanged
from videocap.model.captioner import saved
from videocap.model.captioner.captioner import Captioner
from videocap.model.captions import search
from videocap.model.captions.ensemble import Ensemble
from videocap.model.report.strips import strip
from videocap.model.vocabulary import Vocabulary

DECODED_AHEAD, MOST_DECODED = 8, 512 << 20  # videos whose frames wait for the encoder, and bytes of these


class Clip(NamedTuple):
    """A video, or a part of it."""

    file: Path
    start: float
    """Seconds from its first frame."""
    end: float


class Rows(NamedTuple):
    """What is known of a video's frames."""

    values: np.ndarray
    """Features, float16 (N, d_v)."""
    times: np.ndarray
    """Seconds from the first frame, float32 (N)."""


def read_rows(places: Mapping[str, Path], warn: Callable[[str], object]) -> dict[str, Rows]:
    """The rows of videos that shards hold, by digest; each shard is read once and its own digest checked.

    Args:
        places: the shard of each video's digest.
        warn: is told of a shard that is damaged or gone; its videos are left out.
    """
    found: dict[str, Rows] = {}
    for place in sorted(set(places.values())):
        try:
            held = shard.read(place)
        except (shard.DamagedShard, FileNotFoundError) as error:
            warn(f"{error}; its videos are decoded here")
            continue
        numbers = {digest: number for number, digest in enumerate(held.digests)}
        for digest in (digest for digest, wanted in places.items() if wanted == place and digest in numbers):
            rows = np.s_[held.offsets[numbers[digest]] : held.offsets[numbers[digest] + 1]]
            found[digest] = Rows(held.values[rows].copy(), held.times[rows].copy())  # not all of the shard stays
    return found


def make_rows(
    files: Sequence[Path],
    encoder: Encoder,
    decode: Any,
    section: Any,
    ended: Callable[[Path, int, str | None], object],
    every: float | str | None = None,
) -> Iterator[tuple[Clip, Rows]]:
    """The rows of videos, as they are made from their files; what comes next is decoded meanwhile.

    Args:
        files: each once.
        decode, section: the sections [decode] and [encoder], by which frames are sampled, and how many are a batch.
        ended: is told of each file, when it is decoded, how many clips it has, and why there are no more, if that is
            an error. It is called from another thread.
        every: seconds that a clip has, or `scenes`; None for a whole video as one.
    """
    held = max(1, min(DECODED_AHEAD, MOST_DECODED // (3 * section.pixels**2 * decode.frames)))

    def frames(stopped: Event) -> Iterator[tuple[Clip, np.ndarray, np.ndarray]]:
        with Sampler({str(file): file for file in files}, decode, section) as sampler:
            for file in files:
                if stopped.is_set():
                    return
                count, wrong = 0, None
                try:
                    for part in sampler.parts((str(file), ""), every):
                        count += 1
                        yield Clip(file, part.start, part.end), part.times, part.images
                except SourceChanged:
                    wrong = "has changed while it was read; run the same command again"
                except (OSError, ValueError) as error:  # of a name with a zero byte, say
                    wrong = getattr(error, "strerror", None) or str(error)
                if sampler.failures:
                    wrong = sampler.failures.pop()["reason"]
                ended(file, count, wrong)

    for clip, times, values in encoded(encoder, ahead(frames, held), section.batch_size):
        yield clip, Rows(values, times)


def find_weights(folder: Path, of: saved.Encoder, file: str | os.PathLike | None) -> str | Path:
    """The name or the file of the encoder that a captioner was trained with, and of no other.

    Args:
        folder: the captioner's.
        of: what its config.json says.
        file: where a person says that it is.

    Raises:
        ValueError: if it neither came along, nor has a name, nor is the file.
    """
    if file is not None:
        path, expected = Path(file), of.sha256
    elif of.file_sha256:
        path, expected = folder / saved.ENCODER, of.file_sha256
    elif of.weights in MODELS and MODELS[of.weights][0] == of.sha256:
        return of.weights
    else:
        raise ValueError(
            f"{folder}: its frames were embedded by {of.weights!r}, which did not come along: name the file whose "
            f"sha256 is {of.sha256} (--encoder FILE), or ask for an export --with-encoder"
        )
    try:
        found = sha256(path)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if not found.startswith(expected.rpartition("-")[2]):  # of torchvision's only the first digits are known
        raise ValueError(f"{path} is not the encoder that the model was trained with: its sha256 is another")
    return path


def load_encoder(about: saved.About, weights: str | Path, section: Any) -> Encoder:
    """The encoder, as precise as it was for the training, where that was on a device of this kind.

    Args:
        about: config.json.
        weights: the encoder's name or file.
        section: as [encoder]; precision "auto" is filled in.

    Raises:
        ValueError: if it is none, or not of the size that the captioner takes.
    """
    kind = resolve(section.device, "fp32").device.type
    words = [how.split() for how in about.encoder.computed]  # such as "cuda:1 fp16 compiled"
    told = {how[1] for how in words if len(how) > 1 and how[0].partition(":")[0] == kind}
    if section.precision == "auto" and len(told) == 1:
        section.precision = told.pop()
    encoder = load(weights, section.device, section.precision)
    encoder.geometry.check(section, about.encoder.weights)
    if encoder.width != about.networks[0].d_in:
        raise ValueError(f"{weights} gives {encoder.width} numbers a frame, and the captioner takes another number")
    if section.compile:
        encoder.compile(section.batch_size)
    return encoder


def picture(file: Path, decode: Any, section: Any) -> bytes | None:
    """A JPEG of the frames of a video that are looked at, as in the report; None if it can't be decoded any more.

    Args:
        decode, section: the sections [decode] and [encoder].
    """
    read = None
    with Sampler({str(file): file}, decode, section) as sampler, suppress(OSError, SourceChanged):
        read = sampler.read((str(file), ""))
    return base64.b64decode(strip(read[0]).partition(",")[2]) if read else None


def write(
    captioner: Captioner | Ensemble, vocabulary: Vocabulary, rows: Sequence[Rows], names: Sequence[str], **options: Any
) -> list[dict[str, Any]]:
    """Write what the stage Caption would: {"caption": …, "intention": …} of each video, in order.

    Args:
        rows: of V videos, each at least one.
        names: V names, for messages.
        options: of `search.caption`.
    """
    offsets = np.cumsum([0, *(len(of.values) for of in rows)], dtype=np.int64)
    features = shard.Features(
        np.concatenate([of.values for of in rows]), offsets, np.concatenate([of.times for of in rows])
    )
    written = search.caption(captioner, vocabulary, features, names, progress=False, **options)
    return [{source: text for source, text in row.items() if source != "video_id"} for row in written]

"""Captions of a person's own videos: rows from the shards that hold them, or made from the files; then beam search."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from videocap.extract.corpus.video_files import VIDEO_SUFFIXES
from videocap.extract.device import resolve
from videocap.extract.shards import shard
from videocap.extract.video.sampler import Sampler, SourceChanged
from videocap.model.captions import ensemble, search
from videocap.model.report.strips import strips


class Rows(NamedTuple):
    """What is known of a video's frames."""

    values: np.ndarray
    """Features, float16 (N, d_v)."""
    times: np.ndarray
    """Seconds from the first frame, float32 (N)."""


class Embed(Protocol):
    """Writes the feature shard of some videos, as `extract.features.embed_frames_shard`."""

    def __call__(self, path: Path, *, items: list[tuple[str, str]], part: str, videos: Path) -> dict: ...


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


def make_rows(files: Mapping[str, Path], embed: Embed, size: int) -> tuple[dict[str, Rows], dict[str, str]]:
    """The rows of videos, made from their files in a temporary folder, and why those of the others can't be made.

    Args:
        files: the file of each digest.
        embed: makes a shard of features.
        size: videos at once.
    """
    made: dict[str, Rows] = {}
    failed: dict[str, str] = {}
    digests = list(files)
    with tempfile.TemporaryDirectory(prefix="videocap-") as folder:
        links = {digest: _link(Path(folder), number, files[digest]) for number, digest in enumerate(digests)}
        parts = [digests[start : start + size] for start in range(0, len(digests), size)]
        for number, part in enumerate(parts):
            todo = [part]
            while todo:
                some = todo.pop(0)
                path = Path(folder, "rows.h5")
                items = [(links[digest].name, digest) for digest in some]
                try:
                    done = embed(path, items=items, part=f"{number + 1}/{len(parts)}", videos=links[some[0]].parent)
                except (OSError, ValueError) as error:
                    if len(some) > 1:  # one of them is to blame, which the others need not pay for
                        todo += [[digest] for digest in some]
                    elif isinstance(error, SourceChanged):
                        failed[some[0]] = "has changed while it was read; run the same command again"
                    else:
                        failed[some[0]] = str(error).replace(str(links[some[0]]), str(files[some[0]]))
                    continue
                failed |= {failure["digest"]: failure["reason"] for failure in done["failures"]}
                made |= read_rows(dict.fromkeys(done["digests"], path), _refuse)
                path.unlink()
    return made, failed


def _link(folder: Path, number: int, file: Path) -> Path:
    """A link to a video in a folder that holds links only, under a name that a video has."""
    suffix = file.suffix if file.suffix.lower() in VIDEO_SUFFIXES else VIDEO_SUFFIXES[0]
    place = folder / "videos" / f"{number}{suffix}"
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(os.path.abspath(file))
    return place


def _refuse(text: str) -> None:
    raise OSError(text)


def picture(file: Path, digest: str, decode: Any, encoder: Any) -> bytes | None:
    """A JPEG of the frames of a video that were looked at, as in the report; None if it can't be decoded any more.

    Args:
        digest: sha256 of the file.
        decode, encoder: the sections [decode] and [encoder].
    """
    with tempfile.TemporaryDirectory(prefix="videocap-") as folder:
        link = _link(Path(folder), 0, file)
        found = strips([(link.name, digest)], link.parent, decode, encoder, Sampler)
    return base64.b64decode(found[link.name].partition(",")[2]) if found else None


class Writer:
    """A trained captioner and its search.

    Args:
        model: its folder, as `model.training.stage` left it.
        others: folders of captioners that write with it.
        config: holder of the section generate and of train.device, as for `model.captions.stage`.
    """

    def __init__(self, model: Path, config: Any, others: Sequence[Path] = ()):
        self.config = config
        self.where = resolve(config.train.device, "fp32").device
        self.captioner, self.vocabulary = ensemble.load(model, others, self.where)

    def __call__(self, rows: Sequence[Rows], names: Sequence[str], progress: bool) -> list[dict[str, str]]:
        """Write what `model.captions.stage` would: {"caption": …, "intention": …} of each video, in order.

        Args:
            rows: of V videos, each at least one.
            names: V names, for messages.
            progress: show a progress bar.
        """
        offsets = np.cumsum([0, *(len(of.values) for of in rows)], dtype=np.int64)
        written = search.caption(
            self.captioner,
            self.vocabulary,
            shard.Features(
                np.concatenate([of.values for of in rows]), offsets, np.concatenate([of.times for of in rows])
            ),
            names,
            beam=self.config.generate.beam,
            length_penalty=self.config.generate.length_penalty,
            no_repeat_ngram=self.config.generate.no_repeat_ngram,
            batch_size=self.config.generate.batch_size,
            device=self.where,
            progress=progress,
        )
        return [{source: text for source, text in row.items() if source != "video_id"} for row in written]

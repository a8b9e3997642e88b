"""Checks shards: the file against its manifest, and rows against rows that were made again."""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from videocap.extract.shards.exchange import item_digest
from videocap.extract.shards.shard import CURE, DamagedShard, Features, Shard
from videocap.extract.shards.store import MOST_OPEN

LEAST_COSINE = 0.9999
MOST_STRETCH = 0.02  # of a row's length: who stored normalised rows has the right cosine
MOST_APART = 1e-3  # seconds
MOST_LEVELS = 1.0  # of 255, mean over a frame: builds of ffmpeg and Pillow round differently
TEXTS = "EmbedCaptionsShard"  # the stage whose items are texts
FOREIGN = "ForeignShard"  # the one whose rows were imported
FRAMES = "DecodeShard"  # the one whose rows are frames


def check_shard(path: Path, manifest: Mapping[str, Any], spec: dict) -> list[str]:
    """What is wrong with a shard's file, beside its manifest and the spec of its store; nothing if it is whole.

    Args:
        manifest: with "size" and "sha256", and what it gives of "key", "content", "items", "ids" and "digests".
        spec: the recipe that `store.json` gives.

    Returns:
        sentences that name the file and say what to do.

    Raises:
        OSError: if the file is not there, or can't be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return [f"{path} is damaged (it is no regular file); {CURE}"]
    if (size := path.stat().st_size) != manifest["size"]:
        return [f"{path} is damaged (it has {size} bytes, not {manifest['size']} as its manifest says); {CURE}"]
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != manifest["sha256"]:
        return [f"{path} is damaged (its sha256 is {sha256[:12]}…, not that of its manifest); {CURE}"]
    return _check(path, manifest, spec, content=True)


def check_arrived(path: Path, manifest: Mapping[str, Any], spec: dict) -> list[str]:
    """What `check_shard` finds of a file whose size and sha256 are known to be those of its manifest.

    For a file that was hashed while it was copied. Its content digest is not computed, so rows are read of foreign
    features only. Args, Returns and Raises are those of `check_shard`, but that nothing says what to do: who copied it
    knows.
    """
    return [wrong.removesuffix(f"; {CURE}") for wrong in _check(path, manifest, spec, content=False)]


def _check(path: Path, manifest: Mapping[str, Any], spec: dict, content: bool) -> list[str]:
    """What is wrong inside a file, beside manifest and spec; with `content`, whether it has the digest it records."""
    try:
        with Shard(path) as shard:
            if content:
                shard.check()
            if spec.get("stage") == FOREIGN and not all(
                (rows := shard.read(number)).size and item_digest(name, rows) == shard.digests[number]
                for number, name in enumerate(shard.ids)
            ):
                return [f"{path} holds rows under the digest of others; {CURE}"]
    except DamagedShard as error:
        return [str(error)]
    held = {"key": shard.key, "content": shard.content, "spec": shard.spec}
    held |= {"items": len(shard.ids), "ids": list(shard.ids), "digests": list(shard.digests)}
    said = held | {name: manifest[name] for name in held if manifest.get(name) is not None} | {"spec": spec}
    wrong = [name for name in held if said[name] != held[name]]
    if wrong:
        whose = "manifest and store.json" if "spec" in wrong else "manifest"
        return [f"{path} has not the {', '.join(wrong)} that its {whose} gives; {CURE}"]
    if spec.get("stage") == TEXTS and any(map(_is_not_of, shard.digests, shard.ids)):
        return [f"{path} holds a text under the digest of another one; {CURE}"]
    if len(shard) and (spec.get("stage") == FRAMES) != (shard.dtype == np.uint8):
        return [f"{path} holds rows of {shard.dtype}, which its spec does not make; {CURE}"]
    return []


def _is_not_of(digest: str, text: str) -> bool:
    """Whether a digest is not that of a text."""
    return hashlib.sha256(text.encode()).hexdigest() != digest


@dataclass(frozen=True)
class Deviation:
    """How far rows are from others of the same item, of which any byte differs."""

    wrong: str | None
    """What is more than the contract allows; None if nothing is."""
    measure: str = "cosine"
    """Of "value": the least cosine of two rows; of frames "levels", of 255, the largest mean over a frame."""
    value: float = math.nan
    """Not finite where the rows can't be compared."""

    def __str__(self) -> str:
        return f"{self.value:.3g} levels of 255" if self.measure == "levels" else f"a cosine of {self.value:.7f}"

    @property
    def far(self) -> float:
        """The larger, the farther; not finite where `value` is not."""
        return self.value if self.measure == "levels" else 1 - self.value


def differs(stored: Path, again: Path, digest: str) -> str | None:
    """How an item's rows in one shard differ from those in another that holds it, as `compare` says."""
    return compare(_item(Shard(stored), digest), _item(Shard(again), digest))


def measurer() -> Callable[[Path, Path, str], Deviation | None]:
    """What measures how far an item's rows (its digest) in one shard are from those in another, as `measure` does.

    It keeps shards open until it is let go, because those that overlap have many items in common, and reads of them
    no more than the item. It raises OSError or DamagedShard if one is gone or damaged, ValueError if one has no such
    item.
    """
    opened = lru_cache(MOST_OPEN)(Shard)
    return lambda first, other, digest: measure(_item(opened(first), digest), _item(opened(other), digest))


def _item(shard: Shard, digest: str) -> Features:
    """One item's rows, read without the rest of the shard."""
    number = shard.digests.index(digest)
    rows, span = shard.read(number), slice(shard.offsets[number], shard.offsets[number + 1])
    return Features(rows, np.array([0, len(rows)]), shard.times[span], (shard.ids[number],), (digest,))


def compare(stored: Features, again: Features) -> str | None:
    """How rows differ from rows that were made again in fp32, by more than the contract allows; None if they don't.

    Allowed are, for each row, 0.001 s, and of features a cosine of 0.9999 and 2 % of its length, of frames a mean
    difference of one level of 255.
    """
    deviation = measure(stored, again)
    return deviation.wrong if deviation else None


def measure(stored: Features, again: Features) -> Deviation | None:
    """How far rows are from other rows of the same item, and whether the contract allows it, see `compare`.

    None if they are the same byte by byte.
    """
    a, b = stored.values, again.values
    if a.shape != b.shape or (a.dtype == np.uint8) != (b.dtype == np.uint8):
        return Deviation(f"{_rows(b)} instead of {_rows(a)}")
    if a.dtype == b.dtype and a.tobytes() == b.tobytes() and stored.times.tobytes() == again.times.tobytes():
        return None
    apart = np.abs(stored.times.astype(float) - again.times).max(initial=0)
    if not apart <= MOST_APART:
        return Deviation(f"times differ by up to {apart:.3f} s")
    if a.dtype == np.uint8:
        levels = max((float(np.abs(x.astype(np.int16) - y).mean()) for x, y in zip(a, b, strict=True)), default=0.0)
        wrong = f"a frame differs by {levels:.1f} levels of 255 on average" if levels > MOST_LEVELS else None
        return Deviation(wrong, "levels", levels)
    a, b = a.astype(float), b.astype(float)  # (N, D)
    long, wide = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)  # (N)
    # rows of zeros have no direction: they are like rows of zeros only
    cosines = np.where((long == 0) & (wide == 0), 1.0, (a * b).sum(1) / np.maximum(long * wide, 1e-30))
    cosine = float(cosines.min(initial=1.0))
    stretch = (long / np.maximum(wide, 1e-30))[wide > 0]
    wrong = None
    if not cosine >= LEAST_COSINE:
        wrong = f"two rows have cosine {cosine:.5f}, less than {LEAST_COSINE}"
    elif len(stretch) and not np.abs(stretch - 1).max() <= MOST_STRETCH:
        wrong = f"lengths of a row are as {stretch[np.abs(stretch - 1).argmax()]:.3f} to 1"
    return Deviation(wrong, "cosine", cosine)


def _rows(values: np.ndarray) -> str:
    return f"{len(values)} rows of {values.dtype} {' x '.join(map(str, values.shape[1:]))}"

"""Checks shards: the file against its manifest, and rows against rows that were made again."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from extract.exchange import item_digest
from extract.shards import CURE, DamagedShard, Features, Shard

LEAST_COSINE = 0.9999
MOST_STRETCH = 0.02  # of a row's length: who stored normalised rows has the right cosine
MOST_APART = 1e-3  # seconds
MOST_LEVELS = 1.0  # of 255, mean over a frame: builds of ffmpeg and Pillow round differently
TEXTS = "EmbedCaptionsShard"  # the stage whose items are texts
FOREIGN = "ForeignShard"  # the one whose rows were imported


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
    try:
        with Shard(path) as shard:
            shard.check()
            if spec.get("stage") == FOREIGN and any(
                item_digest(name, shard.read(number)) != shard.digests[number] for number, name in enumerate(shard.ids)
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
    return []


def _is_not_of(digest: str, text: str) -> bool:
    """Whether a digest is not that of a text."""
    return hashlib.sha256(text.encode()).hexdigest() != digest


def differs(stored: Path, again: Path, digest: str) -> str | None:
    """How an item's rows in one shard differ from those in another that holds it, as `compare` says."""
    return compare(_item(stored, digest), _item(again, digest))


def _item(path: Path, digest: str) -> Features:
    """One item's rows, read without the rest of the shard."""
    with Shard(path) as shard:
        number = shard.digests.index(digest)
        rows, span = shard.read(number), slice(shard.offsets[number], shard.offsets[number + 1])
        times = shard.times[span]
    return Features(rows, np.array([0, len(rows)]), times, (shard.ids[number],), (digest,))


def compare(stored: Features, again: Features) -> str | None:
    """How rows differ from rows that were made again in fp32, by more than the contract allows; None if they don't.

    Allowed are, for each row, 0.001 s, and of features a cosine of 0.9999 and 2 % of its length, of frames a mean
    difference of one level of 255.
    """
    a, b = stored.values, again.values
    if a.shape != b.shape or (a.dtype == np.uint8) != (b.dtype == np.uint8):
        return f"{_rows(a)} are stored, {_rows(b)} come out"
    if not len(a):
        return None
    apart = np.abs(stored.times.astype(float) - again.times).max()
    if not apart <= MOST_APART:
        return f"times differ by up to {apart:.3f} s"
    if a.dtype == np.uint8:
        levels = max(np.abs(x.astype(np.int16) - y).mean() for x, y in zip(a, b, strict=True))
        return f"a frame differs by {levels:.1f} levels of 255 on average" if levels > MOST_LEVELS else None
    a, b = a.astype(float), b.astype(float)  # (N, D)
    long, wide = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)  # (N)
    # rows of zeros have no direction: they are like rows of zeros only
    cosine = np.where((long == 0) & (wide == 0), 1.0, (a * b).sum(1) / np.maximum(long * wide, 1e-30)).min()
    if not cosine >= LEAST_COSINE:
        return f"a row has cosine {cosine:.5f} to what comes out, less than {LEAST_COSINE}"
    stretch = (long / np.maximum(wide, 1e-30))[wide > 0]
    if len(stretch) and not np.abs(stretch - 1).max() <= MOST_STRETCH:
        return f"a row is {stretch[np.abs(stretch - 1).argmax()]:.3f} times as long as what comes out"
    return None


def _rows(values: np.ndarray) -> str:
    return f"{len(values)} rows of {values.dtype} {' x '.join(map(str, values.shape[1:]))}"

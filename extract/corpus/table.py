"""The corpus table as files: one a part (videos, captions, aspects) and split, so that each has a digest of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from videocap.extract.json_files import dump_json, load_json


@dataclass(frozen=True)
class Video:
    """One row of the corpus. `id` is what the annotation calls the video, `digest` the sha256 of its file."""

    id: str
    digest: str
    split: str
    captions: tuple[str, ...]
    aspects: dict[str, tuple[str, ...]] = field(default_factory=dict)


def write(videos: Iterable[Video], folder: Path) -> None:
    """Write the table as one file a part and split, so that each part has a digest of its own.

    `videos.<split>.json` [[id, digest], …]; `captions.<split>.json` {id: [caption, …]};
    `aspects.<split>.json` {id: {aspect: [text, …]}}.
    """
    videos = list(videos)
    for split in ("train", "val", "test"):
        mine = [video for video in videos if video.split == split]
        dump_json(folder / f"videos.{split}.json", [[video.id, video.digest] for video in mine])
        dump_json(folder / f"captions.{split}.json", {video.id: video.captions for video in mine})
        dump_json(folder / f"aspects.{split}.json", {video.id: video.aspects for video in mine if video.aspects})


def load(
    videos: Path, captions: Path | None = None, aspects: Path | None = None, keep: Iterable[str] | None = None
) -> list[Video]:
    """Read one split back from the files that `write` made; only the digests in `keep`, if given."""
    keep = None if keep is None else set(keep)
    split = videos.name.split(".")[1]
    texts = load_json(captions) if captions else {}
    sides = load_json(aspects) if aspects else {}
    return [
        Video(name, digest, split, tuple(texts.get(name, ())), {a: tuple(t) for a, t in sides.get(name, {}).items()})
        for name, digest in load_json(videos)
        if keep is None or digest in keep
    ]


def videos_in(file: Path) -> list[tuple[str, str]]:
    """The videos of a table [[id, sha256], …], as items."""
    return [(name, digest) for name, digest in load_json(file)]


def captions_in(file: Path) -> list[tuple[str, str]]:
    """The captions of a table {id: [caption, …]}, as items."""
    return caption_items(load_json(file))


def caption_items(captions: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Each distinct caption once, sorted, as (text, sha256 of its UTF-8)."""
    texts = sorted({text for video in captions.values() for text in video})
    return [(text, hashlib.sha256(text.encode()).hexdigest()) for text in texts]

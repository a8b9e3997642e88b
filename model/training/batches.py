"""The training data in memory, and its batches; no worker processes, no copies of features between epochs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from videocap.model.frames import Batch, Features, FrameTable
from videocap.model.training.consensus import caption_weights
from videocap.model.vocabulary import PAD, Vocabulary, tokenize


class Video(Protocol):
    """What is read of a corpus entry."""

    id: str
    captions: tuple[str, ...]
    aspects: dict[str, tuple[str, ...]]


def mix(*parts: object) -> int:
    """A seed of 63 bits for a generator, from `parts` such as a seed and an epoch."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


class TokenTable:
    """Encoded texts of a number of owners, padded into one array with a last row of PAD for owners without a text."""

    def __init__(self, texts: Sequence[Sequence[list[int]]]) -> None:
        flat = [torch.tensor(ids, dtype=torch.int32) for owner in texts for ids in owner] + [torch.tensor([PAD] * 2)]
        self.tokens = torch.nn.utils.rnn.pad_sequence(flat, batch_first=True, padding_value=PAD).int()
        self.lengths = torch.tensor([len(ids) for ids in flat])
        self.counts = torch.tensor([len(owner) for owner in texts])
        self.first = self.counts.cumsum(0) - self.counts

    def to(self, device: torch.device | str) -> TokenTable:
        """Move the tokens to `device`; rows are always drawn on the CPU."""
        self.tokens = self.tokens.to(device)
        return self

    def draw(self, owners: Tensor, generator: torch.Generator) -> Tensor:
        """One random row a owner of `owners` (B,), or the row of PAD, as (B,) on the CPU."""
        counts = self.counts[owners]
        drawn = self.first[owners] + (torch.rand(len(owners), generator=generator) * counts).long()
        return torch.where(counts > 0, drawn, len(self.tokens) - 1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Tokens (B, T) int64 of `rows` (B,), on the CPU; T is the longest of them."""
        return self.tokens[rows.to(self.tokens.device), : int(self.lengths[rows].max())].long()


class TrainingData:
    """Everything training draws from, in memory: half-precision features and texts encoded once.

    Args:
        videos: V videos with captions and aspects.
        features: their frame features, in the order of `videos`.
        vocabulary: the known words.
        consensus: as `train.consensus`.
        embeddings: T_CLIP, float16 (rows, d_text); None where nothing is distilled.
        rows: the row of each caption in `embeddings`.
        target: `standardised` for embeddings less their mean over the training captions, by their standard deviation,
            coordinate by coordinate; `raw` as they are.
        aspects: the aspects that have a sub-decoder.
        max_tokens, max_aspect_tokens: longest caption and aspect in words.

    Raises:
        ValueError: if there are no videos, a video has no usable caption, a caption no embedding, or an aspect no
            annotation at all.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        features: Features,
        vocabulary: Vocabulary,
        *,
        consensus: float = 0.0,
        embeddings: np.ndarray | None = None,
        rows: Mapping[str, int] | None = None,
        target: str = "standardised",
        aspects: Sequence[str],
        max_tokens: int,
        max_aspect_tokens: int,
    ) -> None:
        if not videos:
            raise ValueError("there are no videos to train on")
        self.device = torch.device("cpu")
        self.frames = FrameTable(features, [video.id for video in videos])
        captions = _with_words([video.captions for video in videos])
        for video, kept in zip(videos, captions, strict=True):
            if not kept:
                raise ValueError(f"training video {video.id!r} has no caption with a word in it")
        self.captions = TokenTable([[vocabulary.encode(c, max_tokens) for c in kept] for kept in captions])
        self.owners = torch.repeat_interleave(self.captions.counts)  # (captions,), the video of each
        self.weights = caption_weights(captions, consensus) if consensus else None  # (captions,)
        self.text = None if embeddings is None else _TextTable(embeddings, rows or {}, captions, videos, target)
        self.aspects = {}
        for aspect in aspects:
            texts = _with_words([video.aspects.get(aspect, ()) for video in videos])
            if not any(texts):
                raise ValueError(f"no training video has an annotation of {aspect!r}: take it out of aspects.use")
            encoded = [[vocabulary.encode(text, max_aspect_tokens) for text in kept] for kept in texts]
            self.aspects[aspect] = TokenTable(encoded)

    def to(self, device: torch.device | str) -> TrainingData:
        """Move the data to `device`, where batches are made from now on."""
        self.device = torch.device(device)
        for table in (self.frames, self.captions, self.text, *self.aspects.values()):
            if table is not None:
                table.to(device)
        return self

    @property
    def d_in(self) -> int:
        """d_v, width of the frame features."""
        return self.frames.values.shape[1]

    @property
    def d_text(self) -> int:
        """Width of the text embeddings; without any, that of the frames', which is the same in a CLIP."""
        return self.d_in if self.text is None else self.text.values.shape[1]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each feature coordinate over all frames, float32 (d_v,) each.

        A coordinate that never varies has the deviation 1, so that it can be divided by.
        """
        return _statistics(self.frames.values)

    def steps(self, batch_size: int, epoch: str) -> int:
        """Batches an epoch of kind `video` or `caption`."""
        items = len(self.captions.counts) if epoch == "video" else len(self.owners)
        return -(-items // batch_size)

    def epoch(
        self, number: int, *, seed: int, batch_size: int, epoch: str, captions_per_video: int = 1
    ) -> Iterator[Batch]:
        """The batches of epoch `number`: every video once with one random caption, or every caption once.

        Of a video whose captions all are drawn, `captions_per_video` go into the same batch, by which its frames are
        read once. Each caption comes with one random annotation of every aspect. What is drawn depends on `seed` and
        `number` alone, so an epoch can be drawn again without those before it.
        """
        generator = torch.Generator().manual_seed(mix("batches", seed, number))
        if epoch == "video":
            owners = torch.randperm(len(self.captions.counts), generator=generator)
            captions = self.captions.draw(owners, generator)
        else:
            captions = self._grouped(captions_per_video, generator)
            owners = self.owners[captions]
        drawn = {aspect: table.draw(owners, generator) for aspect, table in self.aspects.items()}

        for start in range(0, len(owners), batch_size):
            part = slice(start, start + batch_size)
            videos, owner = owners[part].unique(return_inverse=True)
            frames, mask = self.frames(videos)
            yield Batch(
                frames=frames,
                mask=mask,
                owners=owner.to(self.device),
                tokens=self.captions(captions[part]),
                text=None if self.text is None else self.text(captions[part].to(self.device)),
                weights=None if self.weights is None else self.weights[captions[part]].to(self.device),
                aspects={aspect: table(drawn[aspect][part]) for aspect, table in self.aspects.items()},
            )

    def videos(self, number: int, *, seed: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All videos once, in an order that depends on `seed` and `number` alone: places (V,), frames and mask."""
        order = torch.randperm(
            len(self.captions.counts), generator=torch.Generator().manual_seed(mix("videos", seed, number))
        )
        for part in order.split(batch_size):
            yield part, *self.frames(part)

    def _grouped(self, size: int, generator: torch.Generator) -> Tensor:
        """All captions in random order, but that each video's follow each other `size` at a time."""
        order = torch.randperm(len(self.owners), generator=generator)
        if size == 1:
            return order
        order = order[self.owners[order].argsort(stable=True)]  # video by video, each one's in random order
        rank = torch.arange(len(order)) - self.captions.first[self.owners[order]]
        group = (self.owners[order] * len(order) + rank // size).unique(return_inverse=True)[1]
        place = torch.randperm(int(group.max()) + 1, generator=generator)
        return order[place[group].argsort(stable=True)]


class _TextTable:
    """T_CLIP of each caption, as it is distilled."""

    def __init__(
        self,
        embeddings: np.ndarray,
        rows: Mapping[str, int],
        captions: Sequence[Sequence[str]],
        videos: Sequence[Video],
        target: str,
    ) -> None:
        for video, kept in zip(videos, captions, strict=True):
            for caption in kept:
                if caption not in rows:
                    raise ValueError(f"a caption of video {video.id!r} has no text embedding: {caption!r}")
        self.rows = torch.tensor([rows[caption] for kept in captions for caption in kept])
        self.values = torch.from_numpy(np.require(embeddings, requirements=["C", "W"]))
        size = self.values.shape[1]
        standardised = target == "standardised"
        self.mean, self.std = _statistics(self.values) if standardised else (torch.zeros(size), torch.ones(size))

    def to(self, device: torch.device | str) -> None:
        self.rows, self.values, self.mean, self.std = (
            of.to(device) for of in (self.rows, self.values, self.mean, self.std)
        )

    def __call__(self, captions: Tensor) -> Tensor:
        """(B, d_text) float32 of the captions (B,)."""
        return (self.values[self.rows[captions]].float() - self.mean) / self.std


def _statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each coordinate of `values` (rows, d), float32 (d,) each; 1 where none varies."""
    mean = sum(part.double().sum(0) for part in values.split(65536)) / len(values)
    variance = sum((part.double() - mean).square().sum(0) for part in values.split(65536)) / len(values)
    std = variance.sqrt()
    return mean.float(), torch.where(std > 1e-6, std, torch.ones_like(std)).float()


def _with_words(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """`texts` without those that hold no word at all, such as a lone "." or emoji."""
    kept = [[text for text in owner if tokenize(text)] for owner in texts]
    lost = [text for owner in texts for text in owner if not tokenize(text)]
    if lost:
        warnings.warn(f"{len(lost)} training texts without a word are left out, such as {lost[0]!r}", stacklevel=3)
    return kept

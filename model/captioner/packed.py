"""Texts of different lengths without their padding, which is half of a batch of captions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from videocap.model.vocabulary import PAD


@dataclass(frozen=True)
class Packed:
    """The n words that B texts are read by, one after the other: all but the last of each."""

    tokens: Tensor
    """(n,) int64, what is read."""
    targets: Tensor
    """(n,) int64, what follows."""
    places: Tensor
    """(n,) int64, where each stands in padded texts (B, T), flattened."""
    texts: int
    """B."""
    length: int
    """T."""

    @classmethod
    def of(cls, tokens: Tensor, read: Tensor | None = None) -> Packed:
        """Of `tokens` (B, T + 1), padded with PAD; a text of PAD alone has no words. `read` if not that is read."""
        places = (tokens[:, 1:] != PAD).flatten().nonzero().squeeze(1)
        texts, length = tokens.shape[0], tokens.shape[1] - 1
        shown = tokens if read is None else read
        return cls(shown[:, :-1].flatten()[places], tokens[:, 1:].flatten()[places], places, texts, length)

    @property
    def positions(self) -> Tensor:
        """(n,), of each word in its text."""
        return self.places % self.length

    def pad(self, x: Tensor) -> Tensor:
        """(n, d) -> (B, T, d), zeros where no word is."""
        padded = x.new_zeros(self.texts * self.length, x.shape[1])
        return padded.index_copy(0, self.places, x).view(self.texts, self.length, -1)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, d) -> (n, d)."""
        return x.flatten(0, 1)[self.places]

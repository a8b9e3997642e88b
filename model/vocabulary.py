"""The words that the decoders know, and the way from text to token ids and back. Needs no torch."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import regex as re

from videocap.extract.json_files import load_json

PAD, UNK, SOS, EOS = range(4)
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Kinds of letters that no word has, such as those that steer a terminal."""
SPECIAL = ("<pad>", "<unk>", "<sos>", "<eos>")

# Letters, their marks and digits of any script; an apostrophe or hyphen inside a word stays, and a point or comma
# inside a number.
_WORD = re.compile(r"[\p{L}\p{M}\p{N}]+(?:(?:['-]|(?<=\p{N})[.,](?=\p{N}))[\p{L}\p{M}\p{N}]+)*")


def tokenize(text: str) -> list[str]:
    """Split `text` into lower-case words and numbers; punctuation is dropped."""
    text = unicodedata.normalize("NFKC", text.lower()).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _WORD.findall(text)


@dataclass(frozen=True)
class Vocabulary:
    """Known words by id: PAD 0, UNK 1, sos 2, eos 3, then the words in alphabetical order."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[:4] != SPECIAL:
            raise ValueError(f"a vocabulary must begin with {', '.join(SPECIAL)}, this one with {self.words[:4]}")
        if odd := [word for word in self.words if {unicodedata.category(letter) for letter in word} & UNSEEN]:
            raise ValueError(f"the word {odd[0]!r} has letters that can't be shown")
        if len(set(self.words)) < len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise ValueError(f"the word {twice!r} is in the vocabulary twice")

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str, max_tokens: int) -> list[int]:
        """Ids of the first `max_tokens` words of `text`, between sos and eos; unknown words are UNK."""
        return [SOS, *(self._ids.get(word, UNK) for word in tokenize(text)[:max_tokens]), EOS]

    def decode(self, ids: Iterable[int]) -> str:
        """Words of `ids` up to the first eos, joined by spaces; PAD and sos are left out."""
        words = []
        for index in ids:
            if index == EOS:
                break
            if index not in (PAD, SOS):
                words.append(self.words[index])
        return " ".join(words)

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON; the same words always give the same bytes."""
        path.write_text(json.dumps({"words": self.words}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote. Raises ValueError if the file is no vocabulary."""
        try:
            words = json.loads(path.read_text(encoding="utf-8"))["words"]
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError("`words` must be a list of strings")
            return cls(tuple(words))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is not a vocabulary: {error}") from error


def build(texts: Iterable[str], min_count: int) -> Vocabulary:
    """Collect the words that occur at least `min_count` times in `texts`.

    Raises:
        ValueError: if no word occurs so often.
    """
    counts = Counter(word for text in texts for word in tokenize(text))
    words = sorted(word for word, count in counts.items() if count >= min_count)
    if not words:
        raise ValueError(
            f"no word occurs {min_count} times in the training texts ({len(counts)} distinct words): "
            "lower vocabulary.min_count or check the captions"
        )
    return Vocabulary((*SPECIAL, *words))


def make(folder: Path, config: Any, *, captions: Path, aspects: Path) -> None:
    """Write vocabulary.json of the training split's captions and of the aspects in use.

    Args:
        config: holder of the sections vocabulary and aspects.
        captions: {video id: [caption, …]}.
        aspects: {video id: {aspect: [text, …]}}.

    Raises:
        ValueError: if no video has an aspect that is asked for.
    """
    texts = [text for video in load_json(captions).values() for text in video]
    sides = load_json(aspects).values()
    for aspect in config.aspects.use:
        found = [text for video in sides for text in video.get(aspect, ())]
        if not found:
            raise ValueError(
                f"aspects.use asks for {aspect!r}, but no training video has one: add them to the data "
                f"(data.commonsense, or a column {aspect}), or leave it out of aspects.use"
            )
        texts += found
    build(texts, config.vocabulary.min_count).save(folder / "vocabulary.json")

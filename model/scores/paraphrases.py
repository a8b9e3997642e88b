"""METEOR's table of paraphrases without those that some references can't match: it is read at each start, in 6 s."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from pathlib import Path

from videocap.model.scores.java import answers, java_command
from videocap.model.scores.meteor import JAR, PARAPHRASES, bare

LONGEST = 7  # words of a phrase in the table


def write_subset(references: Iterable[str], out: Path) -> None:
    """Write those pairs of METEOR's table of which one phrase is in a reference: scores against these stay the same.

    A match pairs a phrase of a caption with one of a reference, so no other pair can ever match.

    Args:
        references: tokens joined by blanks.
        out: a gzipped file of three lines a pair, as the whole table is.

    Raises:
        JavaError: METEOR's own normalizer, by which the references' words are told, failed.
    """
    texts = sorted(set(map(bare, references)))
    command = java_command("-cp", str(JAR), "edu.cmu.meteor.util.Normalizer", "en", "true")
    rows = [line.lower().split() for line in answers("METEOR's normalizer", command, texts, 300 + len(texts) / 1000)]
    phrases = {
        " ".join(words[start:end]).encode() + b"\n"
        for words in rows
        for start in range(len(words))
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1)
    }
    # without a time or a name, so that the same references give the same bytes
    with io.BufferedReader(gzip.open(PARAPHRASES), 2**20) as table, out.open("wb") as file:  # by line, gzip is slow
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as subset:
            for chance, first, second in zip(table, table, table, strict=True):
                if first in phrases or second in phrases:
                    subset.write(chance + first + second)

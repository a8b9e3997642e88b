"""METEOR 1.5 by pycocoevalcap's jar, over pipes."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from videocap.model.scores.java import PACKAGE, clean, java_command, java_environment, java_failure

JAR = PACKAGE / "meteor" / "meteor-1.5.jar"
# Named, because the jar does not find its own paraphrases below a folder with a blank or a letter beyond ASCII.
PARAPHRASES = PACKAGE / "meteor" / "data" / "paraphrase-en.gz"


class Meteor:
    """A METEOR process, to be used in a `with` block, which ends it.

    Java starts at once and reads its paraphrases for several seconds (with half a gigabyte of memory), while the
    caller does other work. One process scores any number of corpora, one after the other; it serves one thread.
    An error ends it for good.

    Args:
        paraphrases: METEOR's table, or a subset of it for the references in question (see `model.scores.paraphrases`).
    """

    def __init__(self, paraphrases: Path | None = None) -> None:
        self._paraphrases = paraphrases or PARAPHRASES

    def __enter__(self) -> Meteor:
        # pycocoevalcap's options, but for the serial collector: as fast, and half the memory.
        command = java_command(
            *("-Xmx2G", "-XX:+UseSerialGC", "-jar", str(JAR), "-", "-", "-stdio", "-l", "en", "-norm"),
            *("-a", str(self._paraphrases)),
        )
        # A file, since nobody reads along: a full pipe would stop Java.
        self._stderr = tempfile.TemporaryFile()
        try:
            self._java = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=java_environment(),
            )
        except OSError as error:
            self._stderr.close()
            raise java_failure("METEOR", f"Java cannot be started ({error})") from error
        return self

    def __exit__(self, *exception: object) -> None:
        self._java.kill()
        self._java.wait()
        with contextlib.suppress(OSError):  # what was not sent before the kill
            self._java.stdin.close()
        self._java.stdout.close()
        self._stderr.close()

    def score(
        self, captions: Sequence[str], references: Sequence[Sequence[str]], timeout: float | None = None
    ) -> tuple[float, list[float], list[list[float]]]:
        """METEOR of the corpus and of each caption against its references, as fractions; and each one's statistics.

        The corpus' score is one of the sums of the statistics (see `bootstrap`), not a mean.

        Args:
            captions: tokens joined by blanks; an empty caption scores 0.
            references: for each caption at least one string, tokens joined by blanks.
            timeout: seconds for all, Java's start included if it has not ended; by default 300, and 0.2 more per
                caption.

        Raises:
            JavaError: Java died, answered short or something else than numbers, or exceeded the time.
            ValueError: there are not as many lists of references as captions, or a list is empty.
        """
        lines = [_line(caption, group) for caption, group in zip(captions, references, strict=True)]
        seconds = 300 + 0.2 * len(lines) if timeout is None else timeout
        expired = threading.Event()
        timer = threading.Timer(seconds, lambda: (expired.set(), self._java.kill()))
        writer = threading.Thread(target=self._write, args=(lines,), daemon=True)
        timer.start()
        writer.start()  # beside the reader: both pipes are smaller than what goes through them
        try:
            statistics = [self._read() for _ in lines]
            writer.join()
            self._write([" ||| ".join(("EVAL", *statistics))])
            scores = [float(self._read()) for _ in lines]
            return float(self._read()), scores, [[float(number) for number in line.split()] for line in statistics]
        except (EOFError, ValueError) as error:
            what = f"METEOR, on {len(lines)} captions"
            longest = max(captions, key=len, default="").split()
            shown = f"{' '.join(longest[:10])!r}…"
            late = f"not done after {seconds:g} s, and stopped (the longest caption has {len(longest)} words: {shown})"
            happened = late if expired.is_set() else self._end(error)
            self._stderr.seek(0)
            raise java_failure(what, happened, self._stderr.read().decode(errors="replace")) from error
        finally:
            timer.cancel()

    def _write(self, lines: Sequence[str]) -> None:
        # If Java has gone, the reader meets the end of its answers and says so, with its exit status.
        with contextlib.suppress(OSError):
            # In one piece, which the kernel hands over while other threads run.
            self._java.stdin.write("".join(f"{line}\n" for line in lines).encode())
            self._java.stdin.flush()

    def _read(self) -> str:
        """Java's next line."""
        line = self._java.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line.decode(errors="replace").strip()

    def _end(self, error: Exception) -> str:
        """What happened: a useless answer, or Java's end; it is stopped if it still runs."""
        if isinstance(error, ValueError):
            self._java.kill()
            return f"Java answered with something else than a number ({error})"
        try:
            return f"Java ended too early, with exit status {self._java.wait(timeout=10)}"
        except subprocess.TimeoutExpired:
            self._java.kill()
            return "Java closed its output too early"


def bare(text: str) -> str:
    """A text as a field of a request."""
    return clean(text).replace("|||", "")


def _line(caption: str, references: Sequence[str]) -> str:
    """METEOR's request for the statistics of one caption; three bars part its fields, so they go from captions."""
    if not references:
        raise ValueError(f"no references for the caption {caption!r}")
    fields = [bare(text) for text in (*references, caption)]
    return " ||| ".join(("SCORE", *fields))

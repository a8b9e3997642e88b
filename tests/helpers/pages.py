"""The pages of the docs, and the blocks of code in them."""

import re
from typing import NamedTuple

from runs import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code in a page: its language, its text, and where it begins."""

    language: str
    text: str
    start: int
    end: int


def blocks(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        indent, language, code = match.groups()
        lines = [line.removeprefix(indent) for line in code.splitlines()]
        found.append(Block(language, "\n".join(lines) + "\n", match.start(), match.end()))
    return found

"""What all scores share: video ids that agree, and tokens by protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from videocap.model.scores.java import clean
from videocap.model.scores.tokenizer import tokenize

Protocol = Literal["coco", "v2c"]


def video_ids(references: Mapping[str, Sequence[str]]) -> list[str]:
    """The sorted video ids; raises ValueError unless there are some and each has references."""
    if not references:
        raise ValueError("there are no references to score against")
    # A string would pass for a list of references, one a letter.
    if strings := [video for video, group in references.items() if isinstance(group, str)]:
        raise ValueError(f"the references of {_some(strings)} are one string, not a list of strings")
    if empty := [video for video, group in references.items() if not group]:
        raise ValueError(f"no references for {_some(empty)}: add some, or leave them out of captions and references")
    return sorted(references)


def check_same(captions: Collection[str], videos: Collection[str]) -> None:
    """Raises ValueError unless the captions are of just these videos."""
    wrong = []
    if missing := set(videos).difference(captions):
        wrong.append(f"no caption for {_some(missing)}")
    if surplus := set(captions).difference(videos):
        wrong.append(f"no references for {_some(surplus)}")
    if wrong:
        raise ValueError(f"captions and references are not of the same videos: {'; '.join(wrong)}")


def _some(videos: Collection[str]) -> str:
    """`2 videos (video1, video7)`, with three names at most."""
    names = ", ".join(sorted(videos)[:3]) + (", …" if len(videos) > 3 else "")
    return f"{len(videos)} video{'s' * (len(videos) > 1)} ({names})"


def tokenized(rows: Sequence[Sequence[str]], protocol: Protocol) -> list[list[str]]:
    """The rows with every string as the protocol wants it: one start of Java for all, or none."""
    flat = [text for row in rows for text in row]
    if protocol == "coco":
        done = iter(tokenize(flat))
    elif protocol == "v2c":
        done = map(clean, flat)
    else:
        raise ValueError(f"protocol is {protocol!r}, must be 'coco' or 'v2c'")
    return [[next(done) for _ in row] for row in rows]

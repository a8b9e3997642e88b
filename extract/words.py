"""How extraction says things to people: warnings are kept as data, and put into words here, when they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEFT_OUT = {
    "captions_given_again": "captions given more than once, counted once",
    "captions_of_unlisted_videos": "captions left out, of videos that the annotations do not list",
    "captions_of_unusable_videos": "captions left out, of videos without a file or split",
    "captions_with_shared_ids": "captions with another's sen_id, kept",
    "empty_captions": "empty captions left out",
    "empty_commonsense": "empty commonsense texts left out",
    "features_not_annotated": "features left out, not in the annotations",
    "files_not_regular": "files left out, no regular files or names, or links to a folder that they lie in",
    "ids_listed_again": "ids more than once in a list, counted once",
    "listed_ids_not_annotated": "listed ids left out, not in the annotations",
    "video_files_not_annotated": "video files left out, not in the annotations",
    "videos_found_uncaptioned": "videos have no caption",
    "videos_found_uncaptioned_or_unlisted": "videos have no caption or are in no list",
    "videos_given_a_split": "videos have no split where others have, and are drawn 80/10/10",
    "videos_in_no_list": "videos left out, in no list of the splits",
    "videos_no_caption": "videos left out, no caption",
    "videos_no_features": "videos left out, no features",
    "videos_no_file": "videos left out, no file in the folder of videos",
    "videos_repeated": "videos listed more than once, merged",
    "videos_with_commonsense_only": "videos of the commonsense annotations left out, not in the annotations",
}
"""What was left out or decided, by the codes that corpora keep: these stay."""

CUT = "{count} captions are longer than the text encoder reads, and were cut for it"


def warning(row: Mapping[str, Any] | str) -> str:
    """A warning on a source as a line.

    Args:
        row: what was left out or decided, as `LeftOut.rows`; or what is unusual, {"unusual": "splits", "captions" or
            "no videos", …}. (Earlier corpora kept the line itself.)
    """
    if isinstance(row, str):
        return row
    if "unusual" not in row:
        return left_out(row) + " …" * (row["names"] > len(row["examples"]))
    if row["unusual"] == "splits":
        usual = ", ".join(f"{_numbers(counts)} ({name})" for counts, name in row["usual"])
        return f"the splits are {_numbers(row['counts'])} (train, val, test); MSR-VTT's usual ones are {usual}"
    if row["unusual"] == "captions":
        examples = ", ".join(f"{name} has {count}" for name, count in row["examples"])
        return f"{row['count']} videos do not have MSR-VTT's {row['usual']} captions: {examples}"
    return f"there are no {row['split']} videos: {row['counts']}"


def left_out(row: Mapping[str, Any]) -> str:
    """A row of `LeftOut.rows` with its examples. (Earlier corpora kept the phrase itself as "what".)"""
    return f"{row['count']} {LEFT_OUT.get(row['what'], row['what'])}: {', '.join(row['examples'])}"


def _numbers(counts: tuple[int, ...]) -> str:
    return " / ".join(f"{count:,}" for count in counts)

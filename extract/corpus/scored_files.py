"""Captions and references to be scored, from files of any layout."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from videocap.extract import words
from videocap.extract.corpus import annotations as annotation_files
from videocap.extract.corpus import splits as split_lists
from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.source import CorpusError, load_once

ROW_FILES = (".csv", ".jsonl", ".txt")


def load_captions(path: Path) -> dict[str, str]:
    """One caption a video, by video id.

    Args:
        path: JSON: [{"video_id", "caption"}, …], the same under "result" (MSR-VTT's submissions), or
            {video_id: caption}.

    Raises:
        CorpusError: another layout, or a video twice, which it names.
    """
    tree = load_once(path)
    if isinstance(tree, dict) and isinstance(tree.get("result"), list):
        tree = tree["result"]
    if isinstance(tree, dict):
        tree = [{"video_id": name, "caption": caption} for name, caption in tree.items()]
    captions: dict[str, str] = {}
    for number, row in enumerate(tree if isinstance(tree, list) else [None]):
        name, caption = (row.get("video_id"), row.get("caption")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(caption, str):
            raise CorpusError(
                f'{path}: is neither a list of {{"video_id": …, "caption": …}}, nor {{"result": such a list}}, nor '
                f"{{video_id: caption}}: see number {number + 1}{f', {name!r}' if name else ''}"
            )
        if name in captions:
            raise CorpusError(f"{path}: has two captions for {name}")
        captions[name] = caption
    return captions


def load_references(
    path: Path, ids: Collection[str], lists: Sequence[Path] = ()
) -> tuple[dict[str, list[str]], list[str]]:
    """The captions that videos are held against, by video id.

    Args:
        path: {video_id: [caption, …]} or {video_id: {sen_id: caption}}, all of whose videos count; or annotations, as
            MSR-VTT's official file or the rows that data.kind `folder` takes. Of these it is all videos with captions
            in the splits that those of `ids` are in: who captions one test video is asked for the others.
        ids: of the captioned videos.
        lists: files of ids, as data.split takes them, in place of the splits that annotations give.

    Returns:
        captions by video id; and warnings of what annotations hold that does not count.

    Raises:
        CorpusError: another layout, or annotations that lack one of `ids`, which it names.
    """
    if path.suffix.lower() in ROW_FILES:
        return _of_same_splits(path, "folder", ids, lists)
    tree = load_once(path)
    if isinstance(tree, dict) and isinstance(tree.get("sentences"), list):
        return _of_same_splits(path, "msrvtt", ids, lists)
    if not isinstance(tree, dict):
        raise CorpusError(f"{path}: is neither {{video_id: [caption, …]}} nor an MSR-VTT file")
    if lists:
        raise CorpusError(f"{path}: {{video_id: [caption, …]}} has no splits: lists are for annotations")
    return {name: _texts(path, name, captions) for name, captions in tree.items()}, []


def _texts(path: Path, name: str, captions: Any) -> list[str]:
    texts = list(captions.values()) if isinstance(captions, dict) else captions
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise CorpusError(f"{path}: {name}: neither [caption, …] nor {{sen_id: caption}}; nor is it an MSR-VTT file")
    return texts


def _of_same_splits(
    path: Path, kind: str, ids: Collection[str], lists: Sequence[Path]
) -> tuple[dict[str, list[str]], list[str]]:
    entries, left_out = annotation_files.read((path,), kind, ids)
    warnings = [words.warning(row) for row in left_out.rows()]
    if lists:
        split_lists.assign(entries, lists, LeftOut())
    unknown = sorted(set(ids) - entries.keys())
    if unknown:
        names = ", ".join(unknown[:3]) + ", …" * (len(unknown) > 3)
        raise CorpusError(f"{path}: has no references for {len(unknown)} captioned videos ({names})")
    splits = {entries[name].split for name in ids}
    return {name: list(e.captions) for name, e in entries.items() if e.captions and e.split in splits}, warnings

"""The results of an experiment in one folder, with a page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from videocap.extract.files import link_or_copy
from videocap.extract.json_files import load_json
from videocap.model.report.curves import picture, read
from videocap.model.report.page import examples, page
from videocap.model.report.strips import strips
from videocap.model.report.tables import Table


def make(
    folder: Path,
    config: Any,
    *,
    scores: Path,
    video_scores: Path,
    captions: Path,
    references: Path,
    counts: Path,
    model: Path,
    table: Path,
    videos: Path | None,
    sampling: Any,
    sampler: Callable,
    curves: Path,
    paper: Path,
    failures: Sequence[Mapping[str, str]],
    **further: Path,
) -> list[dict[str, str]]:
    """Put the results into an empty folder, with a picture of the training and report.html that shows them.

    Args:
        scores, video_scores, captions, curves: scores.json, video_scores.json, captions.json and curves.csv.
        model: the captioner's folder.
        references: captions of each scored video.
        table: [[id, sha256]] of these.
        videos: the folder in which they lie, if they do.
        sampling: holder of the sections decode and encoder: which of their frames the model saw.
        sampler: reads these, see `strips`.
        counts: counts.json of the corpus.
        paper: the rows of the paper's table that stand beside the scores, see `model.report.tables`.
        failures: [{"id", "reason"}].
        further: files of other stages, to which the page links.

    Returns:
        warnings, see `words.warning`.

    Raises:
        ValueError: if a further file has the name of another.
    """
    for file in (scores, video_scores, captions, curves, *sorted(model.iterdir())):
        link_or_copy(file, folder / file.name)
    drawn = picture(read(curves))
    (folder / "curves.svg").write_text(drawn, encoding="utf-8")
    shown = examples(load_json(captions), load_json(video_scores)["caption"])
    names = {item["video_id"] for items in shown.values() for item in items}
    pictures, warnings = {}, []
    seen = [(name, digest) for name, digest in load_json(table) if name in names]
    if videos:
        try:
            pictures = strips(seen, videos, sampling.decode, sampling.encoder, sampler)
        except Exception as error:  # pictures are not worth a report
            warnings.append({"no frames": f"{type(error).__name__}: {error}"})
    html = page(
        scores=load_json(scores),
        examples=shown,
        references=load_json(references),
        strips=pictures,
        curves=drawn,
        counts=load_json(counts),
        failures=failures,
        paper=Table.read(paper).rows,
        kind=config.data.kind,
        further=[file.name for file in further.values()],
    )
    (folder / "report.html").write_text(html, encoding="utf-8")
    for name, file in further.items():
        if (folder / file.name).exists():  # and not written over: it may be another name of a result
            raise ValueError(f"the report has a {file.name} already: let the file of {name} have another name")
        link_or_copy(file, folder / file.name)
    return warnings

"""A captioner's folder for others, with its model card."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

from videocap.extract.encoders import load
from videocap.extract.files import check_regular, sha256, writing
from videocap.extract.json_files import load_json
from videocap.model.captioner import folder, saved
from videocap.model.config import GenerateConfig
from videocap.model.report.card import card, scores_part

MOST_SCORES = 1 << 20  # bytes of scores.json


def check_free(target: Path) -> None:
    """Raise ValueError unless a folder can be made there."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is there already: name a folder that is to be made")


def export(
    source: Path, target: Path, encoder: str | Path | None = None, generate: GenerateConfig | None = None
) -> None:
    """Write a captioner's folder with its model card to another place, where nothing may be yet.

    Args:
        source: where it lies, with its experiment's scores.json if that is known.
        target: to be made, or empty. It is there as a whole or not at all.
        encoder: the name or file of the encoder's weights, if they are to go along.
        generate: how it is to write, if that is not its own way.

    Raises:
        ValueError: if there is something, or the source is damaged.
    """
    target = target.absolute()
    check_free(target)
    about = saved.read(source)
    if generate:
        about = about.model_copy(update={"generate": generate.deciding()})
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        work = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        work.mkdir()
        try:
            for name in (saved.VOCABULARY, *(network.file for network in about.networks)):
                shutil.copyfile(source / name, work / name)
            if about.encoder and about.encoder.file_sha256:
                shutil.copyfile(source / saved.ENCODER, work / saved.ENCODER)
                if sha256(work / saved.ENCODER) != about.encoder.file_sha256:
                    raise ValueError(f"{source / saved.ENCODER} is not the file that config.json names: copy it again")
            elif encoder:
                about = folder.add_encoder(work, about, load.find(str(encoder)))
            saved.write(work, about)
            text = card(target.name, about.model_dump(mode="json"), _scores(source / "scores.json"))
            (work / "README.md").write_text(text, encoding="utf-8")
            saved.load(work)  # what can't be loaded here, can't be there
            if target.exists():
                target.rmdir()
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _scores(path: Path) -> dict[str, Any]:
    """An experiment's scores, if they are there; what is not as it should be is left out of a card."""
    try:
        check_regular(path)
        if path.stat().st_size > MOST_SCORES:
            return {}
        found = load_json(path)
        scores_part(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return found

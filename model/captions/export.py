"""A captioner's folder for others, with its model card."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from videocap.extract.encoders import load
from videocap.extract.json_files import load_json
from videocap.model.captioner import folder, saved
from videocap.model.report.card import card


def export(source: Path, target: Path, encoder: str | Path | None) -> None:
    """Write a captioner's folder with its model card to another place, where nothing may be yet.

    Args:
        source: where it lies, with its experiment's scores.json if that is known.
        target: to be made, or empty. It is there as a whole or not at all.
        encoder: the name or file of the encoder's weights, if they are to go along.

    Raises:
        ValueError: if there is something, or the source is damaged.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is there already: name a folder that is to be made")
    about = saved.read(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    work.mkdir()
    try:
        for name in (saved.VOCABULARY, *(network.file for network in about.networks)):
            shutil.copyfile(source / name, work / name)
        if about.encoder and about.encoder.file_sha256:
            shutil.copyfile(source / saved.ENCODER, work / saved.ENCODER)
        elif encoder:
            about = folder.add_encoder(work, about, load.find(str(encoder)))
        saved.write(work, about)
        scores = source / "scores.json"
        text = card(target.name, about.model_dump(mode="json"), load_json(scores) if scores.is_file() else {})
        (work / "README.md").write_text(text, encoding="utf-8")
        saved.load(work)  # what can't be loaded here, can't be there
        if target.exists():
            target.rmdir()
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)

"""Checkpoints that survive a kill at any moment, and the finished model's folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videocap.model.captioner.captioner import Captioner, CaptionerConfig
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, Vis2TextConfig
from videocap.model.vocabulary import Vocabulary

KEPT = 2


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Publish `state` as the checkpoint of `epoch`; the last two stay.

    The file is whole or absent: it is written under a name of its own, synced, and renamed into place. It begins
    with the sha256 of the rest.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    temporary = folder / f"{uuid.uuid4().hex}.tmp"
    with temporary.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / f"epoch-{epoch:05d}.pt")
    for old in [*sorted(folder.glob("epoch-*.pt"))[:-KEPT], *folder.glob("*.tmp")]:
        old.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint of `folder`, on the CPU, or None. One that is damaged is named in a warning."""
    for path in sorted(folder.glob("epoch-*.pt"), reverse=True):
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return torch.load(io.BytesIO(content[32:]), map_location="cpu", weights_only=True)
        warnings.warn(f"the checkpoint {path} is damaged: training goes on from the one before it", stacklevel=2)
        path.unlink()
    return None


class _Recipe(BaseModel):
    """model.json: what a captioner is rebuilt from."""

    model_config = ConfigDict(extra="forbid")

    fusion: FusionConfig
    vis2text: Vis2TextConfig
    aspects: AspectsConfig
    decoder: DecoderConfig
    d_in: int = Field(ge=1)
    d_text: int = Field(ge=1)
    words: int = Field(ge=5)


_SECTIONS = {
    "fusion": FusionConfig,
    "vis2text": Vis2TextConfig,
    "aspects": AspectsConfig,
    "decoder": DecoderConfig,
}


def save_model(
    folder: Path, config: CaptionerConfig, weights: dict[str, torch.Tensor], vocabulary: Vocabulary, **sizes: int
) -> None:
    """Write `model.safetensors`, `model.json` and `vocabulary.json`; `sizes` are the captioner's d_in and d_text."""
    recipe: dict[str, Any] = {
        section: {field: getattr(getattr(config, section), field) for field in kind.model_fields}
        for section, kind in _SECTIONS.items()
    }
    recipe |= {**sizes, "words": len(vocabulary)}
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(recipe, indent=1) + "\n")
    vocabulary.save(folder / "vocabulary.json")


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[Captioner, Vocabulary]:
    """The trained captioner of `folder`, in evaluation mode on `device`, and its vocabulary.

    Raises:
        ValueError: if the folder's files do not belong together.
    """
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    try:
        recipe = _Recipe.model_validate_json((folder / "model.json").read_bytes())
        weights = load_file(folder / "model.safetensors")
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{folder}: the model is damaged: {' '.join(str(error).split())[:200]}") from error
    if recipe.words != len(vocabulary):
        raise ValueError(f"{folder}: the model knows {recipe.words} words, vocabulary.json has {len(vocabulary)}")
    sections = SimpleNamespace(**{section: getattr(recipe, section) for section in _SECTIONS})
    with torch.device("meta"):  # sizes are checked against the weights before anything is allocated
        model = Captioner(sections, d_in=recipe.d_in, d_text=recipe.d_text, words=recipe.words)
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{folder}: model.safetensors does not fit model.json: {error}") from error
    return model.to(device).eval(), vocabulary

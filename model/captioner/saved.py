"""A finished captioner's folder: its weights, what it is rebuilt from, and its vocabulary."""

from __future__ import annotations

import json
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

"""The folder by which a trained captioner travels: all that decides a caption, and nothing of where it was made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from videocap.extract.config import MODELS, DecodeConfig
from videocap.extract.files import link_or_copy, sha256
from videocap.extract.json_files import load_json
from videocap.model.captioner import saved
from videocap.model.config import GenerateConfig


def make(
    folder: Path,
    config: Any,
    *,
    trained: Path,
    others: Sequence[Path] = (),
    frames: Any,
    weights: tuple[str, str | None] | None,
    encoder: Path | None = None,
    computed: Iterable[str] = (),
    **tables: Path,
) -> None:
    """Write config.json, the networks and the vocabulary; and the encoder, if it is to be had nowhere else.

    Args:
        folder: empty.
        config: holder of the section generate, of data.kind and experiment.license.
        trained: what Train left.
        others: folders of captioners that write with it.
        frames: holder of the sections decode and encoder, by which its features were made; None if by other code.
        weights: name or path of the encoder's, and their sha256 if it is known; None if other code made the features.
        encoder: its checkpoint, to go along.
        computed: on what, and how precisely, features were computed.
        tables: of the corpus: videos_train, captions_train, videos_val, captions_val.
    """
    about = saved.read(trained)
    networks = []
    for place in (trained, *others):
        for network in saved.read(place).networks:
            number = len(networks) + 1
            file = "model.safetensors" if number == 1 else f"model-{number}.safetensors"
            link_or_copy(place / network.file, folder / file)
            networks.append(network.model_copy(update={"file": file}))
    link_or_copy(trained / saved.VOCABULARY, folder / saved.VOCABULARY)
    splits = {}
    for split in ("train", "val"):
        videos, captions = (load_json(tables[f"{part}_{split}"]) for part in ("videos", "captions"))
        splits[split] = saved.Split(videos=len(videos), captions=sum(map(len, captions.values())))
    digests = {path.name: sha256(path) for path in tables.values()}
    update = {
        "license": config.experiment.license,
        "trained_on": saved.TrainedOn(kind=config.data.kind, splits=splits, sha256=digests),
        "networks": networks,
        "generate": GenerateConfig(
            **{name: getattr(config.generate, name) for name in GenerateConfig.model_fields}
        ).deciding(),
    }
    if weights:
        name, digest = weights
        told, section = frames.encoder.weights, frames.decode
        decode = DecodeConfig(**{field: getattr(section, field) for field in DecodeConfig.model_fields})
        update["decode"] = decode.deciding()
        update["encoder"] = saved.Encoder(
            weights=told if told in MODELS or told == "toyclip" else os.path.basename(told),
            sha256=digest or sha256(Path(name)),
            pixels=frames.encoder.pixels,
            resize=frames.encoder.resize,
            interpolation=frames.encoder.interpolation,
            crop=frames.encoder.crop,
            computed=sorted(computed),
        )
    about = about.model_copy(update=update)
    if encoder:
        about = add_encoder(folder, about, encoder)
    saved.write(folder, about)


def add_encoder(folder: Path, about: saved.About, checkpoint: Path) -> saved.About:
    """Let the encoder's weights go along, as encoder.safetensors; gives what config.json is to say now."""
    from safetensors.torch import save

    from videocap.extract.encoders.load import read_state

    path = folder / saved.ENCODER
    path.write_bytes(save({name: value.clone().contiguous() for name, value in read_state(checkpoint).items()}))
    encoder = about.encoder.model_copy(update={"file_sha256": sha256(path)})
    return about.model_copy(update={"encoder": encoder})

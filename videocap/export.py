"""`videocap export-model`, `store export` and `store import`: what leaves for other machines, and other code."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from rich.filesize import decimal

from videocap import tasks
from videocap.experiment_model import Shown, base, find
from videocap.extract.config import NAME
from videocap.extract.shards import exchange
from videocap.extract.shards.store import FeatureStore
from videocap.model.config import MODEL_FILES
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import artifacts_of
from videocap.pipeline.stores import imported
from videocap.pipeline.words import printable
from videocap.store import store_folders


def export_model(chosen: argparse.Namespace) -> int:
    """Write the captioner's folder of an experiment."""
    from videocap.captioner import VideoCaptioner

    found = find(chosen.config, chosen.override, of_videos=False) if chosen.experiment is None else named(chosen)
    captioner = VideoCaptioner.from_pretrained(found.folder, encoder=found.encoder)
    if chosen.with_encoder and captioner.about.encoder is None:
        raise ValueError(f"{found.folder}: its features were made by other code, so no encoder can go along")
    captioner.write_by(**found.generate)
    captioner.save_pretrained(chosen.folder, chosen.with_encoder)
    for remark in found.remarks:
        print(f"warning: {printable(remark)}", file=sys.stderr)
    size = sum(path.stat().st_size for path in chosen.folder.iterdir())
    print(f"{chosen.folder}: {decimal(size)}, a captioner's folder; its README.md says what it is and how it is used")
    return 0


def named(chosen: argparse.Namespace) -> Shown:
    """What the experiment shows that is named: one in runs/, or a folder of results."""
    folder = artifacts_of(base(Path(chosen.config), chosen.override)).root / "runs" / chosen.experiment
    places = [folder, Path(chosen.experiment)]
    for place in places:
        if (place / MODEL_FILES[0]).is_file():
            return Shown(place)
    raise ValueError(f"{folder} has no captioner: name an experiment that has run to its end, or a folder of results")


def export_store(chosen: argparse.Namespace) -> int:
    """Write a store's features in the formats of other code."""
    (folder,) = store_folders(chosen)
    store = FeatureStore(folder)
    exchange.export(store, chosen.place)
    print(f"{len(store)} items of {folder.name} are in {chosen.place}")
    if store.superseded:
        print(f"{store.superseded} more are left out: other sources of the same ids, extracted before")
    return 0


def import_features(chosen: argparse.Namespace) -> int:
    """Make a store of features that other code wrote; what is bad is named, and the rest goes on."""
    if not re.fullmatch(NAME, chosen.name):
        raise ValueError(f"--name {chosen.name!r}: letters, digits, '.', '_' and '-' only, the first a letter or digit")
    config = load(tasks.Config, Path(chosen.config))
    source = exchange.ForeignFeatures(chosen.source)
    store = imported.foreign_store(artifacts_of(config), chosen.name)
    there = FeatureStore(store.folder) if store.manifests() else {}
    width = next(iter(there.values())).shape[1] if there else source.width()
    failed: list[str] = []
    items = exchange.read_items(source, width, failed)
    size = config.pipeline.shard_size
    new = imported.publish(store, items, exchange.write_shard, size, Path(chosen.source).name)
    print(f"{new} of {len(source.ids)} items are new in {store.folder}")
    print("".join(f"left out: {printable(line)}\n" for line in failed), file=sys.stderr, end="")
    print(f'to train on them: [data] features = "{chosen.name}" in place of `videos`')
    return 1 if failed else 0

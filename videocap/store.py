"""`videocap store ls`, `verify` and `gc`: the stores of features, and the artifacts folder around them."""

from __future__ import annotations

import argparse
import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from videocap import tasks
from videocap.extract.config import MODELS
from videocap.pipeline import garbage
from videocap.pipeline.artifacts import jobs
from videocap.pipeline.config import load
from videocap.pipeline.recompute import recompute
from videocap.pipeline.stages.experiment import artifacts_of
from videocap.pipeline.stores import verify
from videocap.pipeline.stores.store import Store, stores_in
from videocap.pipeline.words import printable
from videocap.words import shards, when

TOLD_VERSIONS = ("clip4videocap", "python", "torch", "pillow")  # of those in manifests


def store_folders(chosen: argparse.Namespace) -> list[Path]:
    """The stores that a person named, by their path or their name in the artifacts folder; else all of that."""
    artifacts = artifacts_of(load(tasks.Config, Path(chosen.config)))
    found = [Path(name) if Path(name).is_dir() else artifacts.root / "stores" / name for name in chosen.folders]
    if absent := [name for name, folder in zip(chosen.folders, found, strict=True) if not folder.is_dir()]:
        raise ValueError(f"there is no store {', '.join(absent)}, nor one of that name in {artifacts.root / 'stores'}")
    return found or [folder for folder in stores_in(artifacts.root) if folder.is_dir()]


def list_stores(chosen: argparse.Namespace) -> int:
    """Print what the manifests of stores say."""
    rows = []
    for folder in store_folders(chosen):
        store = Store.open(folder)
        rows.append({"folder": str(folder), **(store.about() if store else {})})
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        name = printable(Path(row["folder"]).name)
        if "spec" not in row:
            print(f"{name}  does not say of what spec it is\n")
            continue
        held = f"{row['items']} {item_name(row['spec'])} in {shards(row['shards'])}, {decimal(row['size'])}"
        print(f"{name}  {held}" + f", {row['failures']} failed" * bool(row["failures"]))
        print(f"  {printable(spec_text(row['spec']))}")
        for made in row["made"]:
            print(f"  {printable(made_text(made))}")
        print()
    print("" if rows else "there are no stores\n", end="")
    return 0


def item_name(spec: dict) -> str:
    """What a person calls the items of a spec."""
    holds = getattr(getattr(tasks, str(spec.get("stage")), None), "holds", None)
    return holds[0] if holds else "items"


def spec_text(spec: dict) -> str:
    """A spec in a line: config fields without their sections, names of weights or the start of their digests."""
    names = {digest: name for name, (digest, _) in MODELS.items()}
    told = [(field.rpartition(".")[2], value) for field, value in spec.get("config", {}).items()]
    for part in ("outside", "inputs"):
        told += [(name, names.get(str(value), value)) for name, value in spec.get(part, {}).items()]
    known = ("stage", "config", "outside", "inputs", "after")
    told += [(name, value) for name, value in spec.items() if name not in known]
    return ", ".join(f"{name} {shortened(str(value))}" for name, value in told if value is not None)


def shortened(text: str) -> str:
    """A digest's first digits; any other text up to some length."""
    return text[:12] if re.fullmatch("[0-9a-f]{64}", text) else text[:60]


def made_text(made: dict) -> str:
    """Who made shards, when and how, in a line."""
    first, last = when(made["first"]), when(made["last"])
    how = f"made elsewhere, imported from {made['source']}" if made["source"] else "made"
    text = f"{how} {first}" + f" to {last}" * (first != last)
    for word, name in (("for", "experiment"), ("on", "host"), ("computed on", "computed"), ("by ffmpeg", "ffmpeg")):
        text += f" {word} {made[name]}" if made[name] else ""
    versions = made["versions"] if isinstance(made["versions"], dict) else {}
    return text + "".join(f", {name} {versions[name]}" for name in TOLD_VERSIONS if name in versions)


def verify_stores(chosen: argparse.Namespace) -> int:
    """Check stores, and say what is wrong with them."""
    from videocap.extract.shards.checks import check_shard, differs, measurer

    verdicts = verify.verify(store_folders(chosen), check_shard)
    verify.compare_copies(verdicts, measurer())
    if chosen.recompute:
        # a `how` field, in no key: the contract on values is a tolerance to fp32
        override = f"{chosen.override} encoder.precision=fp32 encoder.compile=false"
        experiment = tasks.Pipeline(config=chosen.config, override=override).experiment
        recompute(verdicts, experiment, chosen.recompute, differs, named=bool(chosen.folders))
    unproven = bool(chosen.recompute) and not any(verdict.recomputed for verdict in verdicts)
    if chosen.json:
        print(json.dumps([verdict.told() for verdict in verdicts], indent=1))
    else:
        for verdict in verdicts:
            checked = f"{verdict.items} items in {shards(verdict.shards)}, {decimal(verdict.size)}"
            again = f", {verdict.recomputed} recomputed" if chosen.recompute else ""
            print(f"{printable(verdict.folder.name)}: {'BAD' if verdict.problems else 'good'}: {checked}{again}")
            print("".join(f"  {printable(line)}\n" for line in verdict.problems + verdict.notes), end="")
        bad = sum(bool(verdict.problems) for verdict in verdicts)
        print(f"{bad} of {len(verdicts)} stores are bad" if bad else f"{len(verdicts)} stores are good")
        why = "nothing was recomputed: name by --config and --override the experiment that made a store"
        print(f"{why}\n" * unproven, end="")
    return 1 if unproven or any(verdict.problems for verdict in verdicts) else 0


def collect_garbage(chosen: argparse.Namespace) -> int:
    """List what nothing needs, with sizes, and delete it if so asked."""
    artifacts = artifacts_of(load(tasks.Config, Path(chosen.config)))
    failed = []
    with jobs.exclusive(artifacts) if chosen.delete else nullcontext():
        found = garbage.find(artifacts)
        table = Table(
            Column("place", overflow="fold"), "what", Column("size", justify="right"), box=None, pad_edge=False
        )
        for one in found:
            table.add_row(escape(one.place), escape(one.what), decimal(one.size))
            try:
                if chosen.delete:
                    one.delete()
            except OSError as error:
                failed.append(f"{one.place} can't be deleted: {error}")
    total = decimal(sum(one.size for one in found if not any(one.place in line for line in failed)))
    if found:
        Console().print(table)
    done = "deleted" if chosen.delete else "to be had by --delete"
    print(f"{total} {done} in {artifacts.root}" if found else f"nothing to delete in {artifacts.root}")
    print("\n".join(failed), file=sys.stderr, end="\n" * bool(failed))
    return 1 if failed else 0

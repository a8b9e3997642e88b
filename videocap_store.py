"""`videocap store …`: the commands on stores of features, and on the artifacts folder around them."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

import tasks
from extract.config import MODELS, NAME
from pipeline import garbage
from pipeline.artifacts import jobs
from pipeline.config import load
from pipeline.sharing import places, push_pull
from pipeline.stages.experiment import Experiment, artifacts_of
from pipeline.stages.pack import Pack
from pipeline.stages.stage import Stage
from pipeline.stores import imported, verify
from pipeline.stores.store import Store

TOLD_VERSIONS = ("clip4videocap", "python", "torch", "pillow")  # of those in manifests


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands to a parser's."""
    of_config = argparse.ArgumentParser(add_help=False)
    of_config.add_argument("--config", default=str(tasks.DEFAULT_CONFIG), help="the experiment, and its artifacts")
    of_stores = argparse.ArgumentParser(add_help=False, parents=[of_config])
    of_stores.add_argument("folders", nargs="*", metavar="STORE", help="a folder, or a name that ls tells; else all")
    of_stores.add_argument("--json", action="store_true", help="for programs")

    command = commands.add_parser("ls", parents=[of_stores], help="what stores there are, and who made them how")
    command.set_defaults(run=list_stores)
    command = commands.add_parser("verify", parents=[of_stores], help="check every shard; exit status 1 if one is bad")
    command.add_argument("--recompute", type=count, default=0, metavar="N", help="make N items of each again, too")
    command.add_argument("--override", default="", help="changes to the config, for --recompute")
    command.set_defaults(run=verify_stores)
    of_place = argparse.ArgumentParser(add_help=False, parents=[of_config])
    of_place.add_argument("place", metavar="URL", help="a folder, s3://bucket/folder, or what else fsspec opens")
    of_place.add_argument("--override", default="", help='changes to the config: "decode.frames=12"')
    of_place.add_argument("--stages", nargs="+", default=(), metavar="STAGE", help="by default all features")
    of_place.add_argument("--dry-run", action="store_true", help="only say what would travel")
    of_place.add_argument("--json", action="store_true", help="for programs")
    command = commands.add_parser(
        "push", parents=[of_place], help="copy features, or other results, to where others are"
    )
    command.set_defaults(run=share, pull=False)
    command = commands.add_parser("pull", parents=[of_place], help="copy from there what is lacking here, checked")
    command.set_defaults(run=share, pull=True)
    command = commands.add_parser("export", parents=[of_config], help="write features in the formats of other code")
    command.add_argument("folders", nargs=1, metavar="STORE", help="a folder, or a name that ls tells")
    command.add_argument("place", type=Path, metavar="PLACE", help="FILE.hdf5, or a folder for an .npy file a video")
    command.set_defaults(run=export_store)
    command = commands.add_parser("import", parents=[of_config], help="make a store of features that other code wrote")
    command.add_argument("source", type=Path, metavar="PLACE", help="an HDF5 file, or a folder of .npy files")
    command.add_argument("--name", required=True, help="what to call them, as data.features in a config")
    command.set_defaults(run=import_features)
    command = commands.add_parser("gc", parents=[of_config], help="list what no experiment and no running job needs")
    command.add_argument("--delete", action="store_true", help="delete it")
    command.set_defaults(run=collect_garbage)


def count(text: str) -> int:
    """A number on the command line; argparse tells a person of what is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of items")
    return int(text)


def store_folders(chosen: argparse.Namespace) -> list[Path]:
    """The stores that a person named, by their path or their name in the artifacts folder; else all of that."""
    artifacts = artifacts_of(load(tasks.Config, Path(chosen.config)))
    found = [Path(name) if Path(name).is_dir() else artifacts.root / "stores" / name for name in chosen.folders]
    if absent := [name for name, folder in zip(chosen.folders, found, strict=True) if not folder.is_dir()]:
        raise ValueError(f"there is no store {', '.join(absent)}, nor one of that name in {artifacts.root / 'stores'}")
    return found or [folder for folder in artifacts.stores() if folder.is_dir()]


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
    stage = getattr(tasks, str(spec.get("stage")), None)
    return stage.holds[0] if isinstance(stage, type) and issubclass(stage, Pack) else "items"


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


def shards(count: int) -> str:
    """That many, in words."""
    return f"{count} shard" + "s" * (count != 1)


def printable(text: str) -> str:
    """A text of a store, which may be a stranger's, without what a terminal would obey."""
    return text if text.isprintable() else repr(text)[1:-1]


def verify_stores(chosen: argparse.Namespace) -> int:
    """Check stores, and say what is wrong with them."""
    from extract.shards.checks import check_shard, differs, measurer

    verdicts = verify.verify(store_folders(chosen), check_shard)
    verify.compare_copies(verdicts, measurer())
    if chosen.recompute:
        # a `how` field, in no key: the contract on values is a tolerance to fp32
        override = f"{chosen.override} encoder.precision=fp32 encoder.compile=false"
        experiment = tasks.Pipeline(config=chosen.config, override=override).experiment
        verify.recompute(verdicts, experiment, chosen.recompute, differs, named=bool(chosen.folders))
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


def share(chosen: argparse.Namespace) -> int:
    """Push or pull, and say what travelled; what could not is named, and the rest goes on."""
    from extract.shards.checks import check_arrived

    config = load(tasks.Config, Path(chosen.config), chosen.override)
    experiment = Experiment(config, tasks.Report)
    there = places.place_of(chosen.place)
    if chosen.pull:
        found = push_pull.pull(experiment, chosen.stages, there, check_arrived, chosen.dry_run)
    else:
        found = push_pull.push(experiment, chosen.stages, there, chosen.dry_run)
    rows, kinds = [], {kind.__name__: kind for kind in experiment.order}
    for sent in found:
        rows.append(vars(sent))
        if not chosen.json and (sent.files or sent.there or not sent.problems):
            print(sent_text(sent, kinds[sent.stage], chosen.dry_run), flush=True)
        lines = [f"{sent.stage}: {line}" for line in sent.notes + sent.problems]
        print("".join(f"{printable(line)}\n" for line in lines), file=sys.stderr, end="", flush=True)
    print(json.dumps(rows, indent=1) + "\n" if chosen.json else "", end="")
    return 1 if any(row["problems"] for row in rows) else 0


def sent_text(sent: push_pull.Sent, stage: type[Stage], dry_run: bool) -> str:
    """What travelled of a stage, in a line."""
    packs = issubclass(stage, Pack)
    files = shards(sent.files) + f", {sent.items} {stage.holds[0]}" if packs else f"{sent.files} files"
    there = f"; there already: {shards(sent.there) if packs else 'the result'}" if sent.there else ""
    done = (
        f"{'to be copied' if dry_run else 'copied'}: {files}, {decimal(sent.size)}" if sent.files else "nothing to copy"
    )
    return f"{sent.stage}: {done}{there}"


def export_store(chosen: argparse.Namespace) -> int:
    """Write a store's features in the formats of other code."""
    from extract import open_store
    from extract.shards import exchange

    (folder,) = store_folders(chosen)
    store = open_store(folder)
    exchange.export(store, chosen.place)
    print(f"{len(store)} items of {folder.name} are in {chosen.place}")
    if store.superseded:
        print(f"{store.superseded} more are left out: other sources of the same ids, extracted before")
    return 0


def import_features(chosen: argparse.Namespace) -> int:
    """Make a store of features that other code wrote; what is bad is named, and the rest goes on."""
    from extract import open_store
    from extract.shards import exchange

    if not re.fullmatch(NAME, chosen.name):
        raise ValueError(f"--name {chosen.name!r}: letters, digits, '.', '_' and '-' only, the first a letter or digit")
    config = load(tasks.Config, Path(chosen.config))
    source = exchange.ForeignFeatures(chosen.source)
    store = imported.foreign_store(artifacts_of(config), chosen.name)
    there = open_store(store.folder) if store.manifests() else {}
    width = next(iter(there.values())).shape[1] if there else source.width()
    failed: list[str] = []
    items = exchange.read_items(source, width, failed)
    size = config.pipeline.shard_size
    new = imported.publish(store, items, exchange.write_shard, size, Path(chosen.source).name)
    print(f"{new} of {len(source.ids)} items are new in {store.folder}")
    print("".join(f"left out: {printable(line)}\n" for line in failed), file=sys.stderr, end="")
    print(f'to train on them: [data] features = "{chosen.name}" in place of `videos`')
    return 1 if failed else 0


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


def when(made: float | None) -> str:
    """A moment, as a person reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(made)) if made else ""

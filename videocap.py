"""The command line beside `luigi`. Thin: it calls functions of the packages."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

import tasks
import videocap_caption
import videocap_init
import videocap_store
from model.config import METRICS
from pipeline.config import ConfigError, load
from pipeline.run.ending import code_changed
from pipeline.stages import reasons
from pipeline.stages.experiment import artifacts_of
from pipeline.stages.pack import Pack
from pipeline.status import status, why
from videocap_store import printable, when


def parser() -> argparse.ArgumentParser:
    """The commands, each with the function that runs it as `run`."""
    parser = argparse.ArgumentParser(prog="videocap", description=__doc__)
    parser.add_argument("--version", action="version", version=f"clip4videocap {metadata.version('clip4videocap')}")
    commands = parser.add_subparsers(dest="command", required=True)
    of_experiment = argparse.ArgumentParser(add_help=False)
    of_experiment.add_argument("--config", default=str(tasks.DEFAULT_CONFIG), help="the experiment's config file")
    of_experiment.add_argument("--override", default="", help='changes to it: "train.epochs=3 fusion.block=conv1d"')
    of_experiment.add_argument("--json", action="store_true", help="for programs")

    videocap_init.add_command(commands)
    command = commands.add_parser("status", parents=[of_experiment], help="what a run would do, stage by stage")
    command.set_defaults(run=show_status)
    command = commands.add_parser("why", parents=[of_experiment], help="why a stage is stale, field by field")
    command.add_argument("stage", metavar="STAGE", help="as `status` calls it")
    command.set_defaults(run=show_why)
    videocap_caption.add_command(commands, [of_experiment])
    of_store = commands.add_parser("store", help="the stores of features, and the folder they are in")
    videocap_store.add_commands(of_store.add_subparsers(dest="of", required=True))
    command = commands.add_parser("compare", help="two experiments: scores, how sure they differ, and in which videos")
    command.add_argument("experiments", nargs=2, metavar="EXPERIMENT", help="a name in runs/, or a folder of results")
    command.add_argument(
        "--config", default=str(tasks.DEFAULT_CONFIG), help="the config that names the artifacts folder"
    )
    command.add_argument("--metric", choices=METRICS, default="CIDEr", help="by which videos differ")
    command.add_argument("--videos", type=videocap_store.count, default=10, help="how many of them to show")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=show_comparison)
    command = commands.add_parser("score", help="score any captions against references")
    command.add_argument(
        "captions",
        type=Path,
        help='JSON: [{"video_id": …, "caption": …}], {"result": such a list} or {video_id: caption}',
    )
    command.add_argument(
        "references", type=Path, help="JSON: {video_id: [caption, …]}, or annotations such as MSR-VTT's"
    )
    command.add_argument("--split", type=Path, nargs="+", default=(), help="lists of ids, as data.split (1k-A's, say)")
    command.add_argument("--protocol", choices=("coco", "v2c"), default="coco")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=show_scores)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen = parser().parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # captions may hold letters that a terminal can't show
    try:
        status = chosen.run(chosen)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as by `| head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python writes the rest, as it ends
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ConfigError, ValueError, RuntimeError, OSError) as error:
        print("\n".join(map(printable, str(error).split("\n"))), file=sys.stderr)  # it may quote a stranger's file
        return 2


def show_status(chosen: argparse.Namespace) -> int:
    """Print what a run would do."""
    root = tasks.Pipeline(config=chosen.config, override=chosen.override)
    experiment = root.experiment
    rows = status(experiment)
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table("stage", "state", "runs", "made", "size", Column("why", overflow="fold"), box=None, pad_edge=False)
    for row in rows:
        runs = "will" if row["will_run"] else "may" if row["may_run"] else "no"
        size = decimal(row["size"]) if row["size"] else ""
        table.add_row(
            row["stage"], row["state"], runs, when(row["made"]), size, escape(reasons.sentence(row["reasons"]))
        )
    Console().print(table)
    for kind in experiment.order:
        if issubclass(kind, Pack) and (ahead := kind.of(experiment).ahead()):
            print(f"ahead: {kind.__name__}: {kind.of(experiment).amount_text(ahead)}")
    for row in rows:
        print("".join(f"warning: {row['stage']}: {text}\n" for text in row["warnings"]), end="")
    print(code_changed(experiment), end="\n" * bool(code_changed(experiment)))
    print("Results:", root.folder if root.complete() else "not complete")
    return 0


def show_why(chosen: argparse.Namespace) -> int:
    """Print what has changed since a stage's nearest earlier result."""
    root = tasks.Pipeline(config=chosen.config, override=chosen.override)
    rows = {row["stage"]: row for row in status(root.experiment)}
    if chosen.stage not in rows:
        raise ValueError(f"this experiment has no stage {chosen.stage}; it has {', '.join(rows)}")
    row = rows[chosen.stage]
    kinds = {kind.__name__: kind for kind in root.experiment.order}
    stage = kinds[chosen.stage].of(root.experiment)
    nearest = stage.nearest() if row["may_run"] else None
    found = why(root.experiment, stage) if row["may_run"] else []
    if chosen.json:
        earlier = nearest and {"experiment": nearest.experiment, "made": nearest.created}
        print(json.dumps(row | {"reasons": found, "nearest": earlier}, indent=1))
        return 0
    runs = "will run" if row["will_run"] else "may run" if row["may_run"] else "does not run"
    print(f"{chosen.stage} is {row['state']} and {runs}.")
    if nearest:
        print(f"Against the nearest earlier result, of experiment {nearest.experiment}, {when(nearest.created)}:")
    show_reasons(found)
    return 0


def show_reasons(found: list[reasons.Reason], indent: str = "  ") -> None:
    """Print reasons, and under each what is behind it."""
    for reason in found:
        print(indent + reasons.text(reason))
        show_reasons(reason.get("because", []), indent + "  ")


def show_comparison(chosen: argparse.Namespace) -> int:
    """Print two experiments' scores, and their difference."""
    from model.scores.comparison import compare

    runs = artifacts_of(load(tasks.Config, Path(chosen.config))).root / "runs"
    folders = [runs / name if (runs / name).is_dir() else Path(name) for name in chosen.experiments]
    if absent := [name for name, folder in zip(chosen.experiments, folders, strict=True) if not folder.is_dir()]:
        there = ", ".join(sorted(path.name for path in runs.glob("[!.]*"))) or "none"
        raise ValueError(f"there is no experiment {', '.join(absent)} in {runs}; there are: {there}")
    found = compare(*folders, chosen.metric, chosen.videos)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return 0
    first, second = (printable(name) for name in chosen.experiments)
    print(f"{found['split']} split, {found['videos']} videos, protocol {found['protocol']}")
    numbers = [Column(title, justify="right") for title in ("first", "second", "difference", "95 % of draws")]
    table = Table("", *numbers, box=None, pad_edge=False)
    for kind, metrics in {"": found["metrics"], **found["aspects"]}.items():
        for metric, row in metrics.items():
            low, high = row["interval"]
            figures = [f"{row['first']:.4f}", f"{row['second']:.4f}", f"{row['difference']:+.4f}"]
            table.add_row(f"{kind} {metric}".strip(), *figures, f"{low:+.4f} … {high:+.4f}")
    console = Console()
    console.print(table)
    print(f"first: {first}; second: {second}. Draws are of videos: other training seeds may differ by more.")
    print(f"\nThe videos whose {chosen.metric} differs most:" if found["differ"] else "")
    for row in found["differ"]:
        print(printable(f"{row['video_id']}  {row['second'] - row['first']:+.3f}"))
        for score, caption in zip((row["first"], row["second"]), row["captions"], strict=True):
            print(printable(f"  {score:7.3f}  {caption}"))
    return 0


def show_scores(chosen: argparse.Namespace) -> int:
    """Print the scores of a captions file."""
    from extract.corpus.scored_files import load_captions, load_references
    from model.scores import metrics as scoring

    captions = load_captions(chosen.captions)
    references, notes = load_references(chosen.references, captions, chosen.split)
    print("".join(f"warning: {printable(note)}\n" for note in notes), end="", file=sys.stderr)
    scores = scoring.score(captions, references, chosen.protocol).corpus
    print(json.dumps(scores) if chosen.json else "\n".join(f"{name:<8} {value:.4f}" for name, value in scores.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

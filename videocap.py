"""The command line beside `luigi`. Thin: it calls functions of the packages."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

import tasks
import videocap_store
from pipeline import reasons
from pipeline.config import ConfigError
from pipeline.console import code_changed
from pipeline.pack import Pack
from pipeline.status import status, why
from videocap_store import printable, when


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="videocap", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_experiment = argparse.ArgumentParser(add_help=False)
    of_experiment.add_argument("--config", default=str(tasks.DEFAULT_CONFIG), help="the experiment's config file")
    of_experiment.add_argument("--override", default="", help='changes to it: "train.epochs=3 fusion.block=conv1d"')
    of_experiment.add_argument("--json", action="store_true", help="for programs")

    command = commands.add_parser("status", parents=[of_experiment], help="what a run would do, stage by stage")
    command.set_defaults(run=show_status)
    command = commands.add_parser("why", parents=[of_experiment], help="why a stage is stale, field by field")
    command.add_argument("stage", choices=[stage.__name__ for stage in tasks.STAGES], metavar="STAGE")
    command.set_defaults(run=show_why)
    of_store = commands.add_parser("store", help="the stores of features, and the folder they are in")
    videocap_store.add_commands(of_store.add_subparsers(dest="of", required=True))
    command = commands.add_parser("score", help="score any captions against references")
    command.add_argument("captions", type=Path, help='JSON: [{"video_id": …, "caption": …}]')
    command.add_argument("references", type=Path, help="JSON: {video_id: [caption, …]}, or an MSR-VTT file")
    command.add_argument("--protocol", choices=("coco", "v2c"), default="coco")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=show_scores)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
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


def show_scores(chosen: argparse.Namespace) -> int:
    """Print the scores of a captions file."""
    from extract.corpus import load_references
    from extract.table import load_json
    from model import scoring

    try:
        rows = [(row["video_id"], row["caption"]) for row in load_json(chosen.captions)]
        captions = dict(rows)
    except (KeyError, TypeError):
        rows, captions = [(None, None)], {}
    if len(captions) < len(rows) or not all(isinstance(text, str) for row in rows for text in row):
        raise ValueError(f'{chosen.captions}: is not a list of {{"video_id": …, "caption": …}}, each video once')
    scores = scoring.score(captions, load_references(chosen.references, captions), chosen.protocol).corpus
    print(json.dumps(scores) if chosen.json else "\n".join(f"{name:<8} {value:.4f}" for name, value in scores.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

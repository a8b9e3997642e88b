"""The command line beside `luigi`: `videocap status`, `videocap score`. Thin: it calls functions of the packages."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import tasks
from pipeline.config import ConfigError
from pipeline.status import status


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="videocap", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("status", help="per stage: fresh, stale or missing, and why")
    command.add_argument("--config", default=str(tasks.DEFAULT_CONFIG), help="the experiment's config file")
    command.add_argument("--override", default="", help='changes to it: "train.epochs=3 fusion.block=conv1d"')
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=show_status)
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
        print(error, file=sys.stderr)
        return 2


def show_status(chosen: argparse.Namespace) -> int:
    """Print what a run would do."""
    root = tasks.Pipeline(config=chosen.config, override=chosen.override)
    rows = status(root.experiment, root.stages())
    if chosen.json:
        print(json.dumps(rows, indent=1, default=str))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "state", "will run", "why", box=None, pad_edge=False)
    for row in rows:
        will = "yes" if row["will_run"] else "perhaps" if row["may_run"] else "no"
        table.add_row(row["stage"], row["state"], will, "; ".join(map(_reason, row["reasons"])))
    Console().print(table)
    print("Results:", root.experiment.artifacts.root / "runs" / root.name if root.complete() else "not complete")
    return 0


def _reason(reason: dict) -> str:
    if reason["what"] == "config":
        return f"{reason['field']}: {reason['old']} → {reason['new']}"
    if reason["what"] == "input" and reason["new"] is None:
        return f"waits for {reason['field']}"
    return f"{reason['field']} changed"


def show_scores(chosen: argparse.Namespace) -> int:
    """Print the scores of a captions file."""
    from extract.corpus import load_json, load_references
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

"""`videocap status` and `videocap why`: what a run would do, and why."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from videocap import tasks
from videocap.pipeline import words
from videocap.pipeline.stages.reasons import Reason
from videocap.pipeline.status import status, why
from videocap.words import when


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
        table.add_row(row["stage"], row["state"], runs, when(row["made"]), size, escape(words.reasons(row["reasons"])))
    Console().print(table)
    for row, stage in zip(rows, experiment.nodes(), strict=True):
        if row.get("ahead", {}).get("items"):
            print(f"ahead: {stage.name}: {words.amount(row['ahead'], stage.holds)}")
    for row in rows:
        print("".join(f"warning: {row['stage']}: {text}\n" for text in row["warnings"]), end="")
    changed = words.code_changed([row["stage"] for row in rows if row["code_changed"]])
    print(changed, end="\n" * bool(changed))
    print("Results:", root.folder if root.complete() else "not complete")
    return 0


def show_why(chosen: argparse.Namespace) -> int:
    """Print what has changed since a stage's nearest earlier result."""
    root = tasks.Pipeline(config=chosen.config, override=chosen.override)
    rows = {row["stage"]: row for row in status(root.experiment)}
    if chosen.stage not in rows:
        raise ValueError(f"this experiment has no stage {chosen.stage}; it has {', '.join(rows)}")
    row = rows[chosen.stage]
    stage = root.experiment.named(chosen.stage)
    nearest = stage.product.nearest() if row["may_run"] else None
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


def show_reasons(found: list[Reason], indent: str = "  ") -> None:
    """Print reasons, and under each what is behind it."""
    for reason in found:
        print(indent + words.reason(reason))
        show_reasons(reason.get("because", []), indent + "  ")

"""The paper's tables with this project's figures beside the paper's: rows from a TOML file, to Markdown and CSV."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from videocap.model.config import METRICS, Metric

Sections = dict[str, dict[str, Any]]


class Row(BaseModel):
    """One row: what it is called, the paper's figures in percent, and the experiment that stands beside them."""

    model_config = ConfigDict(extra="forbid", strict=True)
    label: str
    note: str | None = None
    """By what measure the paper's figures are, where that is another than of the other rows."""
    name: str | None = None
    """Of the experiment; a row without one only has the paper's figures."""
    paper: dict[Metric, float] = {}
    changes: Sections = {}
    """Fields of the config that the row changes, by section."""
    demo: Sections | None = None
    """The same where the encoder is the demo's own, if that differs."""

    def override(self, in_demo: bool) -> str:
        """The changes in the form of `--override`."""
        sections = self.demo if in_demo and self.demo is not None else self.changes
        # JSON's texts, numbers, booleans and lists are TOML's, too
        fields = [(f"{section}.{key}", value) for section, of in sections.items() for key, value in of.items()]
        return " ".join(f"{field}={json.dumps(value)}" for field, value in fields)


class Table(BaseModel):
    """A table of the paper."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: str
    rows: list[Row]

    @model_validator(mode="after")
    def _named(self) -> Table:
        names = [row.name for row in self.rows if row.name]
        if not names or len(set(names)) < len(names):
            raise ValueError("some row must have a `name`, and no two the same one")
        return self

    @classmethod
    def read(cls, file: Path) -> Table:
        """Raises ValueError, with the file and the place, for what is no table."""
        try:
            return cls.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        except ValidationError as error:
            lines = [f"{file}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise ValueError("\n".join(lines)) from None
        except (OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from None


Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""scores.json of every seed, by the row's name."""


def figures(found: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Each seed's figures in percent: the metrics, and in the demo what captions tell wholly right."""
    shown = {metric: [100 * scores[metric] for scores in found] for metric in METRICS}
    for half in found[0].get("told_right", {}):
        shown[f"all right, {half}"] = [100 * scores["told_right"][half]["all"] for scores in found]
    return shown


def markdown(table: Table, found: Found, data: str) -> str:
    """The table as Markdown: for each metric that the paper gives, ours (mean ± deviation over seeds) and the paper's.

    Args:
        found: at least one row's.
        data: what our figures were measured on.
    """
    first = next(iter(found.values()))[0]
    of = f"{data}, {first['videos']} videos of the {first['split']} split, protocol {first['protocol']}"
    shown = {name: figures(scores) for name, scores in found.items()}
    seeds = max(len(scores) for scores in found.values())
    compared = [metric for metric in METRICS if any(metric in row.paper for row in table.rows)]
    own = [column for column in next(iter(shown.values())) if column not in METRICS]
    columns = [title for metric in compared for title in (metric, "paper")] + own
    up_to = "up to " if any(len(scores) < seeds for scores in found.values()) else ""
    over = f"mean ± standard deviation of {up_to}{seeds} training seeds" if seeds > 1 else "one training seed"
    lines = [f"**{table.title}.** Ours: {of}; {over}. Paper: MSR-VTT. All in percent.", ""]
    lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for row in table.rows:
        ours = shown.get(row.name or "", {})
        cells = [text for m in compared for text in (_spread(ours.get(m)), _figure(row.paper.get(m)))]
        cells += [_spread(ours.get(column)) for column in own]
        label = f"{row.label} (paper: {row.note})" if row.note else row.label
        lines.append(f"| {label.replace('|', '/')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_csv(table: Table, found: Found) -> str:
    """The table as CSV, a line a row and metric: the paper's figure, our mean and deviation, and each seed's figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "metric", "paper", "mean", "deviation", "seeds"])
    for row in table.rows:
        ours = figures(found[row.name]) if row.name in found else {}
        for metric in dict.fromkeys([*row.paper, *ours]):
            values = ours.get(metric, [])
            spread = [mean(values), stdev(values) if len(values) > 1 else ""] if values else ["", ""]
            writer.writerow([row.label, metric, row.paper.get(metric, ""), *spread, " ".join(map(str, values))])
    return text.getvalue()


def _spread(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"

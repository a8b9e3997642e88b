"""Tables 3 to 5 of the paper on the demo's world: several worlds and training seeds, each row with its own rate.

    python benchmarks/toy_tables.py ARTIFACTS --table 4 [--override "train.distill_weight=0 aspects.use=[]"]
        [--worlds 3] [--seeds 3] [--rates 1e-3 2e-3 4e-3] [--at-once 2]

A world is seeded anew in everything: clips, small CLIP, training. Rows are those of configs/ablations; each is trained
with every rate in the first world, and takes the one with the best validation CIDEr. Then every row runs in every world
with every seed; nothing that lies in ARTIFACTS is made again. Printed are the mean and its 95 % interval over all
trainings (Student's), by how much a row is ahead of the first one in the same world with the same seed, and what
captions and aspects tell right.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from videocap.model.config import ASPECTS
from videocap.model.report.curves import read
from videocap.model.report.tables import Table

ROOT = Path(__file__).parents[1]
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
"""The 97.5 % quantiles by degrees of freedom, from 1 on."""


def run(artifacts: Path, name: str, override: str) -> Path:
    """Run an experiment of the demo, unless it is done; gives the folder of its results."""
    environment = {**os.environ, "VIDEOCAP_ARTIFACTS": str(artifacts), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "luigi", "--module", "tasks", "Pipeline"]
    command += ["--override", f"score.controls=[] experiment.name={name} {override}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    print(f"{name} is done", file=sys.stderr, flush=True)
    return artifacts / "runs" / name


def spread(values: list[float]) -> str:
    """Mean and the 95 % interval of it."""
    half = STUDENT[min(len(values) - 1, len(STUDENT)) - 1] * stdev(values) / sqrt(len(values)) if len(values) > 1 else 0
    return f"{mean(values):.2f} ({mean(values) - half:.2f} to {mean(values) + half:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("--table", type=int, default=4)
    parser.add_argument("--override", default="", help="changes in all rows")
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=(1e-3, 2e-3, 4e-3))
    parser.add_argument("--at-once", type=int, default=2, help="experiments")
    chosen = parser.parse_args()
    artifacts = chosen.artifacts.absolute()
    table = Table.read(ROOT / "configs" / "ablations" / f"table{chosen.table}.toml")
    rows = {row.name: row for row in table.rows if row.name}

    def experiment(name: str, rate: float, world: int, seed: int) -> Path:
        seeds = f"toyworld.seed={world} toyclip.seed={world} train.seed={seed} train.lr={rate}"
        called = f"t{chosen.table}-{name}-{rate:g}-w{world}-s{seed}"
        return run(artifacts, called, f"{chosen.override} {rows[name].override(True)} {seeds}")

    def every(wanted: Iterable[tuple]) -> list[Path]:
        with ThreadPoolExecutor(chosen.at_once) as pool:
            return list(pool.map(lambda one: experiment(*one), wanted))

    for world in range(chosen.worlds):  # what rows share is made once, before two processes want it
        experiment(next(iter(rows)), chosen.rates[0], world, 0)
    tried = [(name, rate, 0, 0) for name in rows for rate in chosen.rates]
    best: dict[str, tuple[float, float]] = {}
    for (name, rate, *_), folder in zip(tried, every(tried), strict=True):
        reached = max(row["val_cider"] for row in read(folder / "curves.csv"))
        best[name] = max(best.get(name, (0.0, rate)), (reached, rate))
    wanted = [(n, best[n][1], w, s) for n in rows for w in range(chosen.worlds) for s in range(chosen.seeds)]
    found: dict[str, list[dict]] = {name: [] for name in rows}
    for (name, *_), folder in zip(wanted, every(wanted), strict=True):
        found[name].append(json.loads((folder / "scores.json").read_text()))

    first = found[next(iter(rows))]
    halves = list(first[0]["told_right"])
    aspects = [
        aspect for aspect in ASPECTS if any(aspect in scores["aspects"] for of in found.values() for scores in of)
    ]
    columns = ["rate", "CIDEr", "ahead of the first", *(f"all right, {half}" for half in halves), *aspects]
    print(
        f"{table.title}; {chosen.worlds} worlds × {chosen.seeds} seeds{', ' * bool(chosen.override)}{chosen.override}"
    )
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, of in found.items():
        cells = [f"{best[name][1]:g}", spread([scores["CIDEr"] for scores in of])]
        ahead = [scores["CIDEr"] - other["CIDEr"] for scores, other in zip(of, first, strict=True)]
        cells.append("–" if of is first else spread(ahead))
        cells += [spread([scores["told_right"][half]["all"] for scores in of]) for half in halves]
        cells += [
            spread([scores["aspects"][aspect]["right"] for scores in of]) if aspect in of[0]["aspects"] else "–"
            for aspect in aspects
        ]
        print(f"| {rows[name].label} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

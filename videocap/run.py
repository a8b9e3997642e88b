"""`videocap run`: the whole pipeline of an experiment, by Luigi."""

from __future__ import annotations

import argparse
import sys

from luigi.cmdline import luigi_run


def run(chosen: argparse.Namespace) -> int:
    """Do as the `luigi` command does; the process ends with its exit status."""
    workers = [] if chosen.workers is None else ["--workers", str(chosen.workers)]
    arguments = ["--module", "videocap.tasks", "Pipeline", "--config", chosen.config, "--override", chosen.override]
    sys.argv[1:] = [*arguments, *workers, *chosen.further]  # where the run's own options are looked for
    luigi_run(sys.argv[1:])
    return 0

"""Runs the real `luigi` command in a process of its own, as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of the project
LUIGI = [sys.executable, "-m", "luigi", "--module", "tasks"]

# a demo that is small in everything but its stages
TINY = (
    "toyworld.clips=24 toyclip.steps=3 decode.frames=6 decoder.width=32 decoder.heads=2 decoder.inner=32 "
    "train.epochs=2 generate.beam=2 vocabulary.min_count=1 pipeline.shard_size=16 score.controls=[]"
)

# the user's own videos, in folders beside the config
FOLDER = """
[data]
kind = "folder"
videos = "videos"
annotations = "captions.csv"
[encoder]
weights = "clip.pt"
pixels = 64
[text_encoder]
weights = "clip.pt"
[aspects]
use = []
"""

# a captioner for these that is trained in a moment
SMALL = """
[vocabulary]
min_count = 1
[decoder]
width = 16
heads = 2
inner = 16
[train]
epochs = 1
[generate]
beam = 1
[pipeline]
shard_size = 8
"""


@dataclass
class Run:
    """What a finished command did."""

    status: int
    output: str
    artifacts: Path

    def outcome(self, stage: str) -> str:
        """What the last lines say of a stage: ran, reused, failed …"""
        found = re.search(rf"^  {stage} +(ran|reused|failed|not reached|not finished)", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def ran(self) -> set[str]:
        """The stages that ran."""
        return set(re.findall(r"^  (\w+) +ran ", self.output, re.MULTILINE))

    def result(self, name: str, experiment: str = "demo") -> bytes:
        return (self.artifacts / "runs" / experiment / name).read_bytes()

    def copied(self, artifacts: Path) -> Run:
        """The same run with a copy of its artifacts."""
        shutil.copytree(self.artifacts, artifacts, symlinks=True)
        return Run(self.status, self.output, artifacts)


def environment(artifacts: Path) -> dict[str, str]:
    return {**os.environ, "VIDEOCAP_ARTIFACTS": str(artifacts)}


def start(
    artifacts: Path,
    *arguments: str,
    output: int = subprocess.DEVNULL,
    cwd: Path | str | None = None,
    root: str = "Pipeline",
):
    """Start the pipeline, or another root task, in a process group of its own."""
    return subprocess.Popen(
        [*LUIGI, root, *arguments],
        env=environment(artifacts),
        cwd=cwd or artifacts.parent,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def luigi(
    artifacts: Path,
    *arguments: str,
    cwd: Path | str | None = None,
    when: tuple[str, Callable[[], None]] | None = None,
    timeout: float = 600,
    root: str = "Pipeline",
) -> Run:
    """Run the pipeline, or another root task, to its end; `when` a stage starts, call a function."""
    before = logs(artifacts)
    process = start(artifacts, *arguments, output=subprocess.PIPE, cwd=cwd, root=root)
    try:
        while when and process.poll() is None:
            if _started([when[0]], logs(artifacts) - before):
                when[1]()
                break
            time.sleep(0.005)
        output, _ = process.communicate(timeout=timeout)
    finally:
        kill(process)
    return Run(process.returncode, output, artifacts)


def logs(artifacts: Path) -> set[Path]:
    """The files of events, one of each run that did something."""
    return set(artifacts.glob("logs/*.jsonl"))


def kill(process: subprocess.Popen) -> None:
    """`kill -9` a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_once_in_each(
    stages: list[str], artifacts: Path, *arguments: str, timeout: float = 600, root: str = "Pipeline"
) -> None:
    """Start the pipeline again and again, and `kill -9` it with its children once in each stage.

    A stage that writes in parts is killed when the first part is there (a checkpoint, an unfinished shard), others
    at a random moment. Raises AssertionError for a stage that was not met.
    """
    left, chance, deadline = list(stages), random.Random(0), time.monotonic() + timeout
    while left and time.monotonic() < deadline:
        before = logs(artifacts)
        process = start(artifacts, *arguments, root=root)
        try:
            while process.poll() is None and (stage := _started(left, logs(artifacts) - before)) is None:
                time.sleep(0.005)
            if process.poll() is not None:
                break
            left.remove(stage)
            parts = {"Train": "scratch/Train-*/epoch-*.pt"}.get(stage, f"stores/{stage}-*/.*.h5")
            if stage == "Train" or stage.endswith("Shard"):
                while process.poll() is None and not any(artifacts.glob(parts)):
                    time.sleep(0.002)
            else:
                # some are over so soon that a later kill would hit another stage
                time.sleep(chance.random() * (0.01 if stage in ("Corpus", "Vocabulary", "Report") else 0.5))
        finally:
            kill(process)
    assert not left, f"not killed in {left}"


def _started(stages: list[str], logs: set[Path]) -> str | None:
    """The first of these stages that a log says has started."""
    lines = [line for log in logs for line in log.read_text().split("\n") if line.endswith("}")]
    events = [json.loads(line) for line in lines]
    return next((e["stage"] for e in events if e["event"] == "start" and e["stage"] in stages), None)


def status(artifacts: Path, *arguments: str) -> dict[str, dict]:
    """What `videocap status` says of each stage."""
    command = [sys.executable, "-m", "videocap", "status", "--json", *arguments]
    rows = json.loads(subprocess.check_output(command, env=environment(artifacts), cwd=artifacts.parent))
    return {row["stage"]: row for row in rows}


def foretold(rows: dict[str, dict]) -> tuple[set[str], set[str]]:
    """The stages that will run, and those that may."""
    will, may = ({stage for stage, row in rows.items() if row[name]} for name in ("will_run", "may_run"))
    assert will <= may
    return will, may

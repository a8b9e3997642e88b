"""Runs the real `luigi` command in a process of its own, as a user would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LUIGI = [sys.executable, "-m", "luigi", "--module", "tasks", "Pipeline"]

# a demo that is small in everything but its stages
TINY = (
    "toyworld.clips=24 toyclip.steps=3 decode.frames=6 decoder.width=32 decoder.heads=2 decoder.inner=32 "
    "train.epochs=2 generate.beam=2 vocabulary.min_count=1 pipeline.shard_size=16"
)


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


def environment(artifacts: Path) -> dict[str, str]:
    return {**os.environ, "VIDEOCAP_ARTIFACTS": str(artifacts)}


def luigi(artifacts: Path, *arguments: str, cwd: Path | str | None = None, timeout: float = 600) -> Run:
    """Run the pipeline to its end."""
    done = subprocess.run(
        [*LUIGI, *arguments],
        env=environment(artifacts),
        cwd=cwd or artifacts.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    return Run(done.returncode, done.stdout, artifacts)


def kill_in(stage: str, delay: float, artifacts: Path, *arguments: str, timeout: float = 300) -> bool:
    """Start the pipeline and `kill -9` it, with its children, `delay` seconds after a stage started.

    Returns:
        whether it was killed; False if it ended before the stage started.
    """
    before = set(artifacts.glob("logs/*"))
    process = subprocess.Popen(
        [*LUIGI, *arguments],
        env=environment(artifacts),
        cwd=artifacts.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    try:
        while process.poll() is None and time.monotonic() < deadline:
            for log in set(artifacts.glob("logs/*")) - before:
                events = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
                if any(event["event"] == "start" and event["stage"] == stage for event in events):
                    time.sleep(delay)
                    return True
            time.sleep(0.01)
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

"""`videocap run` does as the `luigi` command does, to its last lines and its status."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from runs import TINY, environment, kill, luigi

RUN = [sys.executable, "-m", "videocap", "run", "--override"]


def plain(output: str) -> str:
    """Without what differs between two runs: the time, and what a run is called."""
    return re.sub(r"\d\d:\d\d:\d\d|\d+\.\d s|\d{8}-\d{6}\S+|\d+ s left", "…", output)


def test_what_it_says_is_what_luigi_says(tiny, tmp_path):
    artifacts = tiny.copied(tmp_path / "artifacts").artifacts
    for override in (TINY, f"{TINY} encoder.device=cuda:9 decode.frames=5"):
        theirs = luigi(artifacts, "--override", override)
        options = {"env": environment(artifacts), "capture_output": True, "text": True, "check": False}
        ours = subprocess.run([*RUN, override], **options)
        assert ours.returncode == theirs.status
        assert plain(ours.stdout).splitlines()[-3:] == plain(theirs.output).splitlines()[-3:]


def test_options_of_luigi_are_handed_on(tmp_path):
    command = [*RUN, TINY, "--scheduler-host", "127.0.0.1", "--scheduler-port", "9", "--no-such-option"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unrecognized arguments: --no-such-option" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_same_command_goes_on(tiny, tmp_path, interrupts, number):
    artifacts = tiny.copied(tmp_path / "artifacts").artifacts
    override = f"{TINY} train.epochs=300 train.patience=300"
    options = {"env": environment(artifacts), "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*RUN, override], start_new_session=True, **options)
    try:
        deadline = time.monotonic() + 60
        while not any(artifacts.glob("scratch/Train-*/epoch-*.pt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=30)
    finally:
        kill(process)
    assert process.returncode == 128 + number, output
    by = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert output.splitlines()[-1] == f"Stopped by {by}. The same command goes on where this run stopped."

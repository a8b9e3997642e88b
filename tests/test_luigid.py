"""Several `luigi` processes on one real luigid and one artifacts folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi_runs import TINY, Run, kill, start

pytestmark = pytest.mark.slow


@pytest.fixture
def luigid(tmp_path) -> Iterator[list[str]]:
    """Arguments that let a luigi command use a luigid of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--address", "127.0.0.1", "--state-path", str(tmp_path / "state")]
    # as docs/design.md advises, so that a dead process's tasks go to others soon
    (tmp_path / "luigi.cfg").write_text(
        "[scheduler]\nretry_delay = 2\nworker_disconnect_delay = 5\nprune_on_get_work = true\n"
    )
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("luigid")), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=tmp_path,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield ["--scheduler-host", "127.0.0.1", "--scheduler-port", str(port)]
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


def finish(processes, artifacts: list[Path]) -> list[Run]:
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    runs = [Run(p.returncode, output, place) for p, output, place in zip(processes, outputs, artifacts, strict=True)]
    for run in runs:
        assert run.status == 0, run.output
    return runs


def computed(artifacts: Path, stage: str) -> list[int]:
    """The number of items of each shard that was computed."""
    events = [json.loads(line) for log in artifacts.glob("logs/*") for line in log.read_text().splitlines()]
    return [e.get("items", 1) for e in events if e["event"] == "ran" and e["stage"] == stage]


def test_two_users_with_different_configs_finish_and_share_what_is_the_same(luigid, tmp_path):
    artifacts = tmp_path / "artifacts"
    configs = ["experiment.name=one train.seed=1", "experiment.name=two train.seed=2 generate.beam=1"]
    both = [start(artifacts, *luigid, "--override", f"{TINY} {config}", output=subprocess.PIPE) for config in configs]
    runs = finish(both, [artifacts, artifacts])
    for stage in ("ToyWorld", "Corpus", "ToyClip", "Vocabulary"):
        assert len(computed(artifacts, stage)) == 1, stage
    for stage in ("DecodeShard", "EmbedFramesShard"):
        assert sum(computed(artifacts, stage)) == 24, stage
    for stage in ("Train", "Caption"):
        assert len(computed(artifacts, stage)) == 2, stage
    assert b"seed = 1" in runs[0].result("config.toml", "one")
    assert b"seed = 2" in runs[1].result("config.toml", "two")
    assert runs[0].result("model.safetensors", "one") != runs[1].result("model.safetensors", "two")


def test_two_users_with_folders_of_their_own_do_not_meet(luigid, tmp_path):
    places = [tmp_path / "one" / "artifacts", tmp_path / "two" / "artifacts"]
    for place in places:
        place.parent.mkdir()
    both = [start(place, *luigid, "--override", TINY, output=subprocess.PIPE) for place in places]
    for run in finish(both, places):
        assert {"Corpus", "DecodeShard", "EmbedFramesShard", "Train", "Report"} <= run.ran()


def test_one_that_is_killed_leaves_the_other_to_finish(luigid, tmp_path):
    artifacts = tmp_path / "artifacts"
    arguments = [*luigid, "--override", f"{TINY} toyworld.clips=60 pipeline.shard_size=4"]
    both = [start(artifacts, *arguments, output=subprocess.PIPE) for _ in range(2)]
    deadline = time.monotonic() + 120
    while not list(artifacts.glob("stores/DecodeShard-*/*.h5")) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill(both[0])
    finish(both[1:], [artifacts])


def test_a_run_that_fails_ends_at_once(luigid, tmp_path):
    artifacts = tmp_path / "artifacts"
    arguments = [*luigid, "--override", f"{TINY} encoder.device=cuda:9"]
    for _ in range(2):
        process = start(artifacts, *arguments, output=subprocess.PIPE)
        run = Run(0, process.communicate(timeout=120)[0], artifacts)
        assert process.returncode == 1
        assert run.outcome("EmbedFramesShard") == "failed"
    arguments = [*luigid, "--override", TINY]
    finish([start(artifacts, *arguments, output=subprocess.PIPE)], [artifacts])

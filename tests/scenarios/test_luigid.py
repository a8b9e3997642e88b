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
from runs import ROOT, TINY, Run, kill, start

pytestmark = pytest.mark.slow

SHIPPED = ROOT / "configs" / "luigid.cfg"


@pytest.fixture
def luigid(tmp_path) -> Iterator[list[str]]:
    """Arguments that let a luigi command use a luigid of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--address", "127.0.0.1", "--state-path", str(tmp_path / "state")]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("luigid")), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=tmp_path,
        env={**os.environ, "LUIGI_CONFIG_PATH": str(SHIPPED)},
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


def told(artifacts: Path, event: str, stage: str) -> list[dict]:
    """What all logs say of a stage."""
    events = [json.loads(line) for log in artifacts.glob("logs/*.jsonl") for line in log.read_text().splitlines()]
    return [e for e in events if e["event"] == event and e["stage"] == stage]


def computed(artifacts: Path, stage: str) -> list[int]:
    """The number of items of each shard that was computed."""
    return [event.get("items", 1) for event in told(artifacts, "ran", stage)]


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


def unfinished(process: subprocess.Popen, stage: str) -> list[Path]:
    """The unfinished shards of a stage that a process has open."""
    found = []
    with contextlib.suppress(OSError):  # it may end, or close them, meanwhile
        for handle in os.scandir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(Path(os.readlink(handle)))
    return [p for p in found if p.parent.name.startswith(f"{stage}-") and p.name.startswith(".") and p.suffix == ".h5"]


def stopped_in(stage: str, processes: list[subprocess.Popen]) -> tuple[subprocess.Popen, str]:
    """Stop one of the processes while it writes a shard of a stage; also returns the shard's key."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for process in processes:
            if unfinished(process, stage):
                os.killpg(process.pid, signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED)
                # it may have finished the shard just before it stopped
                for shard in unfinished(process, stage):
                    return process, shard.name[1:].split("-")[0]
                os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.001)
    raise AssertionError(f"no process was met in {stage}")


@pytest.mark.parametrize("stage", ["DecodeShard", "EmbedFramesShard"])
def test_three_share_an_extraction_and_two_finish_it_when_one_is_killed(luigid, tmp_path, stage):
    artifacts, clips = tmp_path / "artifacts", 48
    arguments = [*luigid, "--override", f"{TINY} toyworld.clips={clips} pipeline.shard_size=2"]
    processes = [start(artifacts, *arguments, output=subprocess.PIPE) for _ in range(3)]
    try:
        victim, key = stopped_in(stage, processes)
        died = time.time()
        kill(victim)
        finish([process for process in processes if process is not victim], [artifacts] * 2)
    finally:
        for process in processes:
            kill(process)

    tables = [json.loads(path.read_text()) for path in artifacts.glob("Corpus/*/*/videos.*.json")]
    wanted = sorted(source for table in tables for _, source in table)
    assert len(wanted) == clips
    shards, pids = {}, set()
    for pack in ("DecodeShard", "EmbedFramesShard"):
        made = [json.loads(path.read_text()) for path in artifacts.glob(f"stores/{pack}-*/[0-9a-f]*.json")]
        assert sorted(source for shard in made for source in shard["digests"]) == wanted  # all, and none twice
        assert sum(computed(artifacts, pack)) == clips
        shards |= {(pack, shard["key"]): shard for shard in made}
        pids |= {event["pid"] for event in told(artifacts, "ran", pack)}
    assert len(pids - {victim.pid}) == 2

    # what was in work where one died
    taken = shards[stage, key]
    assert not taken["provenance"]["process"].endswith(f"-{victim.pid}")
    waited = taken["created"] - taken["provenance"]["seconds"] - died
    print(f"{stage}: taken over after {waited:.1f} s")
    assert 0 < waited < 30


def test_a_run_that_fails_ends_at_once(luigid, tmp_path):
    artifacts = tmp_path / "artifacts"
    # the first of 48 packs that fail is handed out again before the last one has failed
    arguments = [*luigid, "--override", f"{TINY} toyworld.clips=48 pipeline.shard_size=1 encoder.device=cuda:9"]
    for times in (1, 2):
        process = start(artifacts, *arguments, output=subprocess.PIPE)
        run = Run(0, process.communicate(timeout=120)[0], artifacts)
        assert process.returncode == 1
        assert run.outcome("EmbedFramesShard") == "failed"
        assert len(told(artifacts, "failed", "EmbedFramesShard")) == 48 * times
    arguments = [*luigid, "--override", f"{TINY} toyworld.clips=48"]
    finish([start(artifacts, *arguments, output=subprocess.PIPE)], [artifacts])

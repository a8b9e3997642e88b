"""A team shares features: three artifacts folders, processes that push at once, kills, and a server of S3's API."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from places import FRAMES, add, experiment_in, rows_in, rows_of, store_in
from runs import FOLDER, ROOT, Run, environment, logs, luigi
from videos import synthetic
from weights import save_random

import videocap
from videocap import tasks
from videocap.extract.shards import writer
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.config import load
from videocap.pipeline.sharing import push_pull
from videocap.pipeline.sharing.address import place_of
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.store import Store

pytestmark = pytest.mark.slow

SMALL = """
[decode]
frames = 3
[decoder]
width = 32
heads = 2
inner = 32
[train]
epochs = 2
[generate]
beam = 2
[vocabulary]
min_count = 1
[pipeline]
shard_size = 3
"""
# what a process must not do is not there to be imported
IMPOSSIBLE = """
import sys
for name in ("features", "video.decode", "encoders.load"):
    sys.modules[f"videocap.extract.{name}"] = None
"""


class Person:
    """Somebody with videos, captions and an artifacts folder of their own, all under one config."""

    def __init__(self, folder: Path, clips: Path):
        self.folder, self.clips, self.artifacts = folder, clips, folder / "artifacts"
        (folder / "videos").mkdir(parents=True)
        (folder / "mine.toml").write_text(FOLDER.replace("pixels = 64", "pixels = 32") + SMALL)
        shutil.copy(clips / "clip.pt", folder)
        self.videos: list[str] = []

    def add(self, *names: str) -> None:
        """Copy clips, and caption them; every third is validated, every third tested."""
        self.videos += names
        rows = ["video,split,caption"]
        for name in self.videos:
            shutil.copy(self.clips / f"{name}.mp4", self.folder / "videos")
            split = ("train", "val", "test")[int(name, 36) % 3]
            rows += [f"{name},{split},clip {name} {verb}" for verb in ("moves", "turns")]
        (self.folder / "captions.csv").write_text("\n".join(rows))

    def run(self, *arguments: str) -> Run:
        return luigi(self.artifacts, "--config", str(self.folder / "mine.toml"), *arguments)

    def share(self, what: str, place: Path, *arguments: str) -> dict[str, dict]:
        """Push to a place or pull from it by the command; what came of each stage."""
        command = [sys.executable, "-m", "videocap", "store", what, str(place), "--json", *arguments]
        command += ["--config", str(self.folder / "mine.toml")]
        found = subprocess.run(command, env=environment(self.artifacts), capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr
        return {row["stage"]: row for row in json.loads(found.stdout)}

    def verify(self) -> str:
        """What is said of a good store."""
        command = [sys.executable, "-m", "videocap", "store", "verify", str(self.store().folder)]
        return subprocess.check_output(command, env=environment(self.artifacts), text=True)

    def store(self) -> Store:
        config = load(tasks.Config, self.folder / "mine.toml", f"pipeline.artifacts={self.artifacts}")
        return tasks.EmbedFramesShard.of(Experiment(config, tasks.Report)).store

    def computed(self) -> list[int]:
        """How many videos each shard of features had that was computed here."""
        events = [json.loads(line) for log in logs(self.artifacts) for line in log.read_text().splitlines()]
        return [event["items"] for event in events if (event["event"], event["stage"]) == ("ran", FRAMES)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Fourteen videos, called 0 to d, and weights."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(14):
        synthetic(folder / f"{number:x}.mp4", "-pix_fmt yuv420p", seconds=0.4 + number / 25, size="64x48")
    save_random(folder / "clip.pt", "tiny")
    return folder


def test_nobody_extracts_what_another_has_and_nothing_goes_stale(clips, tmp_path, monkeypatch):
    team = tmp_path / "team"
    alice, bob, carol = (Person(tmp_path / name, clips) for name in ("alice", "bob", "carol"))
    impossible = tmp_path / "impossible"
    impossible.mkdir()
    (impossible / "sitecustomize.py").write_text(IMPOSSIBLE)

    # Alice extracts seven videos and pushes
    alice.add(*"0123456")
    assert alice.run().status == 0
    assert sum(alice.computed()) == 7
    sent = alice.share("push", team)
    assert sent[FRAMES]["items"] == 7
    assert set(sent) == {FRAMES, "EmbedCaptionsShard"}  # and no frames

    # Bob, who has the same videos, pulls and trains at once, where nothing can be decoded or encoded
    bob.add(*"0123456")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(impossible))
        assert bob.run().status == 1
        assert bob.share("pull", team)[FRAMES]["items"] == 7
        run = bob.run()
    assert run.status == 0, run.output
    assert "warning: Report: the report shows no frames" in run.output  # it would decode a few videos, to show them
    assert {run.outcome(stage) for stage in ("DecodeShard", FRAMES, "EmbedCaptionsShard")} == {"reused"}
    assert bob.computed() == []
    assert run.result("model.safetensors") == (alice.artifacts / "runs/demo/model.safetensors").read_bytes()

    # he adds three of his own and pushes
    bob.add(*"789")
    assert bob.run().status == 0
    assert bob.computed() == [3]
    assert bob.share("push", team)[FRAMES]["files"] == 1

    # Carol has other videos, two of them Bob's, cut otherwise, and a machine that rounds otherwise
    carol.add(*"89abc")
    how = ("--override", "encoder.precision=bf16 pipeline.shard_size=2")
    assert carol.run(*how).status == 0
    assert sorted(carol.computed()) == [1, 2, 2]
    mine = rows_in(carol.store())
    trained = (carol.artifacts / "runs/demo/model.safetensors").read_bytes()
    carol.share("pull", team)
    merged = rows_in(carol.store())
    assert set(merged) == set("0123456789abc")
    assert {name: merged[name] for name in "abc"} == {name: mine[name] for name in "abc"}
    theirs = rows_in(bob.store())
    assert all(merged[name] in (mine[name], theirs[name]) for name in "89")
    assert "held by more than one shard: 2 items" in carol.verify()
    run = carol.run(*how)
    assert run.ran() == set()
    assert run.result("model.safetensors") == trained
    carol.share("push", team)

    # Alice gets it all, and her model stays; with Bob's and Carol's videos, and one that nobody had, that one is made
    before = alice.run()
    alice.share("pull", team)
    assert before.ran() == alice.run().ran() == set()
    alice.add(*"789abcd")
    computed = alice.computed()
    run = alice.run()
    assert run.status == 0, run.output
    assert sorted(alice.computed()) == sorted([*computed, 1])
    assert set(rows_in(alice.store())) == set("0123456789abcd")

    # her model travels, too
    dana = Person(tmp_path / "dana", clips)
    dana.add(*alice.videos)
    alice.share("push", team, "--stages", "Report")
    dana.share("pull", team, "--stages", "Report")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(impossible))
        run = dana.run()
    assert (run.status, run.ran()) == (0, set())
    hers, own = (
        (person.artifacts / "runs/demo/report.html").read_bytes().partition(b"How it was made")
        for person in (alice, dana)
    )
    assert own[0] == hers[0]
    assert str(dana.folder).encode() in own[2], "what differs from the defaults is her own: the videos' folder"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """S3's API by moto's server, for want of a better one; a bucket of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        place_of("s3://team").fs.mkdir("team")
        yield "s3://team"
    server.stop()


def test_a_bucket_is_pushed_to_and_pulled_from(bucket, tmp_path, monkeypatch, capsys):
    add(store_in(tmp_path / "alice"), [0, 1], failed=[2])
    large = {
        n: np.random.default_rng(n).normal(size=(9000, 512)).astype(np.float16) for n in range(3)
    }  # several blocks
    publish_rows(store_in(tmp_path / "alice"), large)

    def command(who: str, what: str, *arguments: str) -> str:
        monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / who))
        override = "encoder.weights=ViT-B/16 text_encoder.weights=ViT-B/16 encoder.pixels=224"
        options = ["--stages", FRAMES, "--override", override, *arguments]
        assert videocap.main(["store", what, f"{bucket}/a/team", *options]) == 0
        return capsys.readouterr().out

    assert "to be copied: 2 shards, 5 videos" in command("alice", "push", "--dry-run")
    assert "copied: 2 shards, 5 videos" in command("alice", "push")
    assert "nothing to copy; there already: 2 shards" in command("alice", "push")
    assert "copied: 2 shards, 5 videos" in command("bob", "pull")
    assert "nothing to copy; there already: 2 shards" in command("bob", "pull")
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))
    monkeypatch.delenv("VIDEOCAP_ARTIFACTS")
    there = place_of(f"{bucket}/a/team")
    path = next(name for name in there.fs.find(there.prefix) if name.endswith(".h5"))
    there.fs.pipe_file(path, there.fs.cat_file(path)[:-1] + b"\xff")
    (sent,) = push_pull.pull(experiment_in(tmp_path / "carol"), [FRAMES], there, check_arrived)
    assert sent.files == 1
    assert "sha256" in sent.problems[0]
    # a copy that fails leaves what is there
    good = there.fs.cat_file(path)
    for size in (10, 20 << 20):  # in one request, and in parts

        def pieces(size=size):
            yield bytes(size)
            raise OSError("the disk it comes from is gone")

        with pytest.raises(OSError, match="is gone"):
            there.write(path.removeprefix(there.prefix), pieces(), lambda path: None)
        assert there.fs.cat_file(path) == good
    gone = place_of("s3://nobodys/team")
    (sent,) = push_pull.push(experiment_in(tmp_path / "alice"), [FRAMES], gone)
    assert sent.problems[0].startswith("s3://nobodys/team/stores/")
    assert sent.problems[0].endswith("can't be written: The specified bucket does not exist")
    (sent,) = push_pull.pull(experiment_in(tmp_path / "carol"), [FRAMES], gone, check_arrived)
    assert sent.problems == ["there is nothing at s3://nobodys/team"]


def publish_rows(store: Store, arrays: dict[int, np.ndarray]) -> None:
    """Publish a shard of large items, each with a number."""
    items = [(f"large{number}", f"{number:064x}") for number in arrays]

    def write(path: Path, key: str) -> dict:
        info = writer.write(path, items=items, arrays=list(arrays.values()), times=None, spec=store.spec, key=key)
        digests = [digest for _, digest in items]
        return {"digests": digests, "failures": [], "content": info.content, "provenance": {}}

    store.publish_shard(items, 0, write, {"how": {}})


def push_all(folder: Path, url: str, start) -> list[str]:
    """Push when all processes are there to do so; what went wrong."""
    start.wait()
    return [line for sent in push_pull.push(experiment_in(folder), [FRAMES], place_of(url)) for line in sent.problems]


ROUNDS = {"folder": 30, "bucket": 5}


@pytest.mark.parametrize("kind", ROUNDS)
def test_two_who_push_at_once_and_one_who_pulls_meanwhile_see_whole_shards_only(kind, tmp_path, request):
    common, own = [[0, 1, 2], [3, 4]], {1: [[5, 6], [7]], 2: [[8], [9, 10]]}
    folders = {seed: tmp_path / str(seed) for seed in own}
    for seed, folder in folders.items():
        for numbers in common + own[seed]:
            add(store_in(folder), numbers, seed=seed)  # the same keys, with values of their own
    true = {(f"video{n}", rows_of(n, seed).tobytes()) for seed in own for pack in common + own[seed] for n in pack}
    processes = multiprocessing.get_context("spawn")
    with processes.Manager() as manager, processes.Pool(2) as pool:
        for number in range(ROUNDS[kind]):
            url = (
                str(tmp_path / f"team{number}") if kind == "folder" else f"{request.getfixturevalue('bucket')}/{number}"
            )
            start = manager.Barrier(3)
            pushes = [pool.apply_async(push_all, (folder, url, start)) for folder in folders.values()]
            start.wait()
            seen, pulls = 0, 0
            while not all(push.ready() for push in pushes) or not pulls:
                came = whole_shards_come(tmp_path / f"{number} {pulls}", url, true, nothing_yet=seen == 0)
                assert came >= seen  # nothing that was there goes
                seen, pulls = came, pulls + 1
            assert [push.get() for push in pushes] == [[], []]
            assert whole_shards_come(tmp_path / f"{number} all", url, true) == 11
            store = store_in(tmp_path / f"{number} all")
            assert len(store.index().rows) == 11
            payloads = {manifest["payload"] for manifest in store.manifests().values()}
            there = place_of(url).sizes(f"stores/{store.folder.name}")
            assert {name for name in there if name.endswith(".h5")} == payloads  # who came second left nothing


def whole_shards_come(folder: Path, url: str, true: set, nothing_yet: bool = False) -> int:
    """Pull into a new folder; how many items came, each of them true."""
    allowed = ("no shards of this spec", "there is no folder", "there is nothing at")
    for sent in push_pull.pull(experiment_in(folder), [FRAMES], place_of(url), check_arrived):
        assert all(nothing_yet and any(text in line for text in allowed) for line in sent.problems), sent
    rows = rows_in(store_in(folder))
    assert rows.items() <= true
    return len(rows)


def test_a_push_that_is_killed_is_finished_by_the_next(tmp_path):
    store = store_in(tmp_path / "alice")
    for number in range(12):
        array = np.random.default_rng(number).normal(size=(20_000, 512)).astype(np.float16)  # 20 MB
        publish_rows(store, {number: array})
    team, experiment = Folder(tmp_path / "team"), experiment_in(tmp_path / "alice")
    shown = team.root / "stores" / store.folder.name
    code = (
        "from pathlib import Path; from places import *; from videocap.pipeline.sharing.push_pull import push\n"
        "from videocap.pipeline.sharing.address import place_of\n"
        f"list(push(experiment_in(Path({str(tmp_path / 'alice')!r})), [FRAMES], place_of({str(team)!r})))"
    )
    kills = 0
    for _ in range(3):
        before = set(shown.glob("[0-9a-f]*.json"))
        place = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "helpers")}
        process = subprocess.Popen([sys.executable, "-c", code], env=place, start_new_session=True)
        while process.poll() is None and set(shown.glob("[0-9a-f]*.json")) == before:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
    assert kills
    seen = len(list(shown.glob("[0-9a-f]*.json")))
    (sent,) = push_pull.pull(experiment_in(tmp_path / "bob"), [FRAMES], team, check_arrived)
    assert (sent.files, sent.problems) == (seen, [])
    (sent,) = push_pull.push(experiment, [FRAMES], team)
    assert (sent.files, sent.there, sent.problems) == (12 - seen, seen, [])
    list(push_pull.pull(experiment_in(tmp_path / "bob"), [FRAMES], team, check_arrived))
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))

"""What runs again when: each scenario on real files, by the real command."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import SMALL, Run, environment, foretold, kill, luigi, start, status
from weights import save_random

from videocap import tasks
from videocap.extract.toy import world as toyworld
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment

pytestmark = pytest.mark.slow

CONFIG = (
    """
[experiment]
name = "mine"
[data]
kind = "folder"
videos = "videos"
annotations = "captions.jsonl"
[decode]
frames = 4
[encoder]
weights = "clip.pt"
pixels = 32
[text_encoder]
weights = "clip.pt"
"""
    + SMALL
)
AFTER_CAPTION = {"Score", "Report"}
AFTER_TRAIN = {"Caption", *AFTER_CAPTION}


class World:
    """A folder with 24 clips, their captions, a checkpoint, a config and an artifacts folder."""

    def __init__(self, folder: Path):
        self.folder, self.artifacts = folder, folder / "artifacts"
        self.config = folder / "mine.toml"
        self.captions = folder / "captions.jsonl"

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.captions.read_text().splitlines()]

    def write(self, rows: list[dict]) -> None:
        self.captions.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def arguments(self, override: str = "") -> tuple[str, ...]:
        return "--config", str(self.config), "--override", override

    def run(self, override: str = "") -> Run:
        """Run it; what ran must be what `videocap status` has foretold."""
        will, may = foretold(status(self.artifacts, *self.arguments(override)))
        run = luigi(self.artifacts, *self.arguments(override))
        assert run.status == 0, run.output
        assert will <= run.ran() <= may, (will, run.ran(), may)
        return run

    def shown(self, name: str) -> bytes:
        return (self.artifacts / "runs" / "mine" / name).read_bytes()

    def computed(self, stage: str) -> int:
        """Items that a kind of pack computed in the newest run."""
        log = max((self.artifacts / "logs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        events = [json.loads(line) for line in log.read_text().splitlines()]
        return sum(event["items"] for event in events if event["event"] == "ran" and event["stage"] == stage)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> World:
    """A world after one run."""
    folder = tmp_path_factory.mktemp("world")
    toyworld.render(folder, 24, 0)
    save_random(folder / "clip.pt", "tiny")
    world = World(folder)
    world.config.write_text(CONFIG)
    world.run()
    return world


@pytest.fixture
def moved(finished, tmp_path) -> World:
    """A copy of it, whose files no run has seen where they lie now."""
    shutil.copytree(finished.folder, tmp_path / "world", symlinks=True)
    return World(tmp_path / "world")


@pytest.fixture
def world(moved) -> World:
    """A copy of it, which has seen its files where they lie now."""
    config = load(tasks.Config, moved.config, f"pipeline.artifacts={moved.artifacts}")
    experiment = Experiment(config, tasks.Report)
    for stage in experiment.nodes():
        stage.recipe.digests(compute=True)
    return moved


def test_a_moved_folder_is_read_again_and_its_content_is_known(moved):
    assert moved.run().ran() == set()


def test_how_the_config_is_written_and_where_things_lie_does_not_matter(world):
    world.config.rename(world.folder / "other.toml")
    world.config = world.folder / "other.toml"
    sections = CONFIG.split("\n[")[1:]
    world.config.write_text(
        "# mine\n" + "\n".join("[" + section for section in reversed(sections)) + "\n[fusion]\nscales = 3\n"
    )
    assert world.run().ran() == set()
    world.artifacts.rename(world.folder / "moved")
    world.artifacts = world.folder / "moved"
    assert world.run().ran() == set()
    assert world.run().result("captions.json", "mine")


def test_touched_videos_make_nothing_stale(world):
    for video in (world.folder / "videos").iterdir():
        os.utime(video)
    assert world.run().ran() == set()


def test_only_videos_that_are_new_are_decoded_and_embedded(world):
    videos = world.folder / "videos"
    toyworld.render(world.folder / "more", 20, 1)
    new = sorted((world.folder / "more" / "videos").iterdir())[:4]
    rows = world.rows()
    train = sorted({row["video"] for row in rows if row["split"] == "train"})
    (videos / train[0]).unlink()
    shutil.copy(new[3], videos / train[1])
    for number, video in enumerate(new[:3]):
        shutil.copy(video, videos / f"new{number}.mp4")
        rows += [{**row, "video": f"new{number}.mp4"} for row in rows if row["video"] == train[2]]
    world.write(rows)
    run = world.run()
    assert world.computed("DecodeShard") == world.computed("EmbedFramesShard") == 4
    assert run.ran() >= {"Corpus", "FrameFeatures", "Train", *AFTER_TRAIN}
    assert "CaptionFeatures" not in run.ran(), "all captions were known"


def test_a_changed_train_caption_trains_again_and_a_test_caption_is_only_scored(world):
    rows = world.rows()
    next(row for row in rows if row["split"] == "test")["caption"] = "a thing that no one has said"
    world.write(rows)
    assert world.run().ran() == {"Corpus", "References", "Score", "Report"}
    next(row for row in rows if row["split"] == "train")["caption"] = "another thing that no one has said"
    world.write(rows)
    run = world.run()
    assert run.ran() >= {"Corpus", "EmbedCaptionsShard", "Vocabulary", "Train"}
    assert world.computed("EmbedCaptionsShard") == 1
    assert "EmbedFramesShard" not in run.ran()


def test_what_comes_out_the_same_ends_there(world):
    rows = world.rows()
    for row in rows:
        row["caption"] = f"  {row['caption']}  ".replace(" ", "  ")
    world.write(rows)
    assert world.run().ran() == {"Corpus"}
    world.run("aspects.use=[] vocabulary.min_count=2")
    counted = world.run("aspects.use=[] vocabulary.min_count=3").ran()
    assert counted == {"Vocabulary"}, "no word of the captions is that rare"


def test_a_to_b_and_back_runs_nothing_and_shows_a_again(world):
    first = world.run().result("captions.json", "mine")
    assert "Train" in world.run("train.seed=1").ran()
    again = world.run()
    assert again.ran() == set()
    assert again.result("captions.json", "mine") == first
    assert b"seed = 0" in again.result("config.toml", "mine")


def test_dropped_frames_are_decoded_again_only_when_they_are_needed(world):
    for file in (world.artifacts / "stores").glob("DecodeShard-*/*"):
        file.unlink() if file.is_file() else shutil.rmtree(file)
    assert world.run().ran() == set()
    save_random(world.folder / "other.pt", "tiny", seed=1)
    run = world.run(f"encoder.weights={world.folder / 'other.pt'}")
    assert world.computed("DecodeShard") == world.computed("EmbedFramesShard") == 24
    assert "EmbedCaptionsShard" not in run.ran()


def test_dropped_features_make_no_model_stale(world):
    shutil.rmtree(next((world.artifacts / "stores").glob("DecodeShard-*")))
    for file in (world.artifacts / "stores").glob("Embed*/*.h5"):
        file.unlink()
    assert world.run().ran() == set()
    assert world.run("score.protocol=v2c").ran() == {"References", *AFTER_CAPTION}
    run = world.run("generate.beam=2")
    assert world.computed("EmbedFramesShard") == 24
    assert "Train" not in run.ran()


STAGES = ["Corpus", "Vocabulary", "Train", "Caption", "References", "Score", "Report"]
# what needs a result that new captions don't need, or not if they come out the same
NEEDING = {
    "Vocabulary": "train.seed=1",
    "Caption": "score.protocol=v2c",
    "References": "score.controls=['one_frame']",
}


@pytest.mark.parametrize("harm", ["payload", "manifest", "half a file"])
def test_a_result_that_is_deleted_or_damaged_is_made_again_when_it_is_needed(world, harm):
    expected = world.shown("captions.json")
    places = {stage: next(world.artifacts.glob(f"{stage}/*/manifest.json")) for stage in STAGES}

    def payload(stage: str) -> Path:
        return places[stage].parent / json.loads(places[stage].read_text())["payload"]

    for number, stage in enumerate(STAGES, start=1):
        if harm == "payload":
            shutil.rmtree(payload(stage))
        elif harm == "manifest":
            places[stage].write_text("{")
        else:
            file = max(payload(stage).iterdir(), key=lambda path: path.stat().st_size)
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        world.run("generate.batch_size=3")
        world.run(f"generate.length_penalty=0.{number}")
        if stage in NEEDING:
            world.run(NEEDING[stage])
        world.run()
        assert world.shown("captions.json") == expected
        for made in STAGES[:number]:
            whole = Artifacts(world.artifacts).payload(made, places[made].parent.name)
            assert whole or made == stage == "Score", "which only a report needs that is made again, as the next one"


# of stores; of the last ones nothing is computed anew
ROWS = ["EmbedFramesShard-*/*.h5", "EmbedFramesShard-*/[0-9a-f]*.json", "EmbedFramesShard-*/store.json",
        "DecodeShard-*/[0-9a-f]*.json"]  # fmt: skip
RECORDS = ["*/gathers/*", "*/plans/*", "*/memo/*", "../sources/*", "../id.json"]


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_a_shard_or_record_that_is_deleted_or_damaged_stops_nobody(world, harm):
    expected = world.shown("captions.json")
    for number, pattern in enumerate(ROWS + RECORDS, start=1):
        files = list(world.artifacts.glob(f"stores/{pattern}"))
        assert files, pattern
        for file in files:
            file.unlink()
            if harm == "damaged" and file.suffix == ".json":
                file.write_text("{")
        world.run("generate.batch_size=3")
        assert world.shown("captions.json") == expected
        ran = world.run("decode.retry_failed=1").ran()
        assert ran <= {"DecodeShard", "EmbedFramesShard", "FrameFeatures"}
        if pattern in ROWS or pattern == RECORDS[-1]:
            assert "Train" in world.run(f"train.seed={number}").ran()


def test_features_that_go_while_a_run_counts_on_them_stop_it(world):
    def drop():
        next(world.artifacts.glob("stores/EmbedFramesShard-*/*.h5")).unlink()

    run = luigi(world.artifacts, *world.arguments("train.seed=1"), when=("Train", drop))
    if run.status:  # else it had read them
        assert "features have gone" in run.output
    world.run("train.seed=1")
    assert world.run("generate.beam=2 train.seed=1").ran() >= {"Caption"}
    assert json.loads(world.shown("scores.json"))["videos"] == len(
        {r["video"] for r in world.rows() if r["split"] == "test"}
    )


@pytest.mark.parametrize("text", ["[]", "[1]", '{"key": 1}', '{"x": [[1]]}', "null"])
def test_json_of_any_other_shape_is_as_good_as_none(world, text):
    places = ["stores/*/gathers/*", "stores/*/memo/*", "stores/*/plans/*", "stores/*/store.json", "sources/*"]
    for pattern in [*places, "stores/DecodeShard-*/[0-9a-f]*.json", "Vocabulary/*/manifest.json", "id.json"]:
        for file in world.artifacts.glob(pattern):
            file.write_text(text)
    (world.artifacts / "Train" / ("0" * 64)).mkdir()
    (world.artifacts / "Train" / ("0" * 64) / "manifest.json").write_text(
        json.dumps({"key": "0" * 64, "files": {}, "created": "now"})
    )
    assert "Train" in world.run("train.seed=1").ran()


@pytest.mark.parametrize("kind", ["DecodeShard", "EmbedFramesShard", "EmbedCaptionsShard"])
def test_a_shard_with_a_flipped_bit_is_named_and_what_to_do(world, kind):
    """A shard is never trusted: what reads it checks its digest."""
    for shard in world.artifacts.glob(f"stores/{kind}-*/*.h5"):
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
    save_random(world.folder / "other.pt", "tiny", seed=1)
    changed = f"encoder.weights={world.folder / 'other.pt'}" if kind == "DecodeShard" else "train.seed=1"
    run = luigi(world.artifacts, *world.arguments(changed))
    assert run.status == 1
    said = next(line for line in run.output.splitlines() if line.startswith("failed: "))
    assert re.search(r"^failed: \w+: /.*h5 is damaged .*; delete it, and the next run makes it anew; what was", said)
    for shard in world.artifacts.glob(f"stores/{kind}-*/*.h5"):
        shard.unlink()
    world.run(changed)


def test_moved_videos_whose_features_are_dropped_are_not_extracted_again_for_nobody(world):
    for file in [*world.artifacts.glob("stores/*/*.h5"), *world.artifacts.glob("Train/*/*/*")]:
        file.unlink()
    (world.folder / "videos").rename(world.folder / "moved")
    assert world.run(f"data.videos={world.folder / 'moved'}").ran() == set()


def test_what_is_ahead_is_told_and_a_disk_too_small_is_refused_before_anything_is_decoded(world):
    assert "DecodeShard 24 videos (144 frames, 442.4 kB)" in world.run("decode.frames=6").output
    huge = "decode.frames=4096 encoder.interpolation=bilinear"
    run = luigi(world.artifacts, *world.arguments(f"{huge} encoder.pixels=1024"))
    assert run.status == 1
    assert re.search(r"failed: FrameFeatures: up to 309.\d GB are to be written, and .* has .* free", run.output)
    assert "--override decode.keep=false" in run.output
    assert run.outcome("DecodeShard") == "not reached"


def test_garbage_is_what_no_experiment_and_no_running_job_needs(world):
    def gc(*arguments: str) -> str:
        command = [sys.executable, "-m", "videocap", "store", "gc", "--config", str(world.config), *arguments]
        return subprocess.check_output(command, env=environment(world.artifacts), text=True)

    assert "made for" not in gc("--delete")
    assert "nothing to delete" in gc()
    world.run("experiment.name=other train.seed=1")
    world.run("decode.frames=5 train.seed=2")
    world.run()
    listed = gc()
    assert listed.count("Train/") == 1, "of three models, two experiments show two"
    assert listed.count(" shards, 20") == 2, "decoded with 5 frames, and their features"
    assert gc() == listed, "nothing was deleted"
    job = start(world.artifacts, *world.arguments("decode.frames=5 train.seed=2 train.epochs=200"))
    try:
        deadline = time.monotonic() + 60
        while not list(world.artifacts.glob("scratch/Train-*/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "made for mine" in gc()
        assert " shards, 20" not in gc("--delete"), "the job reads these"
    finally:
        kill(job)
    assert " shards, 20" not in gc("--delete"), "it may go on"
    for note in world.artifacts.glob("scratch/jobs/*.json"):
        os.utime(note, (1, 1))
    assert gc("--delete").count(" shards, 20") == 2
    assert world.run().ran() == world.run("experiment.name=other train.seed=1").ran() == set()
    assert "EmbedFramesShard" in world.run("decode.frames=5 train.seed=2").ran()


def test_the_same_change_from_two_shells_at_once(world):
    both = [start(world.artifacts, *world.arguments("train.seed=5"), output=-1) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    runs = [Run(0, output, world.artifacts) for output in outputs]
    for stage in ("Train", "Caption", "Score", "Report"):
        assert sum(stage in run.ran() for run in runs) == 1, stage


def test_a_video_repaired_trains_again_and_retry_tries_only_those(world):
    videos = world.folder / "videos"
    victim = sorted({row["video"] for row in world.rows() if row["split"] == "train"})[0]
    whole = (videos / victim).read_bytes()
    (videos / victim).write_bytes(whole[: len(whole) // 2])
    broken = world.run()
    assert f"warning: FrameFeatures: {victim}:" in broken.output
    assert "Train" in broken.ran()
    tried = world.run("decode.retry_failed=1")
    assert world.computed("DecodeShard") == 1
    assert "Train" not in tried.ran(), "it failed again"
    (videos / victim).write_bytes(whole)
    assert world.run().ran() <= {"Corpus", "FrameFeatures", "CaptionFeatures"}, "all of it was known"


def test_a_retry_that_works_trains_again_and_until_then_every_run_names_what_failed(world, data):
    victim = sorted({row["video"] for row in world.rows() if row["split"] == "train"})[0]
    shutil.copy(data / "msrvtt" / "videos" / "video7010.mp4", world.folder / "videos" / victim)
    told = f"warning: FrameFeatures: {victim}: its frames have 320 x 240 pixels; 10000 are allowed"
    for change in ("", " train.seed=1"):
        run = world.run("decode.max_pixels=10000" + change)
        assert "Train" in run.ran()
        assert told in run.output
    tried = world.run("decode.retry_failed=1")
    assert world.computed("DecodeShard") == world.computed("EmbedFramesShard") == 1
    assert tried.ran() >= {"Train", *AFTER_TRAIN}
    assert re.search(r"^  FrameFeatures +ran .* 1 of 24 items are not held$", tried.output, re.MULTILINE)
    assert re.search(r"^  Train +ran .* FrameFeatures changed$", tried.output, re.MULTILINE)
    assert "warning: FrameFeatures" not in tried.output
    assert world.run().ran() == set(), "what works stays, without the retry"


def test_a_video_that_changes_while_it_is_read_stops_the_run_and_is_no_failure(world):
    # the last that is read: a pack is sorted by digest
    victim = max((world.folder / "videos").iterdir(), key=lambda path: hashlib.sha256(path.read_bytes()).digest())

    def change():
        with open(victim, "ab") as file:
            file.write(b"\0\0\0\x08free")  # a box that says nothing

    override = "decode.frames=3 pipeline.shard_size=100"
    run = luigi(world.artifacts, *world.arguments(override), when=("DecodeShard", change))
    assert run.status == 1
    failed = f"failed: DecodeShard: {victim} has changed since the corpus was read; run the same command again"
    assert run.output.splitlines()[-2] == failed
    assert "warning: FrameFeatures" not in run.output
    world.run(override)
    assert world.computed("DecodeShard") == 24
    manifests = [json.loads(path.read_text()) for path in world.artifacts.glob("stores/*Shard-*/[0-9a-f]*.json")]
    assert not any(manifest["failures"] for manifest in manifests)


def test_videos_of_any_name_and_behind_links_go_through_each_once(world):
    videos, elsewhere = world.folder / "videos", world.folder / "elsewhere"
    names = [
        "kitchen/clip.mp4", "garden/clip.mp4", "  two  blanks .mp4", "it's \"quoted\".mp4",
        "two\nlines.mp4", "100%d.mp4", "-i.mp4", "file:a,b;c.mp4", "back\\slash.mp4", "\x1b[31mred.mp4",
        "[1-3]*?#.mp4", "Überfall 日本.mp4",
    ]  # fmt: skip
    rows = world.rows()
    train = sorted({row["video"] for row in rows if row["split"] == "train"})
    renamed = dict(zip(train, [*names, "linked.mp4", "album/clip.mp4"], strict=False))
    for folder in (elsewhere, videos / "kitchen", videos / "garden"):
        folder.mkdir()
    for old, new in zip(train, names, strict=False):
        (videos / old).rename(videos / new)
    (videos / train[len(names)]).rename(elsewhere / "clip")
    (videos / train[len(names) + 1]).rename(elsewhere / "clip.mp4")
    (videos / "linked.mp4").symlink_to(elsewhere / "clip")
    (videos / "album").symlink_to(elsewhere)
    (videos / "kitchen" / "up").symlink_to(videos)
    (elsewhere / "back").symlink_to(videos)
    shutil.copy(videos / "linked.mp4", videos / os.fsdecode(b"latin\xe9.mp4"))
    with open(world.folder / "captions.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows({**row, "video": renamed.get(row["video"], row["video"])} for row in rows)
    world.artifacts = world.folder / "fresh"
    run = world.run(f"data.annotations={world.folder / 'captions.csv'} score.split=train")
    assert world.computed("DecodeShard") == 24
    assert "3 files left out" in run.output
    for left_out in ("album/back", "kitchen/up", "latin\N{REPLACEMENT CHARACTER}.mp4"):
        assert left_out in run.output
    captioned = [row["video_id"] for row in json.loads(world.shown("captions.json"))]
    assert captioned == sorted(renamed.get(name, name) for name in train)

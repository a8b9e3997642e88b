"""The likeliest mistakes of a new user: one clear line says what is wrong and what to do, and nothing done is lost.

By the real commands. Some are tested elsewhere:
- a typo in a key: test_demo (`test_a_config_mistake_is_refused_before_anything_runs`), commands/test_status
  (`test_status_names_what_is_missing_and_a_wrong_key`), pipeline/test_config;
- the name of a list that tells no split: corpus/test_splits; files that are no checkpoint: encoders/test_load;
- no room under a later stage: test_demo (`test_where_there_is_no_room_…`), and before anything is decoded:
  test_changes (`test_what_is_ahead_is_told_…`);
- results that one may only read: test_demo (`test_who_may_only_read_…`);
- two runs at once: test_changes (`test_the_same_change_from_two_shells_at_once`), on a luigid test_luigid;
- `kill -9` of all: test_demo (`test_killed_in_every_stage_…`); weights replaced meanwhile: test_real_clips.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import FOLDER, LUIGI, SMALL, Run, environment, kill, logs, luigi, start
from weights import random_resnet, save_random

import videocap
from videocap.extract.toy import world as toyworld

CONFIG = (
    FOLDER
    + """
[decode]
frames = 4
"""
    + SMALL
)
EXTRACTED = {"DecodeShard", "EmbedFramesShard", "EmbedCaptionsShard"}


class World:
    """A folder with 24 clips, their captions, a checkpoint, a config and an artifacts folder."""

    def __init__(self, folder: Path):
        self.folder, self.artifacts = folder, folder / "artifacts"
        self.config, self.captions = folder / "mine.toml", folder / "captions.csv"

    def command(self, override: str = "") -> list[str]:
        return [*LUIGI, "Pipeline", "--config", str(self.config), "--override", override]

    def run(self, override: str = "", before: tuple[str, ...] = (), **env: str) -> Run:
        """Run it by another command (`before`), with more in the environment."""
        done = subprocess.run(
            [*before, *self.command(override)],
            env=environment(self.artifacts) | env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Run(done.returncode, done.stdout, self.artifacts)

    def start(self, override: str, workers: int) -> subprocess.Popen:
        arguments = ("--config", str(self.config), "--override", override, "--workers", str(workers))
        self.earlier = logs(self.artifacts)
        return start(self.artifacts, *arguments, output=subprocess.PIPE)

    def edit(self, old: str, new: str) -> None:
        """Change the captions."""
        text = self.captions.read_text()
        assert old in text
        self.captions.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> World:
    """A world after one run."""
    folder = tmp_path_factory.mktemp("finished") / "world"
    folder.mkdir()
    toyworld.render(folder, 24, 0)
    rows = [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()]
    lines = [f"{row['video']},{row['split']},{row['caption']}\n" for row in rows]
    world = World(folder)
    world.captions.write_text("video,split,caption\n" + "".join(lines))
    world.config.write_text(CONFIG)
    save_random(folder / "clip.pt", "tiny ResNet")
    run = world.run()
    assert run.status == 0, run.output
    return world


@pytest.fixture
def world(finished, tmp_path) -> World:
    """A copy of it."""
    shutil.copytree(finished.folder, tmp_path / "world", symlinks=True)
    return World(tmp_path / "world")


@pytest.fixture
def barred() -> tuple[str, ...]:
    """What to run a command with that may read no file of mode 0: root may, unless it lays that power down."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root needs setpriv for this")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def failed(run: Run, stage: str, *says: str) -> None:
    """It ended with status 1, and the last lines name the stage, what is wrong, and that the same command goes on."""
    assert run.status == 1, run.output
    told = [line for line in run.output.splitlines() if line.startswith("failed: ")]
    assert len(told) == 1, run.output
    assert told[0] in run.output.splitlines()[-3:]
    for words in (f"failed: {stage}: ", *says):
        assert words in told[0]
    last = run.output.splitlines()[-1]
    assert re.fullmatch(r"Not done\. The same command goes on where this run stopped\. Its log: .*\.log", last)
    assert "Traceback" not in run.output


def goes_on(run: Run, *stages: str) -> None:
    """It ended well, and did not do again what these stages did."""
    assert run.status == 0, run.output
    assert not run.ran() & set(stages), run.output


# -- what is refused before anything runs

REFUSED = [
    ("--config absent.toml", "absent.toml: there is no such config file"),
    ("--config .", ".: can't be read: Is a directory"),
    ("data.annotations=captons.csv", "data.annotations: there is no file or folder {here}/captons.csv"),
    ("data.videos=vids", "data.videos: there is no file or folder {here}/vids"),
    ("data.videos=captions.csv", "data.videos: {here}/captions.csv is a file: name the folder of the videos"),
    ("encoder.weights=ViT-B-16.pt", "nor the file {here}/ViT-B-16.pt"),
    ("encoder.weights=ViT-B-16", "encoder.weights: is neither 'toyclip', nor a known model (RN50, "),
    ("encoder.weights=ViT-B-16", "did you mean ViT-B/16?"),
    ("score.split=valid", "score.split: should be 'train', 'val' or 'test' (it is 'valid')"),
    ("aspects.use=['intension']", "aspects.use: should be 'intention', 'effect' or 'attribute' (it is 'intension')"),
]


@pytest.mark.parametrize(("mistake", "says"), REFUSED)
def test_what_is_not_there_is_named_before_anything_runs(mistake, says, tmp_path, monkeypatch, capsys):
    here, config = tmp_path / "here", tmp_path / "there" / "mine.toml"
    for folder in (here, config.parent / "videos"):
        folder.mkdir(parents=True)
    for file in (here / "captions.csv", config.with_name("captions.csv"), config.with_name("clip.pt")):
        file.write_text("video,caption\n")
    config.write_text(CONFIG)
    monkeypatch.chdir(here)
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    arguments = mistake.split() if mistake.startswith("--") else ["--config", str(config), "--override", mistake]
    assert videocap.main(["status", *arguments]) == 2
    told = capsys.readouterr().err
    assert says.format(here=here) in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.slow
def test_a_missing_file_is_one_line_and_mended_nothing_runs_again(world):
    world.captions.rename(world.folder / "aside.csv")
    run = world.run()
    assert run.status == 2
    said = f"{world.config}: data.annotations: there is no file or folder {world.captions} (it is 'captions.csv')"
    assert run.output.splitlines() == [said]
    (world.folder / "aside.csv").rename(world.captions)
    again = world.run()
    assert again.status == 0
    assert again.ran() == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["captions.csv", "clip.pt", "videos", "mine.toml"])
def test_what_may_not_be_read_is_named(world, barred, name):
    path = world.folder / name
    mode = path.stat().st_mode
    path.chmod(0)
    run = world.run(before=barred)
    status = [*barred, sys.executable, "-m", "videocap", "status", "--config", str(world.config)]
    status = subprocess.run(status, env=environment(world.artifacts), capture_output=True, text=True, check=False)
    path.chmod(mode)
    assert run.status == status.returncode == 2
    assert len(run.output.splitlines()) <= 2, "weights may be named twice, for frames and for captions"
    for told in (run.output, status.stderr):
        assert f"{path}: can't be read: Permission denied" in told or f"{path} is not for you to read: see who" in told
    assert world.run().ran() == set()


# -- what only a stage can see


@pytest.mark.slow
def test_a_video_that_may_not_be_read_is_named_and_is_no_failure_of_the_video(world, barred):
    video = world.folder / "videos" / "clip0003.mp4"
    video.chmod(0)
    os.utime(video)
    failed(world.run(before=barred), "Corpus", f"{video} is not for you to read or write (Permission denied): see who")
    video.chmod(0o644)
    goes_on(world.run(), *EXTRACTED, "Train")


@pytest.mark.slow
def test_a_split_that_is_none_is_named_with_its_line(world):
    world.edit("clip0000.mp4,train", "clip0000.mp4,trian")
    failed(world.run(), "Corpus", f"{world.captions}, line 2: split 'trian' is none of train, training, val")
    world.edit("trian", "train")
    goes_on(world.run(), *EXTRACTED, "Train")


@pytest.mark.slow
def test_a_split_without_videos_is_named(world):
    world.edit(",test,", ",train,")
    run = world.run()
    assert run.status == 1, run.output
    told = "failed: References: the test split has no videos to score: choose another score.split"
    assert run.output.index(told) < run.output.index("Train: done"), "before anything is trained"
    assert told in run.output.splitlines()[-3:]
    assert "warning: Corpus: there are no test videos" in run.output
    goes_on(world.run("score.split=val"), *EXTRACTED, "Train")


def geometry(path: Path) -> None:
    save_random(path, "tiny")


def other(path: Path) -> None:
    torch.save(random_resnet(), path)


def page(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


def foreign(path: Path) -> None:
    torch.save({"vision_model.embeddings.class_embedding": torch.zeros(4)}, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "make", "says"),
    [
        ("encoder", geometry, "takes 32 pixels, not 64: set encoder.pixels=32"),
        ("text_encoder", other, "embeds no text: set text_encoder.weights to a CLIP"),
        (
            "encoder",
            page,
            "is not a checkpoint of an encoder: UnpicklingError: Weights only load failed; name",
        ),
        ("encoder", foreign, "format: it has no visual.layer1.0.conv1.weight; name another file or model in encoder."),
    ],
)
def test_weights_of_another_model_are_named_and_what_to_set(world, field, make, says):
    make(world.folder / "other.pt")
    stage = "EmbedFramesShard" if field == "encoder" else "EmbedCaptionsShard"
    failed(world.run(f"{field}.weights=other.pt"), stage, f"{world.folder / 'other.pt'} ", says)
    again = world.run()
    assert again.status == 0
    assert again.ran() == set()


@pytest.mark.slow
def test_weights_that_can_not_be_downloaded_are_named(world):
    offline = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "HOME": str(world.folder)}
    run = world.run("encoder.weights=ViT-B/16 encoder.pixels=224", **offline)
    says = "ViT-B/16 can't be downloaded (URLError: ", "run again with a network, or name a file of it in encoder."
    failed(run, "EmbedFramesShard", *says)
    assert run.outcome("DecodeShard") == "ran"


@pytest.mark.slow
def test_an_aspect_that_the_data_lacks_is_named(world):
    run = world.run("aspects.use=['effect']")
    says = "aspects.use asks for 'effect', but no training video has one: add them to the data", "or leave it out of"
    failed(run, "Vocabulary", *says)
    again = world.run()
    assert again.status == 0
    assert again.ran() == set()


@pytest.mark.slow
def test_no_room_while_videos_are_decoded_is_told_once_and_what_was_done_stays(world):
    run = world.run("decode.frames=5", before=("bash", "-c", 'ulimit -f 100; exec "$@"', "bash"))  # 100 KiB a file
    says = f"there is no room in {world.artifacts} (File too large): make some, or name another folder by VIDEOCAP_"
    failed(run, "DecodeShard", says)
    goes_on(world.run("decode.frames=5"), "Corpus", "EmbedCaptionsShard")


# -- memory


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_does_not_fit_into_memory_is_told_with_what_to_make_smaller(world, workers):
    limit = ("bash", "-c", 'ulimit -v 64000000; exec "$@" --workers ' + str(workers), "bash")
    run = world.run("decoder.inner=2000000000", before=limit)
    failed(
        run, "Train", "there is not enough memory (", "take a smaller train.batch_size, fewer --workers, or a machine"
    )
    goes_on(world.run(), *EXTRACTED)


@pytest.mark.slow
def test_a_worker_that_the_kernel_kills_is_named_and_the_next_run_goes_on(world):
    override = "train.epochs=25"
    process = world.start(override, workers=2)
    try:
        reach(process, world, "Train")
        os.kill(started(world)["Train"], signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    finally:
        kill(process)
    run = Run(process.returncode, output, world.artifacts)
    failed(run, "Train", "its process may have run out of memory: try smaller batches or fewer --workers")
    goes_on(world.run(override), *EXTRACTED, "Vocabulary", "References")


# -- Ctrl-C, and what Slurm or a shutdown sends


def started(world: World) -> dict[str, int]:
    """The process of each stage that has begun since `World.start`."""
    lines = [
        json.loads(line)
        for log in logs(world.artifacts) - world.earlier
        for line in log.read_text().split("\n")
        if line.endswith("}")
    ]
    return {line["stage"]: line["pid"] for line in lines if line["event"] == "start"}


def reach(process: subprocess.Popen, world: World, stage: str) -> None:
    """Wait until the stage is at work; of Train, until there is a checkpoint."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if stage in started(world) and (stage != "Train" or any(world.artifacts.glob("scratch/Train-*/epoch-*.pt"))):
            return
        time.sleep(0.005)
    raise AssertionError(f"{stage} was not reached")


def alive(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = subprocess.run(["ps", "-e", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    return [row[-1] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "workers", "whole_group", "number"),
    [
        ("DecodeShard", 1, True, signal.SIGINT),
        ("Train", 2, True, signal.SIGINT),
        ("Train", 1, False, signal.SIGTERM),
        ("Train", 2, True, signal.SIGTERM),
        ("Train", 2, False, signal.SIGTERM),
    ],
)
def test_a_signal_ends_all_at_once_and_the_same_command_goes_on(world, interrupts, stage, workers, whole_group, number):
    override = "train.epochs=25" if stage == "Train" else "decode.frames=5"
    process = world.start(override, workers)
    try:
        reach(process, world, stage)
        time.sleep(0.1)  # Python drops an interrupt that comes just while it forks, as for the second worker
        (os.killpg if whole_group else os.kill)(process.pid, number)  # a terminal interrupts all of a group
        output, _ = process.communicate(timeout=30)
        deadline = time.monotonic() + 5
        while alive(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert alive(process.pid) == []
    finally:
        kill(process)
    run = Run(process.returncode, output, world.artifacts)
    assert run.status == 128 + number, output
    by = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert output.splitlines()[-1] == f"Stopped by {by}. The same command goes on where this run stopped."
    assert "failed: " not in output, "nobody's fault"
    assert run.outcome(stage) == "not finished"
    again = luigi(world.artifacts, "--config", str(world.config), "--override", override)
    goes_on(again, "Corpus", "EmbedCaptionsShard", *(EXTRACTED if stage == "Train" else ()))

"""`videocap caption`: a trained captioner on a person's own videos, from the command line and from Python."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import FOLDER, TINY, Run, environment, luigi

import videocap
from videocap import caption, tasks
from videocap.captioner import CaptionedVideo, VideoCaptioner
from videocap.extract.shards import shard
from videocap.extract.video.sampler import SourceChanged
from videocap.model.captions.own_videos import make_rows, read_rows

# some steps more, for captions that differ between clips
SOME = TINY + " train.epochs=12 train.lr=0.01"


# -- what needs no trained model


def test_without_a_trained_model_the_command_that_trains_it_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    assert videocap.main(["caption", "clip.mp4", "--override", "train.epochs=3"]) == 2
    said = capsys.readouterr().err
    assert "no trained model" in said
    assert f"videocap run --config {tasks.DEFAULT_CONFIG} --override train.epochs=3" in said
    assert said.count("\n") == 1, "a clear sentence"
    assert not (tmp_path / "artifacts" / "stores").exists()


def test_with_imported_features_it_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "captions.csv").write_text("video,caption\na,a dog\n")
    (tmp_path / "clip.pt").touch()
    (tmp_path / "mine.toml").write_text(FOLDER.replace('videos = "videos"', 'features = "i3d"'))
    assert videocap.main(["caption", "clip.mp4", "--config", str(tmp_path / "mine.toml")]) == 2
    assert "data.features = 'i3d' were made by other code" in capsys.readouterr().err


def test_at_least_one_video_is_named(capsys):
    with pytest.raises(SystemExit):
        videocap.main(["caption", "--json"])
    assert "VIDEO" in capsys.readouterr().err


def test_long_lists_of_times_are_shortened():
    lines = caption.text(CaptionedVideo("a.mp4", "a dog", {"effect": "joy"}, tuple(range(20)), True))
    assert lines[:3] == ["a.mp4", "  a dog", "  effect: joy"]
    assert lines[3] == "  looked at 20 frames, at 0.00, 1.00, 2.00, 3.00, … 19.00 s, from the store"
    assert caption.text(CaptionedVideo("a.mp4", "a dog", {}, (0.0,)))[-1] == "  looked at 1 frame, at 0.00 s"


def test_of_videos_that_stop_a_shard_only_the_one_to_blame_is_left_out(tmp_path):
    calls = []

    def embed(path, *, items, part, videos):
        calls.append(len(items))
        path.touch()
        if any(digest == "b" for _, digest in items):
            raise SourceChanged("it has changed")
        if any(digest == "c" for _, digest in items):
            raise OSError(f"{videos / items[0][0]} can't be read")
        failed = [{"id": name, "digest": digest, "reason": "is empty"} for name, digest in items]
        return {"digests": [], "failures": failed}

    files = {name: tmp_path / f"{name}.mp4" for name in "abcd"}
    made, failed = make_rows(files, embed, 3)
    assert calls == [3, 1, 1, 1, 1]
    assert made == {}
    assert failed["a"] == failed["d"] == "is empty"
    assert failed["b"].startswith("has changed while it was read")
    assert failed["c"] == f"{tmp_path / 'c.mp4'} can't be read"


def test_a_damaged_or_missing_shard_is_told_and_its_videos_are_left_out(tmp_path):
    (tmp_path / "bad.h5").write_text("no shard")
    told = []
    assert read_rows({"a": tmp_path / "bad.h5", "b": tmp_path / "gone.h5"}, told.append) == {}
    assert len(told) == 2
    assert str(tmp_path / "bad.h5") in told[0]


# -- with one


@pytest.fixture(scope="module")
def demo(tiny, tmp_path_factory) -> Run:
    run = luigi(tiny.copied(tmp_path_factory.mktemp("caption") / "artifacts").artifacts, "--override", SOME)
    assert run.status == 0, run.output
    return run


@pytest.fixture
def artifacts(demo, monkeypatch) -> Path:
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(demo.artifacts))
    return demo.artifacts


@pytest.fixture
def hidden(demo, tmp_path, monkeypatch) -> Path:
    """A copy of the artifacts whose rows of frames are no rows, and whose decoded frames are gone."""
    copy = tmp_path / "hidden"
    shutil.copytree(demo.artifacts, copy, symlinks=True)
    poisoned = list(copy.glob("stores/EmbedFramesShard-*/*.h5"))
    assert poisoned
    for path in poisoned:
        path.chmod(0o644)
        path.write_bytes(b"poison")
    for path in copy.glob("stores/DecodeShard-*/*"):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(copy))
    return copy


def clips(artifacts: Path) -> dict[str, Path]:
    """The demo's clips, by id."""
    (folder,) = artifacts.glob("ToyWorld/*/*/videos")
    return {path.name: path for path in sorted(folder.iterdir())}


def said(artifacts: Path) -> dict[str, dict]:
    """What the stage Caption said of each clip of the test split."""
    rows = json.loads((artifacts / "runs" / "demo" / "captions.json").read_text())
    return {row.pop("video_id"): row for row in rows}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, but of those by which asking about the same again is quick."""
    found = [path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode) and path.parent.name != "memo"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def run(artifacts: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "videocap", "caption", *arguments, "--override", SOME]
    return subprocess.run(command, env=environment(artifacts), cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_known_videos_get_the_captions_of_the_pipeline_and_no_encoder_is_loaded(artifacts, monkeypatch):
    monkeypatch.setattr("videocap.extract.features.load_encoder", lambda *_: pytest.fail("an encoder was loaded"))
    expected, files, before = said(artifacts), clips(artifacts), listing(artifacts)
    found = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)([files[name] for name in expected])
    assert [{"caption": one.caption, **one.aspects} for one in found] == list(expected.values())
    assert len({one.caption for one in found}) > 1
    assert all(one.known and len(one.times) == 6 for one in found)
    assert listing(artifacts) == before


@pytest.mark.slow
def test_unknown_videos_get_the_same_captions_as_known_ones(artifacts, hidden, tmp_path):
    files = clips(artifacts)
    own = tmp_path / "own"
    own.mkdir()
    for name in said(artifacts):
        shutil.copy(files[name], own / f"my {name}")
    told, before = [], listing(hidden)
    found = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME, told.append)(own)
    assert [Path(one.video).name for one in found] == sorted(f"my {name}" for name in said(artifacts))
    assert [{"caption": one.caption, **one.aspects} for one in found] == list(said(artifacts).values())
    assert not any(one.known for one in found)
    assert told
    assert all("is damaged" in text for text in told)
    assert listing(hidden) == before


@pytest.mark.slow
def test_rows_that_are_made_are_those_that_the_store_would_hold(artifacts):
    captioner = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)
    index = tasks.EmbedFramesShard.of(captioner.experiment).store.index()
    digests = {name: digest for path in set(index.rows.values()) for name, digest in items(path)}
    files = {digests[name]: path for name, path in clips(artifacts).items()}
    known = read_rows({digest: index.rows[digest] for digest in files}, pytest.fail)
    made, failed = make_rows(files, captioner._embed, 10)
    assert not failed
    assert made.keys() == known.keys()
    for digest, rows in made.items():
        assert rows.times.tolist() == known[digest].times.tolist()
        np.testing.assert_allclose(rows.values, known[digest].values, rtol=1e-2, atol=1e-2)


def items(path: Path) -> list[tuple[str, str]]:
    held = shard.read(path)
    return list(zip(held.ids, held.digests, strict=True))


@pytest.mark.slow
def test_the_command_captions_files_and_folders_and_names_what_is_bad(artifacts, tmp_path):
    expected, files = said(artifacts), clips(artifacts)
    name = next(iter(expected))
    folder = tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    shutil.copy(files[name], folder / "in" / "b.mp4")
    whole = files[name].read_bytes()
    (folder / "a.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "c.mp4").write_text("no video")
    os.mkfifo(tmp_path / "pipe.mp4")
    shutil.copy(files[name], tmp_path / "upload")
    too_long = "x" * 300
    arguments = ("folder", "upload", "gone.mp4", too_long, "pipe.mp4", "empty")
    done = run(artifacts, *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    order = ["folder/a.mp4", "folder/in/b.mp4", "folder/c.mp4"]
    assert sorted(row["video"] for row in found[:3]) == sorted(order)
    assert [row["video"] for row in found[3:]] == list(arguments[1:])
    rows = {row["video"]: row for row in found}
    for video in ("folder/in/b.mp4", "upload"):
        told = {source: text for source, text in rows[video].items() if source in expected[name]}
        assert told == expected[name]
        assert rows[video]["known"] is True
        assert len(rows[video]["times"]) == 6
    bad = {"folder/a.mp4", "folder/c.mp4", "gone.mp4", too_long, "pipe.mp4", "empty"}
    assert {video for video, row in rows.items() if row.keys() == {"video", "error"}} == bad
    assert {line.partition(": ")[0] for line in done.stderr.splitlines()} == bad
    assert rows["empty"]["error"] == "is a folder without videos"
    assert "No such file" in rows["gone.mp4"]["error"]
    assert "regular file" in rows["pipe.mp4"]["error"]

    done = run(artifacts, "upload", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["upload", f"  {expected[name]['caption']}"]
    assert f"  effect: {expected[name]['effect']}" in lines
    assert lines[-1].startswith("  looked at 6 frames, at ")
    assert lines[-1].endswith(" s, from the store")


@pytest.mark.slow
def test_the_frames_that_it_looked_at_can_be_looked_at(artifacts, tmp_path):
    first, second = list(clips(artifacts).values())[:2]
    other = tmp_path / "other" / first.name
    other.parent.mkdir()
    shutil.copy(second, other)
    done = run(artifacts, str(first), str(other), "--frames", str(tmp_path / "seen"), "--json")
    assert done.returncode == 0, done.stderr
    places = [Path(one["frames"]) for one in json.loads(done.stdout)]
    assert places == [tmp_path / "seen" / f"{first.stem}.jpg", tmp_path / "seen" / f"{first.stem}-1.jpg"]
    pictures = [Image.open(place) for place in places]
    assert {picture.size for picture in pictures} == {(6 * 96, 96)}
    assert pictures[0].tobytes() != pictures[1].tobytes()
    done = run(artifacts, str(first), "--frames", str(tmp_path / "seen"))
    assert f"these are in {places[0]}" in done.stdout


@pytest.mark.slow
def test_limits_of_decoding_hold_for_own_videos_too(artifacts, tmp_path):
    whole = next(iter(clips(artifacts).values())).read_bytes()
    (tmp_path / "own.mp4").write_bytes(whole + b"\0\0\0\x08free")  # the same frames, another digest
    (fine,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)(tmp_path / "own.mp4")
    assert fine.caption
    assert not fine.known
    (large,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME + " decode.max_pixels=100")([str(tmp_path / "own.mp4")])
    assert large.caption is None
    assert "pixels" in large.error
    (slow,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME + " decode.timeout=0.001")(tmp_path / "own.mp4")
    assert "longer than" in slow.error

"""`videocap caption`: a trained captioner on a person's own videos, from the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from captioned import SOME, clips, said
from PIL import Image
from runs import FOLDER, environment

import videocap
from videocap import tasks

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


# -- with one


def run(artifacts: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "videocap", "caption", *arguments, "--override", SOME]
    return subprocess.run(command, env=environment(artifacts), cwd=cwd, capture_output=True, text=True, check=False)


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
    assert f"these are in {tmp_path / 'seen' / first.stem}-2.jpg" in done.stdout, "nothing is written over"

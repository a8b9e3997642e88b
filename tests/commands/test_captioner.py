"""`VideoCaptioner`: known and unknown videos get the captions of the pipeline, within its limits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from captioned import SOME, clips, listing, said
from runs import environment, luigi

from videocap import tasks
from videocap.captioner import VideoCaptioner
from videocap.extract.shards import shard
from videocap.model.captions import own_videos
from videocap.model.captions.own_videos import make_rows, read_rows
from videocap.model.config import ASPECTS


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


@pytest.mark.slow
def test_known_videos_get_the_captions_of_the_pipeline_and_no_encoder_is_loaded(artifacts, monkeypatch):
    monkeypatch.setattr(own_videos, "load_encoder", lambda *_: pytest.fail("an encoder was loaded"))
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
    index = captioner._store
    digests = {name: digest for path in set(index.rows.values()) for name, digest in items(path)}
    files = {path: digests[name] for name, path in clips(artifacts).items()}
    known = read_rows({digest: index.rows[digest] for digest in files.values()}, pytest.fail)
    by_clip = make_rows(list(files), captioner._embed, captioner.decode, captioner.encoder, lambda *_: None)
    made = {clip.file: rows for clip, rows in by_clip}
    assert list(made) == list(files)
    for file, rows in made.items():
        assert rows.times.tolist() == known[files[file]].times.tolist()
        np.testing.assert_allclose(rows.values, known[files[file]].values, rtol=1e-2, atol=1e-2)


def items(path: Path) -> list[tuple[str, str]]:
    held = shard.read(path)
    return list(zip(held.ids, held.digests, strict=True))


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


# -- a captioner that has left its artifacts


def told(done: subprocess.CompletedProcess) -> list[dict]:
    """What a command told of clips, without where they lie and whether they were known."""
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [{name: text for name, text in row.items() if name in ("caption", *ASPECTS)} for row in rows]


@pytest.fixture
def folder(artifacts, tmp_path) -> Path:
    """The captioner of the demo, in a folder with spaces."""
    place = tmp_path / "to a friend" / "my captioner"
    command = [sys.executable, "-m", "videocap", "export-model", str(place), "--override", SOME]
    done = subprocess.run(command, env=environment(artifacts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(place) in done.stdout
    return place


@pytest.mark.slow
def test_a_folder_is_all_that_a_friend_needs(artifacts, folder, tmp_path):
    expected, files = said(artifacts), clips(artifacts)
    home = tmp_path / "home"
    home.mkdir()
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    command = [sys.executable, "-m", "videocap", "caption", "--model", str(folder), "--format", "jsonl"]
    command += [str(files[name]) for name in expected]
    done = subprocess.run(command, cwd=home, env=keep | {"HOME": str(home)}, capture_output=True, text=True)
    assert told(done) == list(expected.values())
    assert not list(home.iterdir()), "nothing is left beside the user's files"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "encoder.safetensors",
        "model.safetensors",
        "vocabulary.json",
    ]
    card = (folder / "README.md").read_text()
    scores = json.loads((artifacts / "runs" / "demo" / "scores.json").read_text())
    front = yaml.safe_load(card.split("---")[1])
    (result,) = front["model-index"][0]["results"]
    assert {one["name"]: one["value"] for one in result["metrics"]}["CIDEr"] == round(scores["CIDEr"], 4)
    assert (front["library_name"], front["license"]) == ("clip4videocap", "unknown")
    for line in ("| train | 18 |", "nearest training videos", "Unknown: its makers have not said"):
        assert line in card


@pytest.mark.slow
def test_what_is_saved_again_is_the_same_folder(folder, tmp_path):
    captioner = VideoCaptioner.from_pretrained(folder)
    captioner.save_pretrained(tmp_path / "again")
    for path in folder.iterdir():
        if path.name != "README.md":  # which has the folder's name, and scores
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="again is there already"):
        captioner.save_pretrained(tmp_path / "again")


@pytest.mark.slow
def test_captioners_that_write_together_travel_together(demo, tmp_path, monkeypatch):
    artifacts = demo.copied(tmp_path / "artifacts").artifacts
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(artifacts))
    both = SOME + ' train.seed=1 experiment.name=both experiment.license=mit generate.models=["demo"]'
    run = luigi(artifacts, "--override", both)
    assert run.status == 0, run.output
    expected = {row.pop("video_id"): row for row in json.loads(run.result("captions.json", "both"))}
    assert list(expected.values()) != list(said(artifacts).values())
    place = tmp_path / "both"
    VideoCaptioner(tasks.DEFAULT_CONFIG, both).save_pretrained(place)
    assert {path.name for path in place.glob("model*")} == {"model.safetensors", "model-2.safetensors"}
    assert "2 such networks write together" in (place / "README.md").read_text()
    shutil.rmtree(artifacts / "Train")
    shutil.rmtree(artifacts / "Model")
    files = clips(artifacts)
    found = VideoCaptioner.from_pretrained(place)([files[name] for name in expected])
    assert [{"caption": one.caption, **one.aspects} for one in found] == list(expected.values())


@pytest.mark.slow
def test_an_experiment_shows_its_model_whatever_became_of_its_config_and_videos(artifacts, tmp_path):
    expected, files, remarks = said(artifacts), clips(artifacts), []
    some = [files[name] for name in expected]

    def found(*arguments) -> list[dict]:
        remarks.clear()
        captioned = VideoCaptioner(*arguments, warn=remarks.append)(some)
        return [{"caption": one.caption, **one.aspects} for one in captioned]

    assert found(tasks.DEFAULT_CONFIG, SOME) == list(expected.values())
    assert remarks == []
    assert found(tasks.DEFAULT_CONFIG, SOME + " train.seed=7") == list(expected.values())
    (remark,) = remarks
    assert remark.startswith("the model is of an earlier state of demo: train.seed: 0 → 7 (videocap why Train")
    (tmp_path / "mine.toml").write_text('[data]\nkind = "folder"\nvideos = "gone"\nannotations = "gone.csv"\n')
    assert found(tmp_path / "mine.toml") == list(expected.values())
    (remark,) = remarks
    assert "the config can't be read" in remark
    assert "there is no file or folder" in remark
    assert found(tasks.DEFAULT_CONFIG, SOME + " generate.beam=1") != list(expected.values())


@pytest.mark.slow
def test_a_captioner_that_was_pulled_needs_no_config_and_no_videos(artifacts, tmp_path):
    def videocap(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "videocap", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment(artifacts), capture_output=True, text=True)

    team, pulled = tmp_path / "team", tmp_path / "pulled"
    pushed = videocap("store", "push", str(team), "--stages", "Report", "--override", SOME)
    assert pushed.returncode == 0, pushed.stderr
    other = videocap("pull-model", str(team), str(pulled), "--experiment", "other")
    assert "no captioner 'other': name one of demo" in other.stderr
    done = videocap("pull-model", str(team), str(pulled))
    assert done.returncode == 0, done.stderr
    assert "nearest training videos" in (pulled / "README.md").read_text()
    expected, files = said(artifacts), clips(artifacts)
    some = [str(files[name]) for name in expected]
    assert told(videocap("caption", "--model", "pulled", "--format", "jsonl", *some)) == list(expected.values())
    (report,) = team.glob("Report/*/*/model.safetensors")
    report.write_bytes(report.read_bytes()[:-1] + b"x")
    harmed = videocap("pull-model", str(team), str(tmp_path / "harmed"))
    assert harmed.returncode == 2
    assert "sha256" in harmed.stderr
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_long_videos_are_captioned_part_by_part_and_several_captions_can_be_asked_for(folder, artifacts, tmp_path):
    captioner = VideoCaptioner.from_pretrained(folder)
    file = next(iter(clips(artifacts).values()))
    captioner.write_by(beam=4)
    parts = captioner(file, every=1.0, nbest=3)
    assert len(parts) >= 2
    assert [one.span[0] for one in parts] == [float(n) for n in range(len(parts))]
    assert all(one.part and len(one.nbest) == 3 for one in parts)
    for one in parts:
        chances = [chance for _, chance in one.nbest]
        assert one.nbest[0][0] == one.caption
        assert all(chance < 0 for chance in chances)
        assert all(one.span[0] <= time < one.span[1] for time in one.times)
    (whole,) = captioner(file)
    assert (whole.part, whole.nbest) == (False, ())
    captioner.write_by(method="sample", temperature=3.0)
    drawn = {captioner([file])[0].caption for _ in range(2)}
    assert len(drawn) == 1, "the same seed"
    captioner.write_by(seed=1)
    assert captioner([file])[0].caption not in drawn
    with pytest.raises(ValueError, match="top_p"):
        captioner.write_by(top_p=2.0)
    for wrong in ("scene", 0, -1.0):
        with pytest.raises(ValueError, match="every is a number of seconds, or scenes, not"):
            captioner(file, every=wrong)
    with pytest.raises(ValueError, match="nbest is 1 or more"):
        captioner(file, nbest=0)


@pytest.mark.slow
def test_a_hubs_repository_comes_from_its_cache_where_there_is_no_network(folder, artifacts, tmp_path):
    repository = tmp_path / "hub" / "models--somebody--captioner"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("1" * 40))
    expected, files = said(artifacts), clips(artifacts)
    command = [sys.executable, "-m", "videocap", "caption", "--format", "jsonl", *(str(files[n]) for n in expected)]
    env = environment(artifacts) | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}

    def run(*model: str) -> subprocess.CompletedProcess:
        return subprocess.run([*command, "--model", *model], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert told(run("somebody/captioner")) == list(expected.values())
    assert told(run("somebody/captioner", "--revision", "1" * 40)) == list(expected.values())
    other = run("somebody/captioner", "--revision", "2" * 40)
    assert other.returncode == 2
    assert other.stderr.startswith("there is no folder 'somebody/captioner', and the hub has none either: ")


def test_a_name_that_is_no_folder_is_a_hubs_or_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("nobody", "a/b/c", "../x y"):
        with pytest.raises(ValueError, match=r"there is no folder .*, and a hub's repository is called org/name"):
            VideoCaptioner.from_pretrained(name)
    with pytest.raises(ValueError, match="there is no folder 'nobody/nothing'"):
        VideoCaptioner.from_pretrained("nobody/nothing")

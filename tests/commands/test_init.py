"""`videocap init`: a config for each kind of dataset that can be run as it is, or what is missing."""

import json
import os
import shutil
from pathlib import Path

import pytest
from annotations import msrvtt_file

import videocap
from videocap import tasks
from videocap.extract.corpus import corpus
from videocap.extract.corpus.video_files import find_videos
from videocap.pipeline.config import load

NAMES = [f"video{number}" for number in range(12)]
THREE = dict(zip(NAMES, ["train", "validate", "test"] * 4, strict=True))
SENTENCES = [(name, f"a cat in {name}", number) for number, name in enumerate(NAMES)]
LISTS = ("train_list.txt", "val_list.txt", "test_list.txt")


def touch(folder: Path, *names: str) -> None:
    for path in (folder / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_lists(folder: Path) -> None:
    for name, split in zip(LISTS, ("train", "validate", "test"), strict=True):
        (folder / name).write_text("".join(f"{video}\n" for video, said in THREE.items() if said == split))


def rows_of(folder: Path) -> None:
    rows = [f"{name}.mp4,a cat,{split},runs away\n" for name, split in THREE.items()]
    (folder / "captions.csv").write_text("video,caption,split,effect\n" + "".join(rows))


def lines_of(folder: Path) -> None:
    lines = [json.dumps({"video": f"clips/{name}.mp4", "caption": "a cat"}) for name in NAMES]
    (folder / "captions.jsonl").write_text("\n".join(lines))


def mapping(folder: Path) -> None:
    (folder / "captions.json").write_text(json.dumps({name: ["a cat", "a dog"] for name in NAMES}))


def msvd(folder: Path) -> None:
    (folder / "AllVideoDescriptions.txt").write_text("# MSVD\n\n" + "".join(f"{name} a cat\n" for name in NAMES))
    (folder / "README.txt").write_text("these are videos")
    write_lists(folder)


def msrvtt(folder: Path) -> None:
    msrvtt_file(folder / "videodatainfo.json", THREE, SENTENCES)
    write_lists(folder)  # which say no more


def msrvtt_2016(folder: Path) -> None:
    msrvtt_file(folder / "train_val_videodatainfo.json", dict(list(THREE.items())[:8]), SENTENCES[:8])
    msrvtt_file(folder / "test_videodatainfo.json", dict(list(THREE.items())[8:]), SENTENCES[8:])


def msrvtt_v2c(folder: Path) -> None:
    msrvtt_file(folder / "videodatainfo.json", dict.fromkeys(NAMES), SENTENCES)
    numbers = {split: [n for n in range(12) if THREE[f"video{n}"] == split] for split in ("train", "validate", "test")}
    (folder / "v2c_info.json").write_text(json.dumps({"ix_to_word": {}, "videos": numbers}))
    aspects = {name: [{"intention": [["to eat <eos>", ["to", "eat"]]], "caption": "a cat"}] for name in NAMES[:5]}
    (folder / "V2C_MSR-VTT_caption.json").write_text(json.dumps(aspects))


@pytest.fixture(autouse=True)
def _own_artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "mine" / "artifacts"))


@pytest.fixture
def folder(tmp_path) -> Path:
    touch(tmp_path / "mine" / "clips", *(f"{name}.mp4" for name in NAMES))
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("make", "kind", "annotations", "split", "aspects"),
    [
        (rows_of, "folder", ["captions.csv"], [], ("effect",)),
        (lines_of, "folder", ["captions.jsonl"], [], ()),
        (mapping, "folder", ["captions.json"], [], ()),
        (msvd, "folder", ["AllVideoDescriptions.txt"], LISTS, ()),
        (msrvtt, "msrvtt", ["videodatainfo.json"], [], ()),
        (msrvtt_2016, "msrvtt", ["test_videodatainfo.json", "train_val_videodatainfo.json"], [], ()),
        (msrvtt_v2c, "msrvtt", ["videodatainfo.json"], ["v2c_info.json"], ("intention",)),
    ],
)
def test_the_config_of_each_kind_of_dataset_can_be_run(folder, capsys, make, kind, annotations, split, aspects):
    make(folder)
    assert videocap.main(["init", str(folder)]) == 0
    said = capsys.readouterr().out
    config = load(tasks.Config, folder / "videocap.toml")
    data = config.data
    assert (config.experiment.name, data.kind, config.aspects.use) == ("mine", kind, aspects)
    assert [path.name for path in data.annotations] == annotations
    assert [path.name for path in data.split] == list(split)
    assert "Passed over" not in said
    _, report = corpus.read(data, {name: name for name in find_videos(data.videos)})
    counts = {name: count["videos"] for name, count in report.kept.items()}
    assert sum(counts.values()) == 12
    assert "train {train}, val {val}, test {test} (".format(**counts) in said
    assert f"captions  {sum(count['captions'] for count in report.kept.values())} in " in said
    assert videocap.main(["status", "--config", str(folder / "videocap.toml")]) == 0


def test_a_config_that_is_there_stays(folder, capsys):
    mapping(folder)
    (folder / "videocap.toml").write_text("mine")
    assert videocap.main(["init", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "videocap.toml").read_text() == "mine"


def test_the_config_may_lie_elsewhere_also_behind_a_link(folder, tmp_path, monkeypatch):
    rows_of(folder)
    (tmp_path / "deep" / "configs").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "deep" / "configs")
    monkeypatch.chdir(folder)
    assert videocap.main(["init", ".", "--output", "../linked/my.toml"]) == 0
    assert str(tmp_path) not in (tmp_path / "linked" / "my.toml").read_text()
    monkeypatch.chdir(tmp_path)
    config = load(tasks.Config, Path("linked/my.toml"))
    assert config.data.videos.samefile(folder / "clips")
    assert config.experiment.name == "mine"


@pytest.mark.parametrize("arguments", [["nowhere"], [".", "--output", "nowhere/my.toml"]])
def test_a_folder_that_is_not_there_is_named(folder, monkeypatch, capsys, arguments):
    monkeypatch.chdir(folder)
    assert videocap.main(["init", *arguments]) == 2
    assert "nowhere: is no folder" in capsys.readouterr().err


def test_names_that_toml_and_a_shell_would_misread(tmp_path, capsys):
    folder = tmp_path / 'it\'s mine, "50" clips'
    touch(folder / "~clips\\", *(f"{name}.mp4" for name in NAMES))
    rows_of(folder)
    assert videocap.main(["init", str(folder)]) == 0
    config = load(tasks.Config, folder / "videocap.toml")
    assert config.data.videos.samefile(folder / "~clips\\")
    assert config.experiment.name == "it-s-mine-50-clips"


def test_without_captions_the_example_that_is_shown_works(folder, capsys):
    assert videocap.main(["init", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "no captions: write" in said
    assert not (folder / "videocap.toml").exists()
    rows = said[said.index("  video,caption") :].splitlines()[:3]
    (folder / "captions.csv").write_text("\n".join(row.strip() for row in rows))
    videocap.main(["init", str(folder)])
    assert "12 in" in capsys.readouterr().out.splitlines()[0]
    assert load(tasks.Config, folder / "videocap.toml").data.annotations


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.csv", "video,caption\nvideo0,a cat\nvideo1,a cat, asleep", "c.csv, line 3: more fields than columns"),
        ("c.csv", "video,text\nvideo0,a cat", "c.csv, line 1: no column `caption` among video, text"),
        ("c.csv", "video,caption,split\nvideo0,a cat,trian", "c.csv, line 2: split 'trian' is none of"),
        ("c.csv", "video,caption\nfilm,a cat", "none of its 1 videos, such as film, is in"),
        ("c.csv", "video,caption\nvideo0,?", "c.csv: has no captions"),
        ("c.jsonl", '{"video": "video0", "caption": "a cat"}\n{', "c.jsonl, line 2: not JSON"),
        (
            "c.json",
            '{"videos": [{"video_id": "video0", "split": "trian"}], "sentences": []}',
            "videos[0]: video0: split",
        ),
        ("c.xlsx", "PK", "c.xlsx: is not read: save it as CSV"),
    ],
)
def test_a_mistake_in_the_data_is_named_with_its_line(folder, capsys, name, text, says):
    (folder / name).write_text(text)
    assert videocap.main(["init", str(folder)]) == 1
    said = capsys.readouterr().out
    assert says in said[said.index("Missing:") :]
    assert not (folder / "videocap.toml").exists()


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_is_missing_is_named_and_what_to_do(folder, capsys, split):
    other = "test" if split == "train" else "train"
    (folder / "c.csv").write_text("video,caption,split\n" + "".join(f"{name},a cat,{other}\n" for name in NAMES))
    assert videocap.main(["init", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"no {split} videos: give captions a column `split`" in said
    assert "0 val videos are too few" in said
    assert load(tasks.Config, folder / "videocap.toml")


def test_a_folder_without_videos_and_msrvtt_without_splits(tmp_path, folder, capsys):
    (tmp_path / "empty").mkdir()
    assert videocap.main(["init", str(tmp_path / "empty")]) == 1
    assert "no videos: put them into" in capsys.readouterr().out
    msrvtt_file(folder / "videodatainfo.json", dict.fromkeys(NAMES), SENTENCES)
    assert videocap.main(["init", str(folder)]) == 1
    assert "12 videos with captions have no split, such as video0" in capsys.readouterr().out


def test_msrvtt_as_it_comes(data, tmp_path, capsys):
    shutil.copytree(data / "msrvtt", tmp_path / "msrvtt", copy_function=os.symlink)
    assert videocap.main(["init", str(tmp_path / "msrvtt")]) == 1
    said = capsys.readouterr().out
    assert "videos    7 in" in said
    assert "captions  140 in" in said
    assert "no train videos: name lists of ids in data.split" in said
    text = (tmp_path / "msrvtt" / "videocap.toml").read_text()
    assert '# split = ["MSRVTT_test.full.csv"]' in text or '# split = "MSRVTT_test.full.csv"' in text
    assert load(tasks.Config, tmp_path / "msrvtt" / "videocap.toml").data.kind == "msrvtt"

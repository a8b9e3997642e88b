"""The corpus table: every source read alike; what can't be used is named."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract import corpus
from extract.config import DataConfig
from extract.corpus import CorpusError
from extract.video_files import find_videos


def folder_of(tmp_path: Path, text: str, name: str = "captions.csv") -> DataConfig:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return DataConfig(kind="folder", videos=tmp_path, annotations=file)


def digests(*names: str) -> dict[str, str]:
    return {name: f"sha-{name}" for name in names}


def test_a_csv_row_is_a_caption_and_columns_beyond_it_are_optional(tmp_path):
    text = "video,caption,split,effect\na.mp4,a man runs,train,gets tired\na.mp4, a man \t jogs ,train,\n"
    text += "b.mp4,a cat,test,\n"
    videos, notes = corpus.read(folder_of(tmp_path, text), digests("a.mp4", "b.mp4"))
    assert [(v.id, v.digest, v.split, v.captions, v.aspects) for v in videos] == [
        ("a.mp4", "sha-a.mp4", "train", ("a man runs", "a man jogs"), {"effect": ("gets tired",)}),
        ("b.mp4", "sha-b.mp4", "test", ("a cat",), {}),
    ]
    assert notes == []


def test_json_lines_say_the_same_as_csv(tmp_path):
    rows = [{"video": "a.mp4", "caption": "x", "split": "val"}, {"video": "b.mp4", "caption": "y", "split": "test"}]
    lines = corpus.read(
        folder_of(tmp_path, "\n".join(map(json.dumps, rows)), "captions.jsonl"), digests("a.mp4", "b.mp4")
    )
    table = corpus.read(
        folder_of(tmp_path, "video,caption,split\na.mp4,x,val\nb.mp4,y,test"), digests("a.mp4", "b.mp4")
    )
    assert lines == table


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("name,caption\na,b", "captions.csv", "line 1: no column `video`"),
        ("video,caption,split\na.mp4,x,trian", "captions.csv", "line 2: split 'trian' is none of"),
        ("video,caption,split\na.mp4,x,train\na.mp4,y,test", "captions.csv", "line 3: a.mp4 is in split test here"),
        ('{"video": "a.mp4"}\n{"video": ', "captions.jsonl", "line 2: not JSON"),
        ('{"caption": "x"}', "captions.jsonl", "line 1: no `video`"),
        ("[1]", "captions.jsonl", "line 1: not a JSON object"),
        ("video,caption\nc.mp4,x", "captions.csv", "none of its 1 videos is there"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path, text, name, says):
    with pytest.raises(CorpusError) as error:
        corpus.read(folder_of(tmp_path, text, name), digests("a.mp4"))
    assert says in str(error.value)
    assert name in str(error.value)


def test_what_is_left_out_is_counted_with_examples(tmp_path):
    text = "video,caption\na.mp4,x\ngone.mp4,y\nsilent.mp4,\n"
    videos, notes = corpus.read(folder_of(tmp_path, text), digests("a.mp4", "silent.mp4", "other.mp4"))
    assert [video.id for video in videos] == ["a.mp4"]
    assert any("no file" in note and "gone.mp4" in note for note in notes)
    assert any("no caption" in note and "silent.mp4" in note for note in notes)
    assert any("not in captions.csv" in note and "other.mp4" in note for note in notes)


def test_blanks_around_a_name_go_unless_the_file_is_so_called(tmp_path):
    text = 'video,caption\n" a.mp4",x\n" b.mp4 ",y\n'
    videos, _ = corpus.read(folder_of(tmp_path, text), digests(" a.mp4", "b.mp4"))
    assert [video.id for video in videos] == [" a.mp4", "b.mp4"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1), unique=True))
def test_any_name_is_read_alike_from_csv_and_json_lines(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    names = [f"{name}.mp4" for name in names] + ["a.mp4"] * ("a" not in names)
    rows = [{"video": name, "caption": "x"} for name in names]
    table = io.StringIO()
    csv.writer(table).writerows([["video", "caption"], *(row.values() for row in rows)])
    lines = "\n".join(map(json.dumps, rows))
    (folder / "captions.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    (folder / "captions.jsonl").write_text(lines, encoding="utf-8")
    for file in ("captions.csv", "captions.jsonl"):
        section = DataConfig(kind="folder", videos=folder, annotations=folder / file)
        videos, notes = corpus.read(section, digests(*names))
        assert [video.id for video in videos] == sorted(names)
        assert notes == []


def test_msrvtt_as_published(data):
    info = data / "msrvtt" / "videodatainfo_sample.json"
    section = DataConfig(kind="msrvtt", videos=data / "msrvtt", annotations=info)
    files = find_videos(data / "msrvtt")
    videos, notes = corpus.read(section, {name: name for name in files})
    assert len(videos) == 7
    assert sum(len(video.captions) for video in videos) == 140
    assert {video.split for video in videos} == {"test"}
    assert videos[0].digest == "videos/video7010.mp4"
    assert notes == []


def test_v2c_annotations_and_split_are_added(tmp_path):
    (tmp_path / "info.json").write_text(
        json.dumps(
            {
                "videos": [{"video_id": f"video{i}", "split": "train"} for i in range(3)],
                "sentences": [{"video_id": f"video{i}", "caption": "a man cooks"} for i in range(3)],
            }
        )
    )
    entry = {
        "final_caption": ["a", "man", "cooks"],
        "intention": [["to eat", ["<sos>", "to", "eat", "<eos>"]], ["to eat", []]],
        "effect": [["gets full", []]],
        "attribute": [],
    }
    (tmp_path / "v2c.json").write_text(json.dumps({"video0": [entry, entry], "video9": [entry]}))
    (tmp_path / "split.json").write_text(json.dumps({"videos": {"train": [0], "test": [1]}}))
    section = DataConfig(
        kind="msrvtt",
        videos=tmp_path,
        annotations=tmp_path / "info.json",
        commonsense=tmp_path / "v2c.json",
        split=tmp_path / "split.json",
    )
    videos, _ = corpus.read(section, digests("video0.mp4", "video1.mp4", "video2.mp4"))
    assert [(video.id, video.split) for video in videos] == [("video0", "train"), ("video1", "test")]
    assert videos[0].aspects == {"intention": ("to eat",), "effect": ("gets full",)}


def test_without_a_split_videos_are_drawn_and_adding_some_moves_none(tmp_path):
    names = [f"{i}.mp4" for i in range(400)]
    text = "video,caption\n" + "".join(f"{name},x\n" for name in names)
    many, _ = corpus.read(folder_of(tmp_path, text), digests(*names))
    few, _ = corpus.read(folder_of(tmp_path, text), digests(*names[:50]))
    splits = {video.id: video.split for video in many}
    assert all(splits[video.id] == video.split for video in few)
    shares = {split: list(splits.values()).count(split) / 400 for split in ("train", "val", "test")}
    assert 0.7 < shares["train"] < 0.9
    assert shares["val"] > 0.04
    assert shares["test"] > 0.04


@given(st.text())
def test_a_caption_comes_out_on_one_line(text):
    assert len(corpus._clean(text).splitlines()) <= 1


def test_without_training_videos_there_is_an_error_and_other_empty_splits_are_noted(tmp_path):
    section = folder_of(tmp_path, "video,caption,split\na.mp4,x,test\nb.mp4,y,test\n")
    files = {f"videos/{name}": digest for name, digest in digests("a.mp4", "b.mp4").items()}
    with pytest.raises(CorpusError, match="no video is in the train split"):
        corpus.make(tmp_path, SimpleNamespace(data=section), digests=files)
    section = folder_of(tmp_path, "video,caption,split\na.mp4,x,test\nb.mp4,y,train\n")
    notes = corpus.make(tmp_path, SimpleNamespace(data=section), digests=files)
    assert [note for note in notes if "there are no val videos" in note]


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("video,captions\na.mp4,x", "captions.csv", "no column `caption` among video, captions"),
        ("video,caption,Split\na.mp4,x,test", "captions.csv", "unknown column `Split`; did you mean `split`?"),
        ('{"video": "a.mp4", "caption": ["x", "y"]}', "captions.jsonl", "line 1: `caption` must be a text"),
        ("video,caption\na.mp4,x\na,y", "captions.csv", "are the same file a.mp4"),
    ],
)
def test_a_wrong_shape_is_not_swallowed(tmp_path, text, name, says):
    with pytest.raises(CorpusError) as error:
        corpus.read(folder_of(tmp_path, text, name), digests("a.mp4"))
    assert says in str(error.value)


def test_v2c_aspects_that_are_no_pairs_are_named(tmp_path):
    (tmp_path / "info.json").write_text(
        json.dumps(
            {
                "videos": [{"video_id": "video0", "split": "train"}],
                "sentences": [{"video_id": "video0", "caption": "a man cooks"}],
            }
        )
    )
    (tmp_path / "v2c.json").write_text(json.dumps({"video0": [{"intention": ["to cook"]}]}))
    section = DataConfig(
        kind="msrvtt", videos=tmp_path, annotations=tmp_path / "info.json", commonsense=tmp_path / "v2c.json"
    )
    with pytest.raises(CorpusError, match=r"v2c\.json: video0: intention is not in V2C's layout"):
        corpus.read(section, digests("video0.mp4"))


def test_v2c_split_as_published_gets_a_seeded_validation_set(data, tmp_path):
    names = [f"video{i}" for i in range(10_000)]
    (tmp_path / "info.json").write_text(
        json.dumps(
            {
                "videos": [{"video_id": name, "split": "train"} for name in names],
                "sentences": [{"video_id": name, "caption": "x"} for name in names],
            }
        )
    )
    section = DataConfig(
        kind="msrvtt", videos=tmp_path, annotations=tmp_path / "info.json", split=data / "v2c" / "v2c_info.json"
    )
    videos, _ = corpus.read(section, digests(*(f"{name}.mp4" for name in names)))
    counts = {split: sum(video.split == split for video in videos) for split in ("train", "val", "test")}
    assert counts["test"] == 2990
    assert counts["train"] + counts["val"] == 7010
    assert 400 < counts["val"] < 600

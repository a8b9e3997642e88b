"""The corpus table: every source comes out alike; what can't be used is named and counted."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from annotations import digests, msrvtt_file
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract import words
from videocap.extract.config import DataConfig
from videocap.extract.corpus import corpus
from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.video_files import find_videos


def told(warnings: list[dict]) -> list[str]:
    return [words.warning(json.loads(json.dumps(row))) for row in warnings]


def folder_of(tmp_path: Path, text: str, name: str = "captions.csv") -> DataConfig:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return DataConfig(kind="folder", videos=tmp_path, annotations=file)


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory) -> Path:
    """All videos of MSR-VTT in the official splits, with a caption each."""
    ranges = {"train": range(6513), "validate": range(6513, 7010), "test": range(7010, 10_000)}
    splits = {f"video{i}": split for split, numbers in ranges.items() for i in numbers}
    sentences = [(name, "a caption", number) for number, name in enumerate(splits)]
    return msrvtt_file(tmp_path_factory.mktemp("msrvtt") / "videodatainfo.json", splits, sentences)


def test_a_video_has_its_digest_split_captions_and_aspects(tmp_path):
    text = "video,caption,split,effect\na.mp4,a man runs,train,gets tired\na.mp4, a man \t jogs ,train,\n"
    text += "b.mp4,a cat,test,\n"
    videos, report = corpus.read(folder_of(tmp_path, text), digests("a.mp4", "b.mp4"))
    assert [(v.id, v.digest, v.split, v.captions, v.aspects) for v in videos] == [
        ("a.mp4", "sha-a.mp4", "train", ("a man runs", "a man jogs"), {"effect": ("gets tired",)}),
        ("b.mp4", "sha-b.mp4", "test", ("a cat",), {}),
    ]
    assert told(report.warnings()) == []
    assert report.annotated == report.kept
    assert report.kept["train"] == {"videos": 1, "captions": 2, "intention": 0, "effect": 1, "attribute": 0}


def test_what_excel_writes_is_read(tmp_path):
    expected = None
    for text in (
        "video,caption\na.mp4,A dog; it runs\n",
        '\ufeffVideo;Caption\r\na.mp4;"A dog; it runs"\r\n',
        " VIDEO\tcaption \na.mp4\tA dog; it runs\n",
    ):
        (tmp_path / "captions.csv").write_text(text, encoding="utf-8", newline="")
        data = DataConfig(kind="folder", videos=tmp_path, annotations=tmp_path / "captions.csv")
        found = corpus.read(data, {"a.mp4": "0" * 64})[0]
        expected = expected or found
        assert found == expected
    assert expected[0].captions == ("A dog; it runs",)
    (tmp_path / "captions.csv").write_bytes("video,caption\na.mp4,ein Hund fällt\n".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"is not in UTF-8 .*in Excel as 'CSV UTF-8'"):
        corpus.read(data, {"a.mp4": "0" * 64})


def test_the_folder_of_videos_is_named_where_none_is_in_it(tmp_path):
    (tmp_path / "captions.csv").write_text("video,caption\na.mp4,A dog\n")
    data = DataConfig(kind="folder", videos=tmp_path, annotations=tmp_path / "captions.csv")
    with pytest.raises(CorpusError, match=f"none of its 1 videos is in {tmp_path}: see data.videos"):
        corpus.read(data, {})


def test_what_is_left_out_is_counted_with_examples(tmp_path):
    text = "video,caption\na.mp4,x\na.mp4,.\ngone.mp4,y\nlost.mp4,y\nsilent.mp4,\n"
    videos, report = corpus.read(folder_of(tmp_path, text), digests("a.mp4", "silent.mp4", "other.mp4"))
    assert [video.id for video in videos] == ["a.mp4"]
    assert told(report.warnings()) == [
        "2 empty captions left out: a.mp4, silent.mp4",
        "1 video files left out, not in the annotations: other.mp4",
        "1 videos left out, no caption: silent.mp4",
        "2 videos left out, no file in the folder of videos: gone.mp4, lost.mp4",
    ]
    annotated, kept = ({s: c["videos"] for s, c in part.items()} for part in (report.annotated, report.kept))
    assert sum(annotated.values()) == 4
    assert sum(kept.values()) == 1


def test_if_no_video_is_there_the_error_says_why(tmp_path):
    says = r"captions\.csv: none of its 1 videos is in .*: see data.videos; .*no file.*: c\.mp4"
    with pytest.raises(CorpusError, match=says):
        corpus.read(folder_of(tmp_path, "video,caption\nc.mp4,x"), digests("a.mp4"))


def test_two_names_of_one_file_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"are the same file a\.mp4"):
        corpus.read(folder_of(tmp_path, "video,caption\na.mp4,x\na,y"), digests("a.mp4"))


def test_blanks_around_a_name_go_unless_the_file_is_so_called(tmp_path):
    text = 'video,caption\n" a.mp4",x\n" b.mp4 ",y\n'
    videos, _ = corpus.read(folder_of(tmp_path, text), digests(" a.mp4", "b.mp4"))
    assert [video.id for video in videos] == [" a.mp4", "b.mp4"]


def test_msrvtt_as_published(data):
    info = data / "msrvtt" / "videodatainfo_sample.json"
    section = DataConfig(kind="msrvtt", videos=data / "msrvtt", annotations=info)
    videos, report = corpus.read(section, {name: name for name in find_videos(data / "msrvtt")})
    assert len(videos) == 7
    assert sum(len(video.captions) for video in videos) == 140
    assert {video.split for video in videos} == {"test"}
    assert videos[0].digest == "videos/video7010.mp4"
    assert told(report.warnings()) == []


def test_msvd_as_published(data, tmp_path):
    (tmp_path / "test_list.txt").write_text("jPBxl9gFqNY_110_117\n")
    source = {"kind": "folder", "videos": data / "msvd", "annotations": data / "msvd" / "captions.json"}
    section = DataConfig(**source, split=tmp_path / "test_list.txt")
    videos, report = corpus.read(section, digests(*find_videos(data / "msvd")))
    assert [(video.id, video.split, len(video.captions)) for video in videos] == [
        ("WTf5EgVY5uU_124_128", "train", 32),
        ("j2Dhf-xFUxU_13_20", "train", 33),
        ("jPBxl9gFqNY_110_117", "test", 45),
    ]
    assert told(report.warnings()) == []


def test_v2c_annotations_and_split_are_added(tmp_path):
    splits = {f"video{i}": "train" for i in range(3)}
    msrvtt_file(tmp_path / "info.json", splits, [(name, "a man cooks") for name in splits])
    (tmp_path / "v2c.json").write_text(json.dumps({"video0": [{"intention": [["to eat", ["to", "eat"]]]}]}))
    (tmp_path / "split.json").write_text(json.dumps({"videos": {"train": [0], "test": [1]}}))
    section = DataConfig(
        kind="msrvtt",
        videos=tmp_path,
        annotations=tmp_path / "info.json",
        commonsense=tmp_path / "v2c.json",
        split=tmp_path / "split.json",
    )
    videos, report = corpus.read(section, digests("video0.mp4", "video1.mp4", "video2.mp4"))
    assert [(video.id, video.split) for video in videos] == [("video0", "train"), ("video1", "test")]
    assert videos[0].aspects == {"intention": ("to eat",)}
    assert told(report.warnings()) == ["1 videos left out, in no list of the splits: video2"]


def test_without_a_split_videos_are_drawn_and_adding_some_moves_none(tmp_path):
    names = [f"{i}.mp4" for i in range(40)]
    text = "video,caption\n" + "".join(f"{name},x\n" for name in names)
    many, _ = corpus.read(folder_of(tmp_path, text), digests(*names))
    few, _ = corpus.read(folder_of(tmp_path, text), digests(*names[:5]))
    splits = {video.id: video.split for video in many}
    assert len(set(splits.values())) > 1
    assert all(splits[video.id] == video.split for video in few)


def test_msrvtts_splits_are_not_drawn(tmp_path):
    file = msrvtt_file(tmp_path / "info.json", {"video0": None, "video1": None}, [("video0", "x")])
    source = {"kind": "msrvtt", "videos": tmp_path, "annotations": file}
    with pytest.raises(CorpusError, match=r"info\.json: 1 videos with captions have no split, such as video0: name"):
        corpus.read(DataConfig(**source), digests("video0.mp4"))
    (tmp_path / "train_list.txt").write_text("video0\n")
    videos, _ = corpus.read(DataConfig(**source, split=tmp_path / "train_list.txt"), digests("video0.mp4"))
    assert [video.id for video in videos] == ["video0"]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], (6513, 497, 2990)),
        (["MSRVTT_train.full.csv", "MSRVTT_val.full.csv", "MSRVTT_test.full.csv"], (6513, 497, 2990)),
        (["MSRVTT_JSFUSION_test.csv"], (8379, 621, 1000)),
        (["../v2c/v2c_info.json"], (6525, 485, 2990)),
    ],
)
def test_msrvtts_usual_splits_come_out_without_a_remark(msrvtt, data, lists, expected):
    files = [data / "msrvtt" / name for name in lists]
    section = DataConfig(kind="msrvtt", videos=msrvtt.parent, annotations=msrvtt, split=files)
    videos, report = corpus.read(section, digests(*(f"video{i}.mp4" for i in range(10_000))))
    assert tuple(report.kept[split]["videos"] for split in ("train", "val", "test")) == expected
    assert len(videos) == 10_000
    assert told(report.warnings()) == [
        "10000 videos do not have MSR-VTT's 20 captions: video0 has 1, video1 has 1, video10 has 1"
    ]


def test_msrvtt_in_other_splits_is_remarked_on(msrvtt, tmp_path):
    tree = json.loads(msrvtt.read_text())
    tree["videos"] = tree["videos"][1:]
    tree["sentences"] = tree["sentences"][1:]
    (tmp_path / "info.json").write_text(json.dumps(tree))
    section = DataConfig(kind="msrvtt", videos=tmp_path, annotations=tmp_path / "info.json")
    _, report = corpus.read(section, digests(*(f"video{i}.mp4" for i in range(10_000))))
    warning, _ = told(report.unusual)
    assert "the splits are 6,512 / 497 / 2,990 (train, val, test); MSR-VTT's usual ones are 6,513 / 497 / 2," in warning
    tree["videos"] = tree["videos"][2000:]  # a part of it may be in any
    (tmp_path / "info.json").write_text(json.dumps(tree))
    _, report = corpus.read(section, digests(*(f"video{i}.mp4" for i in range(10_000))))
    assert report.unusual == []


def test_without_training_videos_there_is_an_error_and_other_empty_splits_are_noted(tmp_path):
    section = folder_of(tmp_path, "video,caption,split\na.mp4,x,test\nb.mp4,y,test\n")
    files = {f"videos/{name}": digest for name, digest in digests("a.mp4", "b.mp4").items()}
    with pytest.raises(CorpusError, match="no video is in the train split"):
        corpus.make(tmp_path, SimpleNamespace(data=section), digests=files)
    section = folder_of(tmp_path, "video,caption,split\na.mp4,x,test\nb.mp4,y,train\n")
    warnings = corpus.make(tmp_path, SimpleNamespace(data=section), digests=files)
    assert [warning for warning in told(warnings) if "there are no val videos" in warning]


def test_counts_are_written_beside_the_table(tmp_path):
    text = 'video,caption,split,effect\na.mp4,x,train,tired\na.mp4,y,train,\ngone.mp4,z,train,\n"\x1b[0m.mp4",z,test,\n'
    section = folder_of(tmp_path, text)
    corpus.make(tmp_path, SimpleNamespace(data=section), digests={"videos/a.mp4": "sha"})
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["annotated"]["train"] == {"videos": 2, "captions": 3, "intention": 0, "effect": 1, "attribute": 0}
    assert counts["kept"]["train"] == {"videos": 1, "captions": 2, "intention": 0, "effect": 1, "attribute": 0}
    examples = [repr("\x1b[0m.mp4"), "gone.mp4"]
    assert counts["left_out"] == [{"what": "videos_no_file", "count": 2, "names": 2, "examples": examples}]
    val = {"unusual": "no videos", "split": "val", "counts": {"train": 1, "val": 0, "test": 0}}
    assert counts["remarks"] == [val, val | {"split": "test"}]


@given(st.permutations(["x/info.json", "y/info.json", "y/other.json"]))
def test_the_order_of_files_is_in_no_key(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("order")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / "train_list.txt").write_text("a")
    files = [folder / name for name in names]
    source = {"kind": "folder", "features": "c3d"}
    several = corpus.source_files(DataConfig(**source, annotations=files, split=files))
    assert several == corpus.source_files(DataConfig(**source, annotations=sorted(files), split=sorted(files)))
    assert set(several) == {
        f"{field}/{name}" for field in ("annotations", "split") for name in ("info.json", "info.json#2", "other.json")
    }
    one = corpus.source_files(DataConfig(**source, annotations=[files[0]] * 2, split=files[0]))
    assert set(one) == {"annotations", "split"}, "as it was before there could be several"
    # its name tells the split, and so must be in the key
    named = corpus.source_files(DataConfig(**source, annotations=files[0], split=folder / "train_list.txt"))
    assert set(named) == {"annotations", "split/train_list.txt"}

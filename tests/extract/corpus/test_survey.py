"""What a folder is found to hold: which videos and which data file belong together, and what is passed over."""

from pathlib import Path

import pytest

from videocap.extract.corpus import survey as module
from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.survey import survey


def touch(folder: Path, *names: str) -> None:
    for path in (folder / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def captions(path: Path, *names: str, split: str = "train") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("video,caption,split\n" + "".join(f"{name},a cat,{split}\n" for name in names))
    return path


def test_the_file_that_fits_the_videos_best_is_taken_and_the_others_are_named(tmp_path):
    touch(tmp_path, "a.mp4", "b.MOV", "c.webm", "d.mp4")
    best = captions(tmp_path / "sub" / "new.csv", "a", "b", "b", "film")
    captions(tmp_path / "old.csv", "a")
    captions(tmp_path / "rest.csv", "c", "a")
    captions(tmp_path / "other.csv", "x", "y", "z")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "notes.txt").write_text("to do")
    (tmp_path / "captions.xlsx").write_text("PK")
    found = survey(tmp_path)
    assert found.annotations == (tmp_path / "rest.csv",)  # as many videos, and none that is not there
    best.write_text(best.read_text() + "c,a cat,train\n")
    found = survey(tmp_path)
    assert (found.videos, found.files, found.annotations) == (tmp_path, 4, (best,))
    assert found.kept["train"] == {"videos": 3, "captions": 4}
    assert found.warnings[:2] == [
        "1 captions left out, of videos without a file or split: film",
        "1 videos have no caption: d.mp4",
    ]
    passed = "\n".join(found.passed_over)
    assert "old.csv: has captions of 1 of these videos\n" in passed
    assert "other.csv: has captions of 0 of these videos\n" in passed
    assert "package.json: name: neither" in passed
    assert "captions.xlsx: is not read: save it as CSV" in passed
    assert "notes.txt" not in passed


def test_a_file_with_videos_that_the_best_lacks_is_hinted_at(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    captions(tmp_path / "train.csv", "a", "b")
    captions(tmp_path / "test.csv", "c", split="test")
    hint = "has captions of 1 of these videos, 1 of them with none in the others: data.annotations may be a list"
    assert survey(tmp_path).passed_over == [f"{tmp_path / 'test.csv'}: {hint}"]


def test_a_mistake_counts_only_while_videos_lack_captions(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    captions(tmp_path / "old.csv", "a")
    broken = tmp_path / "new.csv"
    broken.write_text("video,caption\na,a cat\nb,a cat, asleep\n")
    assert any(line.startswith(f"{broken}, line 3") for line in survey(tmp_path).missing)
    captions(tmp_path / "old.csv", "a", "b")
    found = survey(tmp_path)
    assert not any("new.csv" in line for line in found.missing)
    assert found.passed_over[0].startswith(f"{broken}, line 3")


@pytest.mark.parametrize(
    ("files", "named", "folder"),
    [
        (["clips/a/x.mp4", "clips/b/y.mp4"], ["x", "y"], "clips"),
        (["clips/a/x.mp4", "clips/b/x.mp4"], ["a/x.mp4", "b/x"], "clips"),
        (["clips/x.mp4", "clips/y.mp4"], ["clips/x.mp4", "clips/y.mp4"], ""),
        (["clips/x.mp4", "clips/y.mp4", "backup/x.mp4"], ["x", "y"], "clips"),
    ],
)
def test_the_folder_of_videos_is_the_one_that_captions_mean(tmp_path, files, named, folder):
    touch(tmp_path, *files)
    captions(tmp_path / "captions.csv", *named)
    found = survey(tmp_path)
    assert found.videos == tmp_path / folder
    assert found.total("videos") == 2


def test_a_name_that_two_files_have_is_told(tmp_path):
    touch(tmp_path, "x.mp4", "sub/x.mkv", "sub/y.mp4")
    captions(tmp_path / "captions.csv", "x", "y")
    found = survey(tmp_path)
    assert found.videos == tmp_path / "sub"
    assert f"1 videos in other folders than {tmp_path / 'sub'} are left out (" in found.warnings[-1]
    assert "captions.csv: video 'x' could be any of sub/x.mkv, x.mp4: write its path" in found.warnings[-1]
    touch(tmp_path, "sub/x.mp4")
    assert "captions.csv: video 'x' could be any of" in survey(tmp_path).missing[0]


def test_where_not_to_look(tmp_path):
    touch(tmp_path, "clips/a.mp4", ".trash/b.mp4", "artifacts/c.mp4", "venv/pyvenv.cfg", "venv/d.mp4", ".e.mp4")
    touch(tmp_path, "/".join("123456789") + "/f.mp4")
    (tmp_path / "clips" / "around").symlink_to(tmp_path)
    (tmp_path / "broken.csv").symlink_to("nowhere")
    captions(tmp_path / "artifacts" / "captions.csv", "a")
    found = survey(tmp_path, [tmp_path / "artifacts", tmp_path / "absent"])
    assert (found.videos, found.files) == (tmp_path / "clips", 1)
    assert found.missing[0].startswith("no captions: write")


def test_videos_behind_a_link_are_found(tmp_path):
    touch(tmp_path, "disk/videos/a.mp4")
    captions(tmp_path / "mine" / "captions.csv", "a")
    (tmp_path / "mine" / "clips").symlink_to(tmp_path / "disk")
    found = survey(tmp_path / "mine")
    assert found.videos == tmp_path / "mine" / "clips" / "videos"
    assert found.total("videos") == 1


def test_of_lists_the_longest_of_each_split_and_none_where_they_contradict(tmp_path):
    names = "abcdef"
    touch(tmp_path, *(f"{name}.mp4" for name in names))
    (tmp_path / "captions.txt").write_text("".join(f"{name} a cat\n" for name in names))
    for name, ids in {"train": "ab", "train_all": "abcd", "val": "e", "test": "f", "test_elsewhere": "xyz"}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(ids))
    found = survey(tmp_path)
    assert [path.name for path in found.split] == ["train_all.txt", "val.txt", "test.txt"]
    assert {split: count["videos"] for split, count in found.kept.items()} == {"train": 4, "val": 1, "test": 1}
    (tmp_path / "val.txt").write_text("d\ne")
    found = survey(tmp_path)
    assert found.split == ()
    assert found.drawn
    assert "is listed for" in found.missing[0]


def test_more_files_than_one_dataset_has_are_refused(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    with pytest.raises(CorpusError, match="holds more than 2 files: name the folder of one dataset"):
        survey(tmp_path)

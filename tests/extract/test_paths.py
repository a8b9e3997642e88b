"""Paths in a config start from its file, those in an override from the current folder."""

from pathlib import Path

import pytest

from videocap.pipeline import config
from videocap.pipeline.config import ConfigError, load
from videocap.tasks import Config


def write(folder: Path, text: str) -> Path:
    file = folder / "experiment.toml"
    file.write_text(text)
    return file


def test_relative_paths_start_from_the_config_file(tmp_path, monkeypatch):
    (tmp_path / "videos").mkdir()
    (tmp_path / "captions.csv").write_text("video,caption\n")
    file = write(tmp_path, '[data]\nkind = "folder"\nvideos = "videos"\nannotations = "captions.csv"')
    monkeypatch.chdir("/")
    assert load(Config, file).data.videos == tmp_path / "videos"


LISTS = '[data]\nkind = "folder"\nvideos = "videos"\nannotations = ["a.json", "b.json"]'


@pytest.fixture
def lists(tmp_path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in ("a.json", "b.json", "test_list.txt"):
        (tmp_path / name).write_text("")
    return write(tmp_path, LISTS)


def test_each_path_of_a_list_starts_from_the_config_file_and_in_an_override_from_the_current_folder(
    lists, tmp_path, monkeypatch
):
    monkeypatch.chdir("/")
    loaded = load(Config, lists).data
    assert loaded.annotations == (tmp_path / "a.json", tmp_path / "b.json")
    assert loaded.split == ()
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.json").write_text("")
    monkeypatch.chdir(here)
    loaded = load(Config, lists, 'data.annotations=["mine.json", "../b.json"] data.split=../test_list.txt').data
    assert [path.resolve() for path in loaded.annotations] == [here / "mine.json", tmp_path / "b.json"]
    assert [path.resolve() for path in loaded.split] == [tmp_path / "test_list.txt"]


@pytest.mark.parametrize("of", ['["a.json", "b.json"]', '"a.json"', '["a.json", "a.json"]'])
def test_a_dumped_list_of_paths_loads_as_the_same(lists, of):
    loaded = load(Config, write(lists.parent, LISTS.replace('["a.json", "b.json"]', of)))
    assert load(Config, write(lists.parent, config.dump(loaded))) == loaded
    assert len(loaded.data.annotations) == of.count("json") - (of.count("a.json") == 2)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ('["a.json", "c.json"]', "data.annotations: there is no file or folder"),
        ('["a.json", 3]', "data.annotations: "),
        ("[]", "needs `annotations`"),
        ('"videos"', "videos is a folder, not a file"),
    ],
)
def test_a_mistake_in_a_list_of_paths_is_named(lists, of, says):
    with pytest.raises(ConfigError) as error:
        load(Config, write(lists.parent, LISTS.replace('["a.json", "b.json"]', of)))
    assert says in str(error.value)

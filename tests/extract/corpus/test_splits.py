"""Which split a video is in: lists as they are published, and what can't be told from them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.splits import assign, carve, draw, draw_split
from videocap.extract.words import warning


@dataclass
class Entry:
    split: str | None = "train"


def listed(folder: Path, **lists: str) -> list[Path]:
    """Lists of these names; a first line of `video_id` makes it a CSV."""
    paths = []
    for name, text in lists.items():
        paths.append(folder / f"{name}.{'csv' if text.startswith('video_id') else 'txt'}")
        paths[-1].write_text(text)
    return paths


def assigned(names: list[str], paths: list[Path]) -> tuple[dict[str, str | None], list[str]]:
    """The splits of the videos that stay, and what was found."""
    entries, found = {name: Entry() for name in names}, LeftOut()
    left_out = assign(entries, paths, found)
    return {n: e.split for n, e in entries.items() if n not in left_out}, list(map(warning, found.rows()))


def test_lists_decide_and_what_is_in_none_is_left_out(tmp_path):
    paths = listed(tmp_path, train_list="a\nb\n\n", val_list="c\nc\n", test_list="d\ngone\n")
    splits, found = assigned(list("abcdef"), paths)
    assert splits == {"a": "train", "b": "train", "c": "val", "d": "test"}
    assert found == [
        "1 ids more than once in a list, counted once: c",
        "1 listed ids left out, not in the annotations: gone",
        "2 videos left out, in no list of the splits: e, f",
    ]
    assert assigned(list("abcdef"), paths[::-1]) == (splits, found)


def test_without_a_list_for_training_all_others_are_for_training(tmp_path):
    splits, found = assigned(list("abc"), listed(tmp_path, MSRVTT_JSFUSION_test="video_id\nb\n"))
    assert splits == {"a": "train", "b": "test", "c": "train"}
    assert found == []


def test_v2c_s_numbers_may_be_texts_or_names_and_nothing_else(tmp_path):
    file = tmp_path / "v2c_info.json"
    file.write_text('{"videos": {"train": [1, "2"], "test": ["video3"]}}')
    splits, _ = assigned(["video1", "video2", "video3"], [file])
    assert splits == {"video1": "train", "video2": "train", "video3": "test"}
    for numbers in ('"12"', "[1.5]", '["clip3"]', "{}", "[null]"):
        file.write_text(f'{{"videos": {{"train": {numbers}}}}}')
        with pytest.raises(CorpusError, match=r"v2c_info\.json: train: is not a list of numbers of videos"):
            assigned(["video1"], [file])


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"list": "a"}, "list.txt: the name of a list does not tell the split"),
        ({"train_val_list": "a"}, "train_val_list.txt: the name of a list tells train and val"),
        ({"train": "a", "test": "a"}, "test.txt: a is listed for test here and for train in "),
        ({"train_1": "a", "train_2": "a"}, "train_2.txt: a is listed for train here and for train in "),
        ({"test": "x\ny"}, "the annotations have no video of the 2 listed: x, y"),
        ({"test": ""}, "the annotations have no video of the 0 listed: none"),
    ],
)
def test_what_lists_cannot_tell_is_an_error_that_names_the_file(tmp_path, lists, says):
    with pytest.raises(CorpusError) as error:
        assigned(["a", "b"], listed(tmp_path, **lists))
    assert says in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_csv_without_its_column_and_another_json_are_named(tmp_path):
    (tmp_path / "test.csv").write_text("video\na\n")
    (tmp_path / "test.json").write_text('["a"]')
    with pytest.raises(CorpusError, match=r"test\.csv, line 1: no column `video_id` among video"):
        assigned(["a"], [tmp_path / "test.csv"])
    with pytest.raises(CorpusError, match=r"test\.json: not in the layout of v2c_info\.json"):
        assigned(["a"], [tmp_path / "test.json"])


OFFICIAL = ("MSRVTT_train.full.csv", "MSRVTT_val.full.csv", "MSRVTT_test.full.csv")


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([f"msrvtt/{name}" for name in OFFICIAL], {"train": 6513, "val": 497, "test": 2990}),
        (["msrvtt/MSRVTT_JSFUSION_test.csv"], {"train": 9000, "test": 1000}),
        (["v2c/v2c_info.json"], {"train": 7010, "test": 2990}),
    ],
)
def test_lists_as_published(data, lists, expected):
    splits, found = assigned([f"video{i}" for i in range(10_000)], [data / name for name in lists])
    assert {split: list(splits.values()).count(split) for split in splits.values()} == expected
    assert found == []


def test_a_validation_set_is_carved_only_where_there_is_none():
    entries = {f"video{i}": Entry() for i in range(7010)}
    carve(entries)
    carved = {name for name, entry in entries.items() if entry.split == "val"}
    assert 400 < len(carved) < 600
    more = {f"video{i}": Entry() for i in range(8000)}
    carve(more)
    assert {name for name in entries if more[name].split == "val"} == carved, "adding videos moves none"
    before = {name: entry.split for name, entry in entries.items()}
    carve(entries)
    assert {name: entry.split for name, entry in entries.items()} == before


@given(st.lists(st.text("abc0123456789", min_size=1), min_size=1, max_size=80, unique=True))
def test_of_ten_or_more_videos_some_are_drawn_for_each_split(names):
    entries = {name: Entry() for name in names}
    draw(entries, sorted(names))
    splits = Counter(entry.split for entry in entries.values())
    assert splits.total() == len(names)
    if len(names) >= 10:
        assert set(splits) == {"train", "val", "test"}
    alone = {name: draw_split(name) for name in names}
    if set(alone.values()) == {"train", "val", "test"}:
        assert {name: entry.split for name, entry in entries.items()} == alone
    again = {name: Entry() for name in reversed(names)}
    draw(again, list(reversed(names)))
    assert again == entries


def test_splits_are_drawn_in_shares_by_the_id_alone():
    splits = [draw_split(f"{i}.mp4") for i in range(400)]
    shares = {split: splits.count(split) / 400 for split in ("train", "val", "test")}
    assert 0.7 < shares["train"] < 0.9
    assert shares["val"] > 0.04
    assert shares["test"] > 0.04

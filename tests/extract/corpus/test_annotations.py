"""Files of annotations: every layout read alike, files read as one, and mistakes named where they stand."""

import json

import pytest
from annotations import counts, msrvtt_file, table, written
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.corpus.annotations import clean, read
from videocap.extract.corpus.source import CorpusError
from videocap.extract.words import warning

CAPTIONS = st.sampled_from(["a man runs", "a man jogs", "a dog"])
TWICE = "captions_given_again"


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"videos": {"train": [1]}}, "not in MSR-VTT's layout"),
        ({"sentences": []}, "not in MSR-VTT's layout, lacks 'videos'"),
        ([], "not in MSR-VTT's layout"),
        ({"videos": [{"split": "test"}], "sentences": []}, "not in MSR-VTT's layout, lacks 'video_id'"),
        ({"videos": [{"video_id": 7}]}, "videos[0]: video_id must be a text, it is 7"),
        ({"videos": [{"video_id": "a", "split": "holdout"}]}, "videos[0]: a: split 'holdout' is none of"),
        ({"videos": [], "sentences": [{"video_id": "a"}]}, "lacks 'caption'"),
        ({"videos": [], "sentences": [{"video_id": "a", "caption": ["x"]}]}, "sentences[0]: caption must be a text"),
    ],
)
def test_another_layout_than_msrvtts_is_named(tmp_path, tree, says):
    with pytest.raises(CorpusError) as error:
        read([written(tmp_path / "info.json", json.dumps(tree))], "msrvtt")
    assert says in str(error.value)
    assert "info.json" in str(error.value)


def test_both_years_of_msrvtt_say_the_same(tmp_path):
    splits = {"video0": "train", "video1": "validate", "video2": "test"}
    captions = [("video0", "a man", 0), ("video1", "a cat", 1), ("video0", "a boy", 2), ("video2", "a dog", 3)]
    one = msrvtt_file(tmp_path / "videodatainfo.json", splits, captions, licence="none")
    first = msrvtt_file(tmp_path / "train_val.json", dict(list(splits.items())[:2]), captions[:3])
    second = msrvtt_file(tmp_path / "test.json", {"video2": "test"}, captions[3:])
    assert table([first, second], "msrvtt") == table([one], "msrvtt")
    assert table([one], "msrvtt")["video1"] == ("val", ("a cat",), {})
    assert counts([first, second], "msrvtt") == {}
    bare = written(tmp_path / "bare.json", json.dumps({"videos": [{"video_id": "video10000"}]}))
    assert table([one, bare], "msrvtt")["video10000"] == (None, (), {})


def test_what_is_odd_in_msrvtts_files_is_counted_with_an_example(tmp_path):
    first = msrvtt_file(
        tmp_path / "first.json",
        {"video0": "train"},
        [("video0", "a man", 0), ("video0", "a man", 1), ("video0", " . ", 2), ("video9", "a dog", 3)],
    )
    tree = json.loads(first.read_text())
    tree["videos"] *= 2
    tree["sentences"] += [tree["sentences"][0], {"video_id": "video0", "caption": "a boy", "sen_id": 1}]
    first.write_text(json.dumps(tree))
    assert table([first], "msrvtt") == {"video0": ("train", ("a man", "a man", "a boy"), {})}
    _, found = read([first], "msrvtt")
    assert list(map(warning, found.rows())) == [
        "1 captions given more than once, counted once: video0",
        "1 captions left out, of videos that the annotations do not list: video9",
        "1 captions with another's sen_id, kept: video0",
        "1 empty captions left out: video0",
        "1 videos listed more than once, merged: video0",
    ]


def test_a_sentence_in_two_files_counts_once_and_two_of_one_file_stay_two(tmp_path):
    ids = {"a": {"1": "a man runs", "2": "a man runs"}, "b": {"3": "a cat"}}
    numbered = written(tmp_path / "numbered.json", json.dumps(ids))
    copy = written(tmp_path / "copy.json", json.dumps(ids, indent=1))
    rows = written(tmp_path / "rows.csv", "video,caption\na,a man runs\na,a man runs\na,a man runs\nb,a cat\nb,a dog\n")
    again = written(tmp_path / "again.txt", "a a man runs\nb a dog\n")
    assert table([numbered, copy]) == table([numbered])
    assert counts([numbered, copy]) == {TWICE: 3, "videos_repeated": 2}
    assert {name: sorted(said[1]) for name, said in table([rows, again]).items()} == {
        "a": ["a man runs"] * 3,
        "b": ["a cat", "a dog"],
    }
    both = table([numbered, rows])
    assert both["a"][1] == ("a man runs",) * 3
    assert sorted(both["b"][1]) == ["a cat", "a dog"]


def test_a_video_may_be_named_without_a_caption_and_an_empty_one_is_counted(tmp_path):
    file = written(tmp_path / "c.json", json.dumps({"a": [], "b": ["x", "", None, "?!"]}))
    assert table([file]) == {"a": (None, (), {}), "b": (None, ("x",), {})}
    assert counts([file]) == {"empty_captions": 3}


def test_a_video_in_two_splits_is_named_with_both_files(tmp_path):
    first = msrvtt_file(tmp_path / "first.json", {"video0": "train"})
    second = msrvtt_file(tmp_path / "second.json", {"video0": "test"})
    with pytest.raises(CorpusError) as error:
        read([first, second], "msrvtt")
    said = str(error.value)
    assert "video0" in said
    assert all(part in said for part in ("first.json", "second.json", "train", "test"))


@given(st.lists(st.tuples(st.sampled_from("abc"), CAPTIONS, st.integers(0, 2)), max_size=12), st.booleans())
def test_a_file_of_msrvtt_split_anyhow_gives_the_same_table(tmp_path_factory, rows, listed_in_all):
    folder = tmp_path_factory.mktemp("split")
    splits = {name: "train" for name in "abc"}
    numbered = [(name, text, number) for number, (name, text, _) in enumerate(rows)]
    whole = msrvtt_file(folder / "whole.json", splits, numbered)
    parts = [
        msrvtt_file(
            folder / f"{part}.json",
            splits if listed_in_all or part == 1 else {},
            [row for row, (_, _, of) in zip(numbered, rows, strict=True) if of == part],
        )
        for part in range(3)
    ]
    assert table(parts, "msrvtt") == table([whole], "msrvtt") == table(parts[::-1], "msrvtt")
    assert table([whole, *parts], "msrvtt") == table([whole], "msrvtt")


@given(st.lists(st.tuples(st.sampled_from("abc"), CAPTIONS, st.integers(0, 2)), max_size=12), st.permutations(range(3)))
def test_the_order_of_files_does_not_matter(tmp_path_factory, rows, order):
    folder = tmp_path_factory.mktemp("order")
    files = []
    for part in range(3):
        mine = "".join(f"{name}\t{text}\n" for name, text, of in rows if of == part)
        files.append(written(folder / f"{part}.txt", mine))
    shuffled = [files[place] for place in order]
    assert table(shuffled) == table(files)
    assert counts(shuffled) == counts(files)


@given(st.text())
def test_a_caption_comes_out_on_one_line(text):
    assert len(clean(text).splitlines()) <= 1


def test_msvd_and_msrvtt_as_they_come(data):
    msvd = table([data / "msvd" / "captions.json"])
    assert {name: len(captions) for name, (_, captions, _) in msvd.items()} == {
        "WTf5EgVY5uU_124_128": 32,
        "j2Dhf-xFUxU_13_20": 33,
        "jPBxl9gFqNY_110_117": 45,
    }
    lines = table([data / "scoring" / "msvd_s2vt" / "references.txt"])
    assert len(lines) == 100
    assert sum(len(captions) for _, captions, _ in lines.values()) == 4290
    assert lines["vid1201"][1][0] == "a man is filling up a bag with meat"
    val = table([data / "msrvtt" / "val.json"])
    assert len(val) == 497
    assert {len(captions) for _, captions, _ in val.values()} == {20}
    assert val["video6774"][1][0] == "a group of people talking about food"

"""Captions and references of any layout, for scoring."""

import json

import pytest
from annotations import msrvtt_file

from videocap.extract.corpus.scored_files import load_captions, load_references
from videocap.extract.corpus.source import CorpusError


@pytest.mark.parametrize(
    "tree",
    [
        [{"video_id": "a", "caption": "x", "score": 1}, {"video_id": "b", "caption": ""}],
        {"version": "VERSION 1.0", "result": [{"video_id": "a", "caption": "x"}, {"video_id": "b", "caption": ""}]},
        {"a": "x", "b": ""},
    ],
)
def test_captions_are_read_from_each_layout(tmp_path, tree):
    (tmp_path / "captions.json").write_text(json.dumps(tree))
    assert load_captions(tmp_path / "captions.json") == {"a": "x", "b": ""}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"video_id": "b", "caption": "x"}, {"video_id": "b", "caption": "y"}]', "has two captions for b"),
        ('{"b": "x", "b": "y"}', "has 'b' twice"),
        ('{"result": [{"video_id": "b", "caption": "x"}, {"video_id": "b", "caption": "x"}]}', "two captions for b"),
        ('{"b": ["x"]}', "see number 1, 'b'"),
        ('[{"video_id": "a", "caption": "x"}, {"video": "b"}]', "see number 2"),
        ("3", "is neither a list of"),
        ("[{", "can't be read as JSON"),
    ],
)
def test_captions_that_are_none_or_twice_are_named(tmp_path, text, says):
    (tmp_path / "captions.json").write_text(text)
    with pytest.raises(CorpusError) as error:
        load_captions(tmp_path / "captions.json")
    assert says in str(error.value)
    assert "captions.json" in str(error.value)


@pytest.mark.parametrize("tree", [{"a": ["x", "y"], "b": ["z"]}, {"a": {"1": "x", "2": "y"}, "b": {"3": "z"}}])
def test_of_a_file_of_references_all_videos_count(tmp_path, tree):
    (tmp_path / "references.json").write_text(json.dumps(tree))
    assert load_references(tmp_path / "references.json", ["a"]) == ({"a": ["x", "y"], "b": ["z"]}, [])


@pytest.mark.parametrize("tree", [{"a": "x"}, {"a": [1]}, {"a": {"1": None}}, ["a"]])
def test_references_of_another_layout_are_named(tmp_path, tree):
    (tmp_path / "references.json").write_text(json.dumps(tree))
    with pytest.raises(CorpusError, match=r"references\.json: (a: )?(is )?neither"):
        load_references(tmp_path / "references.json", ["a"])


def test_of_msrvtts_file_the_references_are_the_splits_that_are_captioned(tmp_path):
    splits = {"a": "test", "b": "test", "c": "train", "silent": "test"}
    file = msrvtt_file(tmp_path / "info.json", splits, [("a", "x", 0), ("b", "y", 1), ("a", "z", 2), ("c", "w", 3)])
    assert load_references(file, ["a"])[0] == {"a": ["x", "z"], "b": ["y"]}
    assert set(load_references(file, ["a", "c"])[0]) == {"a", "b", "c"}
    with pytest.raises(CorpusError, match=r"info\.json: has no references for 2 captioned videos \(e, f\)"):
        load_references(file, ["a", "f", "e"])


def test_rows_are_references_too(data):
    references, _ = load_references(data / "scoring" / "msvd_s2vt" / "references.txt", ["vid1201"])
    assert len(references) == 100
    assert references["vid1201"][0] == "a man is filling up a bag with meat"


def test_lists_of_ids_replace_the_splits_of_annotations(tmp_path):
    splits = dict.fromkeys("abcd", "test")
    rows = [(name, "x", number) for number, name in enumerate("abcd")] + [("a", "", 9), ("nobody", "y", 10)]
    file = msrvtt_file(tmp_path / "info.json", splits, rows)
    (tmp_path / "JSFUSION_test.csv").write_text("key,video_id\nr0,a\nr1,c\n")
    references, warnings = load_references(file, ["a"], [tmp_path / "JSFUSION_test.csv"])
    assert references == {"a": ["x"], "c": ["x"]}
    assert warnings == [
        "1 captions left out, of videos that the annotations do not list: nobody",
        "1 empty captions left out: a",
    ]
    (tmp_path / "plain.json").write_text('{"a": ["x"]}')
    with pytest.raises(CorpusError, match=r"plain\.json: .* has no splits"):
        load_references(tmp_path / "plain.json", ["a"], [tmp_path / "JSFUSION_test.csv"])

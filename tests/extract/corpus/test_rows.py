"""Rows of captions: every layout says the same, and a mistake is named where it stands."""

import csv
import io
import json

import pytest
from annotations import counts, table, written
from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.corpus.annotations import read
from videocap.extract.corpus.source import CorpusError


def test_rows_say_caption_split_and_aspects_and_all_but_the_caption_is_optional(tmp_path):
    text = "video,caption,split,effect\na.mp4,a man runs,train,gets tired\na.mp4, a man \t jogs ,train,\n"
    text += "b.mp4,a cat,,\na.mp4,,,is proud\n"
    file = written(tmp_path / "captions.csv", text)
    assert table([file]) == {
        "a.mp4": ("train", ("a man runs", "a man jogs"), {"effect": ["gets tired", "is proud"]}),
        "b.mp4": (None, ("a cat",), {}),
    }
    assert counts([file]) == {}


def test_all_layouts_say_the_same(tmp_path):
    rows = [("a.mp4", "a man runs"), ("a.mp4", "a man runs"), ("b.mp4", "a cat, asleep")]
    lines = "".join(json.dumps({"video": name, "caption": text}) + "\n" for name, text in rows)
    mapping = {"a.mp4": ["a man runs"] * 2, "b.mp4": ["a cat, asleep"]}
    numbered = {"a.mp4": {"1": "a man runs", "2": "a man runs"}, "b.mp4": {"3": "a cat, asleep"}}
    files = {
        "rows.csv": 'video,caption\na.mp4,a man runs\na.mp4,a man runs\nb.mp4,"a cat, asleep"\n',
        "lines.jsonl": "\ufeff" + lines,
        "lines.json": lines,
        "mapping.json": json.dumps(mapping, indent=1),
        "numbered.json": "\ufeff" + json.dumps(numbered),
        "tabs.txt": "".join(f"{name}\t{text}\n" for name, text in rows),
        "blanks.txt": "# MSVD\n#\n\n" + "".join(f"{name} {text}\r\n" for name, text in rows),
    }
    tables = {name: table([written(tmp_path / name, text)]) for name, text in files.items()}
    assert tables["rows.csv"]["a.mp4"] == (None, ("a man runs", "a man runs"), {})
    assert all(one == tables["rows.csv"] for one in tables.values()), tables


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1), unique=True))
def test_any_name_is_read_alike_from_csv_and_json(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    names = [f"{name}.mp4" for name in names] + ["a.mp4"] * ("a" not in names)
    rows = io.StringIO()
    csv.writer(rows).writerows([["video", "caption"], *((name, "x") for name in names)])
    lines = "\n".join(json.dumps({"video": name, "caption": "x"}) for name in names)
    files = {"c.csv": rows.getvalue(), "c.jsonl": lines, "c.json": json.dumps({name: ["x"] for name in names})}
    for name, text in files.items():
        entries, found = read([written(folder / name, text)], "folder", set(names))
        assert sorted(entries) == sorted(names)
        assert found.rows() == []


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("name,caption\na,b", "c.csv", "line 1: no column `video`"),
        ("video,captions\na.mp4,x", "c.csv", "no column `caption` among video, captions"),
        ("video,caption,Splitt\na.mp4,x,test", "c.csv", "unknown column `splitt`; did you mean `split`?"),
        ("video,caption,split\na.mp4,x,trian", "c.csv", "line 2: split 'trian' is none of"),
        ("video,caption,split\na.mp4,x,train\na.mp4,y,test", "c.csv", "line 3: a.mp4 is in split test here"),
        ("video,caption\na.mp4,a man, a dog, walks", "c.csv", "line 2: more fields than columns: a text that holds a"),
        ('video,caption\na.mp4,"a man walks\nb.mp4,a dog', "c.csv", "can't be read: unexpected end of data"),
        ("video,caption,caption\na.mp4,x,y", "c.csv", "line 1: more than one column `caption`"),
        ('{"video": "a.mp4"}\n{"video": ', "c.jsonl", "line 2: not JSON"),
        ('{"video": "a"}\n{"video": "a", "caption": ' + "[" * 99999, "c.jsonl", "line 2: not JSON: maximum recursion"),
        ('{"video": "a", "caption": ' + "1" * 9999, "c.jsonl", "line 1: not JSON: Exceeds the limit"),
        ('{"caption": "x"}', "c.jsonl", "line 1: no `video`"),
        ("[1]", "c.jsonl", "line 1: not a JSON object"),
        ('{"video": "a.mp4", "caption": ["x", "y"]}', "c.jsonl", "line 1: `caption` must be a text"),
        ("[1]", "c.json", "is neither {video: [caption, …]} nor"),
        ('{"a": "x"}', "c.json", "a: neither [caption, …] nor {sentence id: caption}"),
        ('{"a": [1]}', "c.json", "a: `caption` must be a text"),
        ('{"a": ["x"], "a": ["y"]}', "c.json", "has 'a' twice"),
        ('{"videos": [], "sentences": []}', "c.json", 'set data.kind = "msrvtt"'),
        ("{", "c.json", "can't be read as JSON"),
    ],
)
def test_a_mistake_in_rows_is_named_with_its_place(tmp_path, text, name, says):
    with pytest.raises(CorpusError) as error:
        read([written(tmp_path / name, text)], "folder")
    assert says in str(error.value)
    assert str(tmp_path / name) in str(error.value)

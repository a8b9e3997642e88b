"""What is kept as data is put into words: today's codes, and what corpora had before there were any."""

import ast

from runs import ROOT

from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.words import LEFT_OUT, warning


def codes(argument: ast.expr) -> set[str]:
    """The codes that an argument may be: a literal, or one of two."""
    if isinstance(argument, ast.IfExp):
        return codes(argument.body) | codes(argument.orelse)
    assert isinstance(argument, ast.Constant), f"no code, so it can't be found here: {ast.unparse(argument)}"
    return {argument.value}


def test_each_code_that_is_counted_has_a_phrase_and_each_phrase_a_code():
    found = set()
    for path in (ROOT / "extract").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("left_out.add"):
                found |= codes(node.args[0])
    assert found == LEFT_OUT.keys()


def test_each_code_is_told_by_its_phrase():
    found = LeftOut()
    for code in reversed(LEFT_OUT):
        found.add(code, "a")
    assert [warning(row) for row in found.rows()] == [f"1 {LEFT_OUT[code]}: a" for code in sorted(LEFT_OUT)]


def test_some_names_are_examples_and_the_rest_is_hinted_at():
    found = LeftOut()
    for name in ("d", "b", "c", "a", "b\n"):
        found.add("empty_captions", name)
    found.add("empty_captions", "a", 5)
    found.add("videos_repeated", "a", 0)
    (row,) = found.rows()
    assert row == {"what": "empty_captions", "count": 10, "names": 5, "examples": ["a", "b", r"'b\n'"]}
    assert warning(row) == r"10 empty captions left out: a, b, 'b\n' …"


def test_what_an_earlier_corpus_kept_as_a_phrase_or_a_line_is_told_as_it_is():
    row = {"what": "videos left out, no caption", "count": 7, "names": 4, "examples": ["a", "b", "c"]}
    assert warning(row) == "7 videos left out, no caption: a, b, c …"
    assert warning("there are no val videos") == "there are no val videos"

"""V2C's annotations of commonsense, in the published format."""

import json

import pytest

from videocap.extract.corpus.annotations import Entry
from videocap.extract.corpus.commonsense import add_commonsense
from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.source import CorpusError

CAPTION = {
    "final_caption": ["a", "man", "cooks"],
    "intention": [["to eat", ["<sos>", "to", "eat", "<eos>"]], ["<sos> to eat <eos>", []], ["", ["to", "eat"]]],
    "effect": [["gets full", []]],
    "attribute": [],
}


def test_raw_strings_are_added_once_and_what_is_empty_or_unknown_is_counted(tmp_path):
    (tmp_path / "v2c.json").write_text(json.dumps({"video0": [CAPTION, CAPTION], "video8": [], "video9": [CAPTION]}))
    entries, found = {"video0": Entry(), "video1": Entry()}, LeftOut()
    add_commonsense(entries, tmp_path / "v2c.json", found)
    assert entries["video0"].aspects == {"intention": ["to eat"], "effect": ["gets full"]}
    assert entries["video1"].aspects == {}
    assert [(row["what"], row["count"], row["examples"]) for row in found.rows()] == [
        ("empty_commonsense", 3, ["video0", "video9"]),
        ("videos_with_commonsense_only", 2, ["video8", "video9"]),
    ]


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ('{"video0": [], "video0": []}', "has 'video0' twice"),
        ({"video0": [{"intention": ["to cook"]}]}, "video0: intention is not in V2C's layout"),
        ({"video0": [{"effect": [[]]}]}, "video0: effect is not in V2C's layout"),
        ({"video0": {"effect": []}}, "video0: intention is not in V2C's layout"),
        ([], "not in V2C's layout"),
    ],
)
def test_another_layout_is_named(tmp_path, tree, says):
    (tmp_path / "v2c.json").write_text(tree if isinstance(tree, str) else json.dumps(tree))
    with pytest.raises(CorpusError) as error:
        add_commonsense({"video0": Entry()}, tmp_path / "v2c.json", LeftOut())
    assert says in str(error.value)
    assert "v2c.json" in str(error.value)

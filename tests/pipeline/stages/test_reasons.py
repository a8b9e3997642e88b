"""Reasons: what differs between two recipes, told shortly and down to the field; also of history."""

from hypothesis import given
from hypothesis import strategies as st

from videocap.pipeline.stages.history import Earlier, nearest
from videocap.pipeline.stages.reasons import differences, waiting
from videocap.pipeline.words import reason as text
from videocap.pipeline.words import reasons as sentence

OLD = {
    "stage": "Train",
    "version": 1,
    "config": {"train.lr": 0.1, "train.seed": 0},
    "inputs": {"Corpus:captions.train.json": "aa", "FrameFeatures:train": "bb"},
    "code": "cc",
}


def changed(**parts) -> dict:
    return {**OLD, **{name: {**OLD[name], **value} if name in OLD else value for name, value in parts.items()}}


def test_a_changed_field_is_named_with_both_values():
    found = differences(OLD, changed(config={"train.lr": 0.2}))
    assert found == [{"what": "config", "field": "train.lr", "old": 0.1, "new": 0.2}]
    assert sentence(found) == "train.lr: 0.1 → 0.2"


def test_an_input_that_changed_is_told_from_one_that_is_not_known_yet():
    draft = changed(inputs={"Corpus:captions.train.json": "dd", "FrameFeatures:train": None})
    assert sentence(differences(OLD, draft)) == "Corpus changed; waits for FrameFeatures"
    assert [reason["field"] for reason in waiting(draft)] == ["FrameFeatures:train"]


def test_an_input_that_is_no_longer_read_is_not_waited_for():
    found = differences(OLD, {**OLD, "inputs": {"FrameFeatures:train": "bb"}})
    assert text(found[0]) == "Corpus:captions.train.json is no longer read"
    assert "waits" not in sentence(found)


def test_files_outside_are_named_one_by_one_or_as_not_read_yet():
    old = {**OLD, "outside": {"videos/a.mp4": "1", "videos/b.mp4": "2"}}
    new = {**OLD, "outside": {"videos/a.mp4": "3", "videos/c.mp4": "4"}}
    texts = [text(reason) for reason in differences(old, new)]
    assert texts == ["videos/a.mp4 is changed", "videos/b.mp4 is gone", "videos/c.mp4 is new"]
    unread = [{**reason, "unread": ["a", "b", "c", "d"]} for reason in differences(old, {**OLD, "outside": None})]
    assert sentence(unread) == "4 files new, touched or moved (a, b, c, …): will be read"


def test_code_and_versions_are_told_apart():
    assert sentence(differences(OLD, {**OLD, "code": "dd"})) == "code changed"
    assert sentence(differences(OLD, {**OLD, "version": 2})) == "version changed"
    assert sentence(differences({**OLD, "after": {"Decode": 1}}, {**OLD, "after": {"Decode": 2}})) == (
        "version of Decode changed"
    )


def test_many_reasons_are_cut_short():
    many = changed(config={f"train.{letter}": 1 for letter in "abcde"})
    assert sentence(differences(OLD, many)) == "train.a: None → 1; train.b: None → 1; train.c: None → 1; 2 more"


values = st.none() | st.integers(0, 2)
recipes = st.builds(
    lambda config, inputs, version: {"config": config, "inputs": inputs, "version": version},
    st.dictionaries(st.sampled_from("abc"), values),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["1", "2"])),
    st.integers(1, 2),
)


@given(recipes, recipes)
def test_recipes_differ_exactly_where_there_is_a_reason(one, other):
    found = differences(one, other)
    assert differences(one, one) == []
    assert len(found) == len(differences(other, one))
    for reason in found:
        assert reason["old"] != reason["new"]
        assert text(reason)


@given(st.lists(recipes, min_size=1), recipes)
def test_the_nearest_is_the_one_with_the_fewest_reasons_and_of_equals_the_first(many, draft):
    found = nearest([Earlier(recipe, 0.0, str(number)) for number, recipe in enumerate(many)], draft)
    counts = [len(differences(recipe, draft)) for recipe in many]
    assert int(found.experiment) == counts.index(min(counts))

"""The scenes of the demo's world: captions that can be judged, splits that are honest, words that are few."""

from collections import Counter

from videocap.extract.toy.scene import COLOURS, EVENTS, LAMPS, SHAPES, SKIES, describe, judge, judge_aspect, scenes


def test_every_wording_of_every_scene_is_judged_right_by_its_own_scene_only():
    drawn = scenes(600, seed=1)
    meaning = {scene["video"]: (scene["colour"], scene["shape"], *scene["events"]) for scene in drawn}
    for scene in drawn:
        for line in describe(scene, seed=1):
            for other in (scene, *drawn[:40]):
                same = meaning[other["video"]] == meaning[scene["video"]]
                assert judge(line["caption"], other)["all"] == same, line["caption"]


def test_judge_tells_what_is_wrong():
    scene = {"colour": "red", "shape": "ball", "events": ["jump", "grow"]}

    def wrong(caption: str) -> list[str]:
        return [aspect for aspect, right in judge(caption, scene).items() if not right]

    assert wrong("A red ball hops, and then it gets bigger.") == []
    assert wrong("a blue ball jumps and then grows") == ["actor", "all"]
    assert wrong("a red ring jumps and then grows") == ["actor", "all"]
    assert wrong("a red ball and a blue ring jumps and then grows") == ["actor", "all"]
    assert wrong("a red ball grows and then jumps") == ["order", "all"]
    assert wrong("a red ball jumps") == ["events", "order", "all"]
    assert wrong("a red ball jumps and then jumps") == ["events", "order", "all"]
    assert wrong("a red ball jumps and then shrinks") == ["events", "order", "all"]
    assert wrong("") == ["actor", "events", "order", "all"]


def test_intention_and_effect_are_what_no_caption_says():
    drawn = scenes(600, seed=0)
    lines = [(scene, line) for scene in drawn for line in describe(scene, seed=0)]
    for scene, line in lines:
        assert all(judge_aspect(aspect, line[aspect], scene) for aspect in ("intention", "effect", "attribute"))
        for aspect, wrong in (
            ("intention", {"sky": SKIES}),
            ("effect", {"lamp": [[a, b] for a in LAMPS for b in LAMPS]}),
        ):
            ((field, values),) = wrong.items()
            right = [judge_aspect(aspect, line[aspect], {**scene, field: value}) for value in values]
            assert sum(right) * (3 if aspect == "intention" else 2) == len(values)
    for event in EVENTS:  # whatever happens, each sky and each lamp is about as frequent
        some = [scene for scene in drawn if event in scene["events"]]
        assert all(abs(sum(s["sky"] == sky for s in some) / len(some) - 1 / 3) < 0.12 for sky in SKIES)
        assert abs(sum(s["lamp"][1] == "on" for s in some) / len(some) - 1 / 2) < 0.12


def test_half_of_test_shows_actors_in_events_that_train_and_val_never_show():
    drawn = scenes(600, seed=0)
    split = Counter(scene["split"] for scene in drawn)
    assert split == {"train": 450, "val": 60, "test": 90}
    shown = {
        (scene["colour"], scene["shape"], event)
        for scene in drawn
        if scene["split"] != "test"
        for event in scene["events"]
    }
    test = [scene for scene in drawn if scene["split"] == "test"]
    assert sum(not scene["seen"] for scene in test) == 45
    for scene in test:
        combinations = {(scene["colour"], scene["shape"], event) for event in scene["events"]}
        assert len(combinations - shown) == (0 if scene["seen"] else 1)
    # Their parts are all known: each colour and each shape in each event.
    assert {(colour, event) for colour, _, event in shown} == {(c, e) for c in COLOURS for e in EVENTS}
    assert {(shape, event) for _, shape, event in shown} == {(s, e) for s in SHAPES for e in EVENTS}
    for name in split:
        two = sum(len(scene["events"]) == 2 for scene in drawn if scene["split"] == name)
        assert abs(two - split[name] / 2) <= 1


def test_the_vocabulary_is_small_and_every_word_frequent():
    lines = [line for scene in scenes(600, seed=0) for line in describe(scene, seed=0)]
    words = Counter(
        word
        for line in lines
        for part in ("caption", "intention", "effect", "attribute")
        for word in line[part].split()
    )
    assert len(words) < 125
    assert min(words.values()) >= 50, words.most_common()[-3:]

"""Controls: what stands beside the model, and what is told right, counted by hand."""

import json
from types import SimpleNamespace

from model import controls
from model.report import METRICS, score_table

SCENES = {
    "a": {"colour": "red", "shape": "ball", "events": ["jump"], "seen": True},
    "b": {"colour": "red", "shape": "ring", "events": ["jump", "roll"], "seen": True},
    "c": {"colour": "blue", "shape": "ball", "events": ["roll", "jump"], "seen": True},
    "d": {"colour": "blue", "shape": "star", "events": ["grow"], "seen": True},
    "e": {"colour": "blue", "shape": "star", "events": ["push", "grow"], "seen": False},
}
CAPTIONS = {
    "a": "a red ball hops",  # all of it
    "b": "a red ring rolls away and then jumps",  # not the order
    "c": "a red ball rolls along and then hops",  # not the actor
    "d": "a blue star shrinks",  # the actor only
    "e": "a blue star pushes the block and then grows",
}


def test_what_is_told_right_is_a_share_of_each_half():
    shares = controls.told_right(CAPTIONS, SCENES)
    assert shares["seen"] == {"clips": 4, "actor": 0.75, "events": 0.75, "order": 0.5, "all": 0.25}
    assert shares["unseen"] == {"clips": 1, "actor": 1.0, "events": 1.0, "order": 1.0, "all": 1.0}
    assert list(controls.told_right(CAPTIONS, {name: SCENES[name] for name in "abcd"} | {"e": SCENES["a"]})) == ["seen"]


def test_the_table_shows_the_halves_there_are():
    row = dict.fromkeys(METRICS, 0.5) | {"told_right": controls.told_right(CAPTIONS, SCENES)}
    scores = {"split": "test", "videos": 5, "protocol": "coco", **row, "controls": {"trained: one frame": row}}
    lines = score_table(scores).splitlines()
    assert lines[-1].split() == "trained: one frame 0.75 0.75 0.50 0.25 1.00 1.00 1.00 1.00".split()
    del row["told_right"]["unseen"]
    assert score_table(scores).splitlines()[-1].split() == "trained: one frame 0.75 0.75 0.50 0.25".split()


def test_trained_controls_are_scored_beside_the_model(tmp_path):
    def file(name: str, value: object) -> dict:
        (tmp_path / name).write_text(json.dumps(value))
        return tmp_path / name

    def captions(texts: dict[str, str]) -> list[dict[str, str]]:
        return [{"video_id": name, "caption": text} for name, text in texts.items()]

    truth = tmp_path / "scenes.jsonl"
    truth.write_text("".join(json.dumps({"video": name, **scene}) + "\n" for name, scene in SCENES.items()))
    references = {name: [text] for name, text in CAPTIONS.items()}
    controls.make(
        tmp_path,
        SimpleNamespace(score=SimpleNamespace(protocol="v2c", split="test", controls=("no_distillation",))),
        captions=file("captions.json", captions(CAPTIONS)),
        references=file("references.json", references),
        train=file("train.json", references),
        scenes=truth,
        no_distillation=file("other.json", captions(dict.fromkeys(CAPTIONS, "a red ball hops"))),
    )
    scores = json.loads((tmp_path / "scores.json").read_text())
    beside = scores["controls"]["trained: no distillation"]
    assert scores["BLEU-1"] > 0.99 > beside["BLEU-1"]
    assert scores["told_right"] == controls.told_right(CAPTIONS, SCENES)
    assert beside["told_right"]["seen"] == {"clips": 4, "actor": 0.25, "events": 0.25, "order": 0.25, "all": 0.25}

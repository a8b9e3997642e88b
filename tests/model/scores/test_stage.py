"""The scores of an experiment: captions, aspects by completion, controls, each video, and how sure they are."""

import json
from types import SimpleNamespace

import pytest
from scenes import CAPTIONS, SCENES

from videocap.model.config import METRICS, ScoreConfig
from videocap.model.scores import demo, references, stage
from videocap.model.scores.metrics import score
from videocap.model.vocabulary import SPECIAL, Vocabulary


@pytest.fixture
def results(tmp_path):
    """Files that a stage has written, by name; and what comes of the inputs."""

    def file(name: str, value: object):
        (tmp_path / name).write_text(json.dumps(value))
        return tmp_path / name

    def run(rows: list[dict[str, str]], wanted: dict, aspects: dict, protocol: str = "v2c", **more) -> dict:
        config = SimpleNamespace(
            score=SimpleNamespace(protocol=protocol, split="test", controls=tuple(more.pop("controls", ())))
        )
        texts, sides = file("captions.test.json", wanted), file("aspects.test.json", aspects)
        references.make(tmp_path, config, captions=texts, aspects=sides)
        trained = {name: file(f"{name}.json", of) for name, of in more.pop("trained", {}).items()}
        made = {"captions": file("captions.json", rows), "references": tmp_path / "references.json", "train": texts}
        made |= {"paraphrases": tmp_path / "paraphrases.gz"}
        near = [{"video_id": row["video_id"], "caption": "a man talks"} for row in rows]
        made |= {"neighbours": file("near.json", near), "vocabulary": tmp_path / "vocabulary.json"}
        Vocabulary((*SPECIAL, "a", "ball", "red")).save(made["vocabulary"])
        stage.make(tmp_path, config, **made, **trained, **more)
        return {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("scores", "video_scores")}

    return run


def captions(texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"video_id": name, "caption": text} for name, text in texts.items()]


def test_trained_controls_are_scored_beside_the_model(results, tmp_path):
    truth = tmp_path / "scenes.jsonl"
    truth.write_text("".join(json.dumps({"video": name, **scene}) + "\n" for name, scene in SCENES.items()))
    other = captions(dict.fromkeys(CAPTIONS, "a red ball hops"))
    wanted = {name: [text] for name, text in CAPTIONS.items()}
    found = results(
        captions(CAPTIONS), wanted, {}, scenes=truth, controls=["no_distillation"], trained={"no_distillation": other}
    )
    scores, videos = found["scores"], found["video_scores"]
    beside = scores["controls"]["trained: no distillation"]
    assert scores["BLEU-1"] > 0.99 > beside["BLEU-1"]
    assert scores["told_right"] == demo.told_right(CAPTIONS, SCENES)
    assert beside["told_right"]["seen"] == {"clips": 4, "actor": 0.25, "events": 0.25, "order": 0.25, "all": 0.25}
    assert scores["aspects"] == {}
    assert beside["ahead"][0] <= scores["CIDEr"] - beside["CIDEr"] <= beside["ahead"][1]
    assert scores["controls"]["nearest training videos"]["BLEU-1"] < 0.5
    assert scores["quality"]["known"] == 3
    assert sorted(videos["caption"]) == sorted(CAPTIONS)
    assert videos["caption"]["a"]["ROUGE-L"] == 1.0
    for metric in METRICS:
        low, high = scores["interval"][metric]
        assert low <= scores[metric] <= high


def test_an_aspect_is_scored_against_all_its_references_of_the_videos_that_have_some(results, meteor):
    rows = [
        {"video_id": "a", "caption": "A man, walks", "intention": "to get home", "effect": "gets tired"},
        {"video_id": "b", "caption": "a dog", "intention": "to eat a bone", "effect": "gets fat"},
        {"video_id": "c", "caption": "a cat", "intention": "to sleep"},
    ]
    wanted = {"a": ["a man, walks home"], "b": ["a dog eats"], "c": ["a cat sleeps"], "without caption": ["x"]}
    intentions = {"a": ["to go home.", "to get out"], "b": ["to eat"]}
    aspects = {name: {"intention": texts} for name, texts in intentions.items()} | {"c": {"attribute": ["lazy"]}}
    scores, videos = results(rows, wanted, aspects, "coco").values()
    made = {row["video_id"]: row["caption"] for row in rows}
    assert {m: scores[m] for m in METRICS} == score(made, {v: wanted[v] for v in made}, "coco", meteor).corpus
    told = {row["video_id"]: row["intention"] for row in rows if row["video_id"] in intentions}
    expected = score(told, intentions, "coco", meteor)
    interval = scores["aspects"]["intention"].pop("interval")
    assert scores["aspects"] == {"intention": {"videos": 2, **expected.corpus}}
    assert interval["CIDEr"][0] <= expected.corpus["CIDEr"] <= interval["CIDEr"][1]
    assert videos["intention"] == expected.videos


def test_a_split_without_videos_is_told_before_anything_is_trained(tmp_path):
    (tmp_path / "none.json").write_text("{}")
    config = SimpleNamespace(score=ScoreConfig(split="val"))
    with pytest.raises(ValueError, match=r"the val split has no videos to score: choose another score\.split"):
        references.make(tmp_path, config, captions=tmp_path / "none.json", aspects=tmp_path / "none.json")

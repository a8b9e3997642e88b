"""Two experiments side by side: figures, a paired interval, the videos that differ; and what is not comparable."""

import json

import pytest

from videocap.model.config import METRICS
from videocap.model.scores.comparison import compare
from videocap.model.scores.metrics import score

REFERENCES = {
    f"v{i}": [f"a {animal} sleeps on the sofa", f"the {animal} is asleep"] for i, animal in enumerate("abcdefgh")
}
GOOD = {name: texts[0] for name, texts in REFERENCES.items()}


@pytest.fixture
def results(tmp_path, meteor):
    """Writes the results of captions, as a run shows them."""

    def write(name: str, captions: dict[str, str], **changes):
        folder = tmp_path / name
        folder.mkdir()
        scores = score(captions, {video: REFERENCES[video] for video in captions}, "v2c", meteor)
        files = {
            "scores": {"split": "test", "protocol": "v2c", "videos": len(captions), "references": "1", **scores.corpus},
            "video_scores": {"caption": scores.videos, "effect": scores.videos},
            "captions": [{"video_id": video, "caption": text} for video, text in captions.items()],
        }
        files["scores"] |= {"aspects": {"effect": scores.corpus}, **changes}
        for file, value in files.items():
            (folder / f"{file}.json").write_text(json.dumps(value))
        return folder

    return write


def test_the_difference_and_its_interval_and_the_videos_behind_it(results):
    worse = GOOD | {"v3": "nothing of the kind", "v5": "a f sleeps on the"}
    found = compare(results("one", GOOD), results("two", worse), most=3)
    assert found["videos"] == 8
    for metric in METRICS:
        row = found["metrics"][metric]
        assert row["difference"] == row["second"] - row["first"] < 0
        low, high = row["interval"]
        assert low <= row["difference"] <= high <= 1e-9, "no draw makes it better"
    assert [row["video_id"] for row in found["differ"]][:2] == ["v3", "v5"]
    assert found["aspects"] == {"effect": found["metrics"]}
    assert found["differ"][0]["captions"] == [GOOD["v3"], "nothing of the kind"]


def test_the_same_captions_do_not_differ(results):
    found = compare(results("one", GOOD), results("two", GOOD))
    assert all(row["difference"] == 0 and row["interval"] == [0, 0] for row in found["metrics"].values())


def test_what_is_not_comparable_is_refused(results, tmp_path):
    one = results("one", GOOD)
    for changes, says in (
        ({"split": "val"}, "split is test in .* val in"),
        ({"protocol": "coco"}, "protocol is v2c in .* coco in"),
        ({"references": "2"}, "different references"),
        ({"captions": {name: text for name, text in GOOD.items() if name != "v7"}}, "1 videos .* such as v7"),
    ):
        other = results(str(len(says)), changes.pop("captions", GOOD), **changes)
        with pytest.raises(ValueError, match=says):
            compare(one, other)
    (one / "captions.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="not as an experiment writes them"):
        compare(one, one)
    (one / "video_scores.json").unlink()
    with pytest.raises(ValueError, match=r"has no video_scores\.json: run the experiment again"):
        compare(one, one)

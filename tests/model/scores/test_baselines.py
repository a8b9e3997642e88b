"""Controls: what stands beside the model, and what is told right, counted by hand."""

from scenes import CAPTIONS, SCENES

from videocap.model.config import METRICS
from videocap.model.report.text import score_table
from videocap.model.scores import demo


def test_what_is_told_right_is_a_share_of_each_half():
    shares = demo.told_right(CAPTIONS, SCENES)
    assert shares["seen"] == {"clips": 4, "actor": 0.75, "events": 0.75, "order": 0.5, "all": 0.25}
    assert shares["unseen"] == {"clips": 1, "actor": 1.0, "events": 1.0, "order": 1.0, "all": 1.0}
    assert list(demo.told_right(CAPTIONS, {name: SCENES[name] for name in "abcd"} | {"e": SCENES["a"]})) == ["seen"]


def test_the_table_shows_the_halves_there_are():
    row = dict.fromkeys(METRICS, 0.5) | {"told_right": demo.told_right(CAPTIONS, SCENES), "ahead": [-0.1, 0.1]}
    quality = {"distinct": 1.0, "words": 9, "known": 20, "copied": 0.0, "broken_off": 0.2, "repeated": []}
    spread = {"interval": {metric: [0.4, 0.6] for metric in METRICS}, "aspects": {}}
    scores = {
        "split": "test",
        "videos": 5,
        "protocol": "coco",
        **row,
        **spread,
        "quality": quality,
        "controls": {"trained: one frame": row},
    }
    lines = score_table(scores).splitlines()
    assert lines[1].startswith(
        "The model is not ahead of: trained: one frame (CIDEr 0.500; the difference lies between"
    )
    assert lines[2] == "Captions: 100% distinct, 9 of 20 known words used, 0% copied from training, 20% break off"
    assert lines[-1].split() == "trained: one frame 0.75 0.75 0.50 0.25 1.00 1.00 1.00 1.00".split()
    del row["told_right"]["unseen"]
    assert score_table(scores).splitlines()[-1].split() == "trained: one frame 0.75 0.75 0.50 0.25".split()

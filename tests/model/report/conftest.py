"""A report of one video, and what it is made from."""

import json
from types import SimpleNamespace

import pytest
from reports import COUNTS, PAPER, report
from videos import synthetic

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.video.sampler import in_folder
from videocap.model.config import METRICS
from videocap.pipeline.digests import file_digest


@pytest.fixture
def inputs(tmp_path):
    scores = {"split": "test", "videos": 1, "protocol": "coco", "controls": {}} | dict.fromkeys(METRICS, 0.5)
    scores |= {"quality": {"distinct": 1.0, "words": 3, "known": 9, "copied": 0.0, "broken_off": 0.0, "repeated": []}}
    scores |= {"interval": {metric: [0.4, 0.6] for metric in METRICS}, "aspects": {}}
    inputs = {
        "scores": ("scores.json", json.dumps(scores)),
        "video_scores": ("video_scores.json", json.dumps({"caption": {"a.mp4": {"CIDEr": 1.25}}})),
        "captions": ("captions.json", json.dumps([{"video_id": "a.mp4", "caption": "a <b>dog</b> runs"}])),
        "references": ("captions.test.json", json.dumps({"a.mp4": ["a dog runs"]})),
        "counts": ("counts.json", json.dumps(COUNTS)),
        "curves": ("curves.csv", "epoch,step,lr,loss,caption,val_cider\n1,10,0.1,4.0,3.0,0.2\n2,20,0.1,2.0,1.5,0.8\n"),
    }
    for name, text in inputs.values():
        (tmp_path / name).write_text(text)
    files = {key: tmp_path / name for key, (name, _) in inputs.items()}
    files["model"] = tmp_path / "model"
    files["model"].mkdir()
    for name in ("config.json", "model.safetensors", "vocabulary.json"):
        (files["model"] / name).write_text(name)
    (tmp_path / "videos").mkdir()
    clip = synthetic(tmp_path / "videos" / "a.mp4", "-pix_fmt yuv420p")
    (tmp_path / "table.json").write_text(json.dumps([["a.mp4", file_digest(clip)]]))
    shown = {"videos": clip.parent, "sampling": SimpleNamespace(decode=DecodeConfig(), encoder=EncoderConfig())}
    shown |= {"sampler": in_folder}
    return {"failures": [], "table": tmp_path / "table.json", "paper": PAPER, **shown, **files}


@pytest.fixture
def results(tmp_path, inputs):
    return report(tmp_path / "made", inputs)

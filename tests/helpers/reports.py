"""Reports of a result of one video."""

from types import SimpleNamespace

from videocap.model.report import stage
from videocap.tasks import CONFIGS

COUNTS = {
    "annotated": {"train": {"videos": 3, "captions": 9}, "test": {"videos": 1, "captions": 1}},
    "kept": {"train": {"videos": 2, "captions": 9}, "test": {"videos": 1, "captions": 1}},
    "left_out": [{"what": "videos_no_caption", "count": 1, "names": 1, "examples": ["<odd>"]}],
    "remarks": [],
}

PAPER = CONFIGS / "ablations" / "table1.toml"


def report(made, inputs):
    made.mkdir()
    stage.make(made, SimpleNamespace(data=SimpleNamespace(kind="folder")), **inputs)
    return made

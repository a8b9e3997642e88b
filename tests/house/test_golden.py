"""The output of each stage whose code is in no key, held against golden values for its hand-raised version.

If one of these tests fails and the new output is right: raise the stage's `version` in tasks.py, so that nobody
mixes old and new results, and write the new values by `PYTHONPATH=tests/helpers python tests/house/test_golden.py`.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from runs import ROOT
from weights import save_random

from videocap import tasks
from videocap.extract import features as extraction
from videocap.extract.config import DataConfig, DecodeConfig, EncoderConfig, ToyClipConfig, ToyWorldConfig
from videocap.extract.corpus import corpus
from videocap.extract.shards import shard as shards
from videocap.extract.toy import clip as toyclip
from videocap.extract.toy import world as toyworld
from videocap.pipeline import digests
from videocap.pipeline.config import load
from videocap.pipeline.same_results import SAME_RESULTS
from videocap.pipeline.stages.experiment import Experiment

GOLDEN = Path(__file__).with_name("golden.json")
DEMO = Experiment(load(tasks.Config, tasks.DEFAULT_CONFIG), tasks.Report).order
STAGES = [stage.__name__ for stage in DEMO if stage.makes and stage.by_version]
CLIP = "video7010.mp4"
CAPTIONS = ["a red ball jumps and falls", "two people are talking in a kitchen"]
SHARD = {"key": "0" * 64, "spec": {}}


def config(**sections) -> SimpleNamespace:
    return SimpleNamespace(
        toyworld=ToyWorldConfig(clips=20),
        toyclip=ToyClipConfig(steps=2),
        decode=DecodeConfig(frames=3),
        encoder=EncoderConfig(weights="toyclip", pixels=32, precision="fp32", device="cpu"),
        **sections,
    )


@cache
def outputs(data: Path) -> dict[str, list]:
    """What each stage makes of the same input everywhere, in a few numbers and digests."""
    with tempfile.TemporaryDirectory() as name:
        return _outputs(data, Path(name))


def _outputs(data: Path, folder: Path) -> dict[str, list]:
    world, table, clip = (folder / name for name in ("world", "table", "clip"))
    for place in (world, table, clip):
        place.mkdir()
    made = {}

    toyworld.make(world, config())
    video = item(sorted((world / "videos").iterdir())[0])
    extraction.decode_shard(folder / "toy.h5", config(), **SHARD, items=[video], videos=world / "videos")
    made["ToyWorld"] = [text_digest(world / "captions.jsonl"), *pictures(folder / "toy.h5")]

    info = json.loads((data / "msrvtt" / "videodatainfo_sample.json").read_text())
    for number, row in enumerate(info["videos"]):
        row["split"] = ("train", "validate", "test")[number % 3]
    (folder / "info.json").write_text(json.dumps(info))
    source = DataConfig(kind="msrvtt", videos=data, annotations=folder / "info.json")
    digests = {f"videos/{path.name}": path.name for path in data.glob("msrvtt/videos*/*.mp4")}
    corpus.make(table, config(data=source), digests=digests)
    made["Corpus"] = [text_digest(path) for path in sorted(table.iterdir())]

    digests = {f"videos/{path.name}": path.name for path in (world / "videos").iterdir()}
    corpus.make(folder, config(data=DataConfig()), digests=digests, toyworld=world)
    parts = {"table": folder / "videos.train.json", "captions": folder / "captions.train.json"}
    toyclip.make(clip, config(), **parts, videos=world / "videos")
    made["ToyClip"] = [float(value.double().abs().mean()) for value in weights(clip / "clip.pt")]

    (folder / "clips").mkdir()
    shutil.copy(data / "msrvtt" / "videos" / CLIP, folder / "clips")
    frames = folder / "frames.h5"
    of_clip = {"items": [item(folder / "clips" / CLIP)], "videos": folder / "clips", **SHARD}
    extraction.decode_shard(frames, config(), **of_clip)
    made["DecodeShard"] = [*pictures(frames), *numbers(shards.read(frames).times)]

    checkpoint = (str(save_random(folder / "tiny.pt", "tiny")), None)
    features = folder / "features.h5"
    before = SimpleNamespace(rows={of_clip["items"][0][1]: frames}, failures={})
    extraction.embed_frames_shard(features, config(), **of_clip, before=before, checkpoint=checkpoint)
    made["EmbedFramesShard"] = numbers(shards.read(features).values[:, :8])

    texts = [(text, hashlib.sha256(text.encode()).hexdigest()) for text in CAPTIONS]
    extraction.embed_captions_shard(folder / "texts.h5", config(), **SHARD, items=texts, checkpoint=checkpoint)
    made["EmbedCaptionsShard"] = numbers(shards.read(folder / "texts.h5").values[:, :8])
    return made


def item(path: Path) -> tuple[str, str]:
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def text_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pictures(shard: Path) -> list[float]:
    """The mean colours of a 4 by 4 grid of each frame."""
    values = shards.read(shard).values.astype(float)
    return numbers(values.reshape(len(values), 4, 8, 4, 8, 3).mean(axis=(2, 4)))


def numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in np.asarray(values, float).ravel()]


def weights(checkpoint: Path) -> list:
    import torch

    state = torch.load(checkpoint, weights_only=True)
    names = ("visual.attnpool.c_proj.weight", "text_projection", "logit_scale", "visual.conv1.weight", "ln_final.bias")
    return [state[name] for name in names]


def test_every_stage_whose_code_is_in_no_key_has_golden_values():
    assert set(json.loads(GOLDEN.read_text())) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_output_stays_while_the_version_stays(stage, data):
    golden = json.loads(GOLDEN.read_text())[stage]
    assert golden["version"] == getattr(tasks, stage).version, (
        "write new golden values: PYTHONPATH=tests/helpers python tests/house/test_golden.py"
    )
    found = outputs(data)[stage]
    assert [value for value in found if isinstance(value, str)] == [v for v in golden["output"] if isinstance(v, str)]
    found, expected = ([v for v in values if isinstance(v, float)] for values in (found, golden["output"]))
    # what processors differ by, which is far less than what a change of the code makes
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=5e-4)


def test_what_is_said_to_give_the_same_results_is_code_that_there_is():
    """An entry of same_results.py that no stage's code has any more is to be deleted."""
    makers = {value.makes.split(":")[0] for value in vars(tasks).values() if getattr(value, "makes", "")}
    there = {digests._code_digest(module, ())[0] for module in makers}
    assert set(SAME_RESULTS) <= there


if __name__ == "__main__":
    found = outputs(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data")
    rows = [{"version": getattr(tasks, name).version, "output": found[name]} for name in STAGES]
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in zip(STAGES, rows, strict=True)]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")

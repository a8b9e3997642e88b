"""Shards are filled right: batches cross videos, lost frames are decoded again, bad videos are listed."""

import hashlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runs import FOLDER
from weights import random_resnet, save_random

from videocap import tasks
from videocap.extract import features as extraction
from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.encoders import load as encoders
from videocap.extract.shards import shard
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.pack import Pack
from videocap.pipeline.stores.plans import plan

KEY = "0" * 64


@pytest.fixture(scope="module")
def clips(data, tmp_path_factory):
    """Three real clips and a damaged one, as (folder, items)."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("video7010.mp4", "video7013.mp4"):
        shutil.copy(data / "msrvtt" / "videos" / name, folder)
    shutil.copy(data / "msrvtt" / "videos_low_fps" / "video8133.mp4", folder)
    shutil.copy(data / "edge_cases" / "corrupted.mp4", folder / "video9999.mp4")
    paths = sorted(folder.glob("*.mp4"))
    return folder, [(path.stem, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> tuple[str, str]:
    path = save_random(tmp_path_factory.mktemp("weights") / "clip.pt", "tiny")
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def config(**encoder):
    sizes = {"weights": "toyclip", "pixels": 32, "precision": "fp32", **encoder}
    return SimpleNamespace(decode=DecodeConfig(frames=5), encoder=EncoderConfig(**sizes))


def index(rows=None, failures=None):
    return SimpleNamespace(rows=rows or {}, failures=failures or {})


def call(clips, checkpoint) -> dict:
    return {"key": KEY, "spec": {}, "items": clips[1], "videos": clips[0], "checkpoint": checkpoint}


@pytest.fixture(scope="module")
def decoded(clips, tmp_path_factory):
    folder, items = clips
    path = tmp_path_factory.mktemp("frames") / "frames.h5"
    return path, extraction.decode_shard(path, config(), key=KEY, spec={}, items=items, videos=folder)


def test_frames_that_do_not_fit_into_memory_wait_on_disk(clips, decoded, tmp_path, monkeypatch):
    folder, items = clips
    monkeypatch.setattr(extraction, "MOST_HELD", 20_000)  # one video of three
    path = tmp_path / "frames.h5"
    extraction.decode_shard(path, config(), key=KEY, spec={}, items=items, videos=folder)
    assert path.read_bytes() == decoded[0].read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_good_videos_are_written_and_the_damaged_one_is_listed_with_its_reason(clips, decoded):
    path, written = decoded
    _, items = clips
    assert written["digests"] == [digest for _, digest in items[:3]]
    assert [failure["id"] for failure in written["failures"]] == ["video9999"]
    assert "is damaged" in written["failures"][0]["reason"]
    frames = shard.read(path)
    assert frames.values.shape == (15, 32, 32, 3)
    assert frames.ids == ("video7010", "video7013", "video8133")
    assert "ffmpeg" in written["provenance"]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 15, 100])
def test_features_do_not_depend_on_where_batches_end(clips, decoded, checkpoint, tmp_path, batch_size):
    path, written = decoded
    have = index(dict.fromkeys(written["digests"], path), {f["digest"]: f for f in written["failures"]})
    out = tmp_path / "features.h5"
    result = extraction.embed_frames_shard(out, config(batch_size=batch_size), before=have, **call(clips, checkpoint))
    assert result["failures"] == written["failures"]
    features, frames = shard.read(out), shard.read(path)
    encoder = encoders.load(checkpoint[0], "cpu", "fp32")
    for item in range(3):
        np.testing.assert_allclose(features[item], encoder.encode(frames[item]), atol=2e-3)
    np.testing.assert_array_equal(features.times, frames.times)


def test_without_its_frames_an_embed_shard_decodes_them_itself(clips, decoded, checkpoint, tmp_path):
    path, written = decoded
    have = index(dict.fromkeys(written["digests"], path), {f["digest"]: f for f in written["failures"]})
    results = [
        extraction.embed_frames_shard(tmp_path / name, config(), before=frames, **call(clips, checkpoint))
        for name, frames in (("with", have), ("without", index()))
    ]
    assert results[0]["content"] == results[1]["content"]
    assert results[0]["failures"] == results[1]["failures"]


@pytest.mark.parametrize(("item", "says"), [(0, "has changed since the corpus was read"), (None, "no longer there")])
def test_a_file_that_is_no_longer_what_the_corpus_read_is_an_error_and_no_failure(clips, tmp_path, item, says):
    folder, items = clips
    name = "absent" if item is None else items[item][0]
    with pytest.raises(extraction.SourceChanged, match=says):
        extraction.decode_shard(
            tmp_path / "frames.h5", config(), key=KEY, spec={}, items=[(name, "f" * 64)], videos=folder
        )


def test_a_checkpoint_that_was_replaced_is_refused(clips, checkpoint, tmp_path):
    replaced = call(clips, (checkpoint[0], "f" * 64))
    with pytest.raises(extraction.SourceChanged, match="has changed while this ran"):
        extraction.embed_frames_shard(tmp_path / "x.h5", config(), before=index(), **replaced)


def test_a_resnet_embeds_what_is_decoded_for_it_and_nothing_else(clips, tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save(random_resnet(), path)
    checkpoint = str(path), hashlib.sha256(path.read_bytes()).hexdigest()
    takes = {"pixels": 224, "resize": 256, "interpolation": "bilinear"}
    arguments = call(clips, checkpoint) | {"items": clips[1][:1], "before": index()}
    written = extraction.embed_frames_shard(tmp_path / "features.h5", config(**takes), **arguments)
    assert written["provenance"]["computed"].endswith("fp32")
    features = shard.read(tmp_path / "features.h5").values
    extraction.decode_shard(
        tmp_path / "frames.h5", config(**takes), key=KEY, spec={}, items=clips[1][:1], videos=clips[0]
    )
    expected = encoders.load(path, "cpu", "fp32").encode(np.asarray(shard.read(tmp_path / "frames.h5").values))
    assert features.shape == expected.shape == (5, 2048)
    np.testing.assert_allclose(features, expected, atol=5e-3)
    with pytest.raises(ValueError, match=r"takes 256 pixels before the crop, not 224: set encoder\.resize=256"):
        extraction.embed_frames_shard(tmp_path / "x.h5", config(**takes | {"resize": None}), **arguments)
    captions = {"key": KEY, "spec": {}, "items": [("a dog", "d")], "checkpoint": checkpoint}
    with pytest.raises(ValueError, match=r"resnet\.pth embeds no text: set text_encoder\.weights to a CLIP"):
        extraction.embed_captions_shard(tmp_path / "x.h5", config(), **captions)


@pytest.mark.slow
def test_a_compiled_encoder_is_on_the_record(clips, decoded, checkpoint, tmp_path):
    have = index(dict.fromkeys(decoded[1]["digests"], decoded[0]))
    arguments = call(clips, checkpoint) | {"items": clips[1][:3], "before": have}
    eager, compiled = (
        extraction.embed_frames_shard(tmp_path / f"{on}.h5", config(batch_size=4, compile=on), **arguments)
        for on in (False, True)
    )
    assert (eager["provenance"]["computed"], compiled["provenance"]["computed"]) == ("cpu fp32", "cpu fp32 compiled")
    ours, expected = (np.asarray(shard.read(tmp_path / f"{on}.h5").values) for on in (True, False))
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_captions_are_embedded_one_row_each(checkpoint, tmp_path):
    texts = ["a man is singing", "a dog", "a man is singing and then a dog barks at him"]
    items = [(text, hashlib.sha256(text.encode()).hexdigest()) for text in texts]
    extraction.embed_captions_shard(
        tmp_path / "captions.h5", config(batch_size=2), key=KEY, spec={}, items=items, checkpoint=checkpoint
    )
    features = shard.read(tmp_path / "captions.h5")
    assert features.ids == tuple(texts)
    expected = encoders.load(checkpoint[0], "cpu", "fp32").encode_text(texts)
    np.testing.assert_allclose(features.values, expected, atol=2e-3)


def test_captions_that_were_cut_are_counted_and_told(checkpoint, tmp_path):
    def embedded(*texts):
        items = [(text, hashlib.sha256(text.encode()).hexdigest()) for text in texts]
        place = tmp_path / f"{len(texts)}.h5"
        return extraction.embed_captions_shard(place, config(), key=KEY, spec={}, items=items, checkpoint=checkpoint)

    assert embedded("a dog", "word " * 75)["provenance"]["truncated"] == []
    cut = embedded("a dog", "word " * 76, "a man " * 60)["provenance"]["truncated"]
    assert cut == [hashlib.sha256(text.encode()).hexdigest() for text in ("word " * 76, "a man " * 60)]


def test_captions_that_were_cut_are_told_of_whenever_they_are_used(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("not looked at")
    (tmp_path / "captions.csv").write_text(f"video,caption,split\na.mp4,a dog,train\na.mp4,{'word ' * 80},train\n")
    (tmp_path / "experiment.toml").write_text(
        FOLDER.replace("clip.pt", checkpoint[0]).replace("pixels = 64", "pixels = 32")
    )
    experiment = Experiment(load(tasks.Config, tmp_path / "experiment.toml"), tasks.Report)
    tasks.Corpus.of(experiment).run()
    spec = tasks.EmbedCaptionsShard.of(experiment)
    wanted = spec.gather.rows.items()
    others = [("word " * 90, "c" * 64)]  # of another experiment with the same text encoder
    place, packs = plan(spec.store, [*wanted, *others], retry=0, attempt=0, shard_size=2)
    assert spec.counted() == {"cut": 0}
    for number, pack in enumerate(packs):
        Pack.of(spec, place.relative_to(spec.artifacts.root).as_posix(), number, pack).run()
    assert spec.counted() == {"cut": 1}
    (told,) = spec.gather.product.warnings()
    assert told == "1 captions are longer than the text encoder reads, and were cut for it"

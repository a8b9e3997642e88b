"""CLIPs give the numbers of OpenAI's module, in every precision; also of `clip_transformers`."""

import json

import numpy as np
import pytest
import torch
from frames import cosine, some_frames
from weights import openai_model, random_state, save_random

from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.load import load, read_state
from videocap.extract.encoders.openai_clip import MEAN, STD, build, clip

TINY = ["tiny", "tiny ResNet"]

FULL = [pytest.param(name, marks=pytest.mark.slow) for name in ("ViT-B/16", "ViT-B/32", "RN50")]


@pytest.mark.parametrize("name", TINY + FULL)
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("bf16", 0.9999), ("fp16", 0.9999)])
def test_frames_agree_with_openais_module(tmp_path, name, precision, least):
    encoder = load(save_random(tmp_path / "clip.pt", name), "cpu", precision)
    frames = some_frames(4, encoder.pixels)
    with torch.inference_mode():
        expected = openai_model(random_state(name)).encode_image(normalize(torch.from_numpy(frames), MEAN, STD)).numpy()
    ours = encoder.encode(frames)
    assert ours.dtype == np.float32
    assert ours.shape == (4, encoder.width) == expected.shape
    assert cosine(ours, expected).min() >= least
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), np.linalg.norm(expected, axis=1), rtol=0.02)


@pytest.mark.parametrize("name", ["tiny", pytest.param("ViT-B/16", marks=pytest.mark.slow)])
def test_captions_agree_with_all_77_positions(data, tmp_path, name):
    sentences = json.loads((data / "msrvtt/videodatainfo_sample.json").read_text())["sentences"]
    texts = [*[sentence["caption"] for sentence in sentences][:60], "", "word " * 200, "señor 🙂 ﬁn"]
    encoder = load(save_random(tmp_path / "clip.pt", name), "cpu", "fp32")
    with torch.inference_mode():
        expected = openai_model(random_state(name)).encode_text(clip.tokenize(texts, truncate=True)).numpy()
    np.testing.assert_allclose(encoder.encode_text(texts, batch_size=16), expected, atol=1e-5, rtol=0)
    for precision in ("bf16", "fp16"):
        encoder = load(tmp_path / "clip.pt", "cpu", precision)
        assert cosine(encoder.encode_text(texts, batch_size=16), expected).min() >= 0.9999


def test_fp32_weights_are_not_rounded(tmp_path):
    state = {key: value.float() for key, value in random_state("tiny").items()}
    state["visual.conv1.weight"] += 1e-6
    torch.save(state, tmp_path / "clip.pt")
    model = build(read_state(tmp_path / "clip.pt")).eval()
    assert torch.equal(model.visual.conv1.weight, state["visual.conv1.weight"])


@pytest.mark.parametrize("name", TINY)
def test_fp32_computes_with_the_weights_as_they_are(tmp_path, name):
    state = {key: value.float() for key, value in random_state(name).items()}
    state = {key: value * 1.0003 if "weight" in key else value for key, value in state.items()}
    torch.save(state, tmp_path / "clip.pt")
    encoder = load(tmp_path / "clip.pt", "cpu", "fp32")
    frames, texts = some_frames(4, encoder.pixels), ["a dog barks", "a man is singing on a stage"]
    exact = build(dict(state)).eval()
    with torch.inference_mode():
        images, tokens = (
            exact.encode_image(normalize(torch.from_numpy(frames), MEAN, STD)),
            exact.encode_text(clip.tokenize(texts)),
        )
    for ours, theirs in ((encoder.encode(frames), images), (encoder.encode_text(texts), tokens)):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5, rtol=1e-5)
    rounded = openai_model(state).encode_image(normalize(torch.from_numpy(frames), MEAN, STD)).detach().numpy()
    assert not np.allclose(rounded, images.numpy(), atol=1e-5, rtol=1e-5), "the test would notice"


def test_captions_that_are_cut_are_counted(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    fits = "word " * 75  # with its start and end, the 77 tokens
    assert encoder.cut(["", "a dog", fits]) == [False, False, False]
    assert encoder.cut([fits + "word", "a dog", "b!" * 100]) == [True, False, True]

"""Encoders give the numbers of OpenAI's module."""

import hashlib
import json
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from frames import cosine, some_frames
from pydantic import ValidationError
from weights import random_state, save_random

from videocap.extract.config import OPENAI_MODELS, EncoderConfig
from videocap.extract.device import cpu_multiplies_bf16, resolve
from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.load import load, read_state
from videocap.extract.encoders.openai_clip import MEAN, STD, build, clip

TINY = ["tiny", "tiny ResNet"]
FULL = [pytest.param(name, marks=pytest.mark.slow) for name in ("ViT-B/16", "ViT-B/32", "RN50")]


def openai_model(state):
    """OpenAI's own module, computing in fp32."""
    return clip.model.build_model(dict(state)).float()


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


def test_nothing_in_gives_nothing_out(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    assert encoder.encode(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, 48)
    assert encoder.encode_text([]).shape == (0, 48)


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


def test_only_openais_own_torchscript_archives_load(tmp_path, monkeypatch):
    class Archive(torch.nn.Module):
        def __init__(self, state):
            super().__init__()
            for key, value in state.items():
                *parents, leaf = key.split(".")
                module = self
                for parent in parents:
                    if not hasattr(module, parent):
                        module.add_module(parent, torch.nn.Module())
                    module = getattr(module, parent)
                module.register_buffer(leaf, value)
            self.register_buffer("input_resolution", torch.tensor(32))

        def forward(self, x):
            return x

    state = random_state("tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(Archive(state)).save(str(tmp_path / "archive.pt"))
    with pytest.raises(ValueError, match="a TorchScript program, and not OpenAI's own"):
        read_state(tmp_path / "archive.pt")
    digest = hashlib.sha256((tmp_path / "archive.pt").read_bytes()).hexdigest()
    monkeypatch.setitem(OPENAI_MODELS, "mine", (digest, 32))
    assert set(read_state(tmp_path / "archive.pt")) == {*state, "input_resolution"}
    model = build(read_state(tmp_path / "archive.pt")).eval()
    assert torch.equal(model.visual.proj, state["visual.proj"].float())
    encoder = load(tmp_path / "archive.pt", "cpu", "fp32")
    frames = some_frames(2, 32)
    with torch.inference_mode():
        expected = openai_model(state).encode_image(normalize(torch.from_numpy(frames), MEAN, STD)).numpy()
    np.testing.assert_allclose(encoder.encode(frames), expected, atol=1e-5)


def test_frames_of_another_size_or_type_are_refused_with_both(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    with pytest.raises(ValueError, match="32 x 32 x 3, not uint8 of 64 x 64 x 3"):
        encoder.encode(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="not float32 of 32 x 32 x 3"):
        encoder.encode(np.zeros((1, 32, 32, 3), np.float32))


@pytest.mark.parametrize(
    ("weights", "given", "says"),
    [
        ("ViT-B/16", {"pixels": 256}, "ViT-B/16 takes 224 pixels, not 256: set encoder.pixels=224"),
        (
            "ResNet-152",
            {},
            "256 pixels before the crop, not 224; bilinear interpolation, not bicubic: "
            "set encoder.resize=256 encoder.interpolation=bilinear",
        ),
    ],
)
def test_a_named_model_wants_its_own_preprocessing(weights, given, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        EncoderConfig(weights=weights, **given)
    EncoderConfig(weights="ViT-L/14@336px", pixels=336, resize=336)
    EncoderConfig(weights="ResNet-152", resize=256, interpolation="bilinear")


def test_a_checkpoint_is_held_against_the_config(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32), "clip.pt")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32, resize=32), "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt takes 32 pixels, not 64: set encoder\.pixels=32"):
        encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=64), "clip.pt")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32, resize=40), "clip.pt")  # others' choice


def test_captions_that_are_cut_are_counted(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    fits = "word " * 75  # with its start and end, the 77 tokens
    assert encoder.cut(["", "a dog", fits]) == [False, False, False]
    assert encoder.cut([fits + "word", "a dog", "b!" * 100]) == [True, False, True]


@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "empty",
        "cut",
        "not a dict",
        "another model",
        "one tensor missing",
        "numbered",
        "odd width",
        "narrow",
        "few tokens",
    ],
)
def test_a_file_that_is_no_clip_is_named(tmp_path, kind):
    path = tmp_path / "other.pt"
    if kind == "text":
        path.write_text("no weights")
    elif kind == "empty":
        path.touch()
    elif kind == "cut":
        save_random(path, "tiny")
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "not a dict":
        torch.save([1, 2], path)
    elif kind == "another model":
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    elif kind == "one tensor missing":
        state = random_state("tiny")
        del state["visual.ln_post.bias"]
        torch.save(state, path)
    elif kind == "numbered":
        torch.save({1: torch.zeros(2)}, path)
    elif kind in ("odd width", "narrow"):
        width = 200 if kind == "odd width" else 32
        torch.save(random_state("tiny") | {"visual.conv1.weight": torch.zeros(width, 3, 8, 8)}, path)
    elif kind == "few tokens":
        torch.save(random_state("tiny") | {"token_embedding.weight": torch.zeros(100, 128)}, path)
    with pytest.raises(ValueError, match=r"other\.pt is not a (CLIP )?checkpoint"):
        load(path, "cpu", "fp32")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"visual.proj": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ValueError, match=r"bomb\.pt is not a checkpoint"):
        load(tmp_path / "bomb.pt", "cpu", "fp32")
    assert not (tmp_path / "ran").exists()


def test_an_absent_checkpoint_names_the_models_there_are():
    with pytest.raises(ValueError, match=r"no checkpoint 'ViT-B16'.*ViT-B/16"):
        load("ViT-B16", "cpu", "fp32")


def test_the_table_of_openais_models_is_the_packages():
    digests = {name: url.split("/")[-2] for name, url in clip.clip._MODELS.items()}
    assert {name: digest for name, (digest, _) in OPENAI_MODELS.items()} == digests


def test_device_and_precision_are_resolved():
    assert resolve("cpu", "fp32").dtype == torch.float32
    assert resolve("cpu", "auto").dtype == (torch.bfloat16 if cpu_multiplies_bf16() else torch.float32)
    assert resolve("cpu", "auto", training=True).dtype == torch.float32
    with resolve("cpu", "bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with resolve("cpu", "fp32").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    for device in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=device):
            resolve(device, "auto")
    with pytest.raises(ValueError, match="fp8"):
        resolve("cpu", "fp8")


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_compiled_gives_the_same_numbers_with_one_shape(tmp_path, name):
    encoder = load(save_random(tmp_path / "clip.pt", name), "cpu", "bf16")
    frames = some_frames(7, encoder.pixels)
    expected = encoder.encode(frames)
    assert encoder.computed == "cpu bf16"
    encoder.compile(4)
    assert encoder.computed == "cpu bf16 compiled"
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    ours = np.concatenate([encoder.encode(frames[:4]), encoder.encode(frames[4:])])
    encoder.compile(4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs, "nothing is compiled for a short batch"
    assert ours.shape == expected.shape
    assert cosine(ours, expected).min() >= 0.9999


# Luigi's workers are forks of a process that has not computed with torch; this one has
FORK = """
import os, sys
import numpy as np
from videocap.extract import encoders
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    encoder = encoders.load(sys.argv[1], "cpu", "fp32")
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = encoder.encode(frames)
    encoder.compile(2)
    np.testing.assert_allclose(encoder.encode(frames), expected, atol=1e-4)
except ValueError as error:
    print(error)
    os._exit(3)
os._exit(0)
"""


def compile_in_a_fork(tmp_path, **environment) -> subprocess.CompletedProcess:
    weights = save_random(tmp_path / "clip.pt", "tiny")
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), **environment}
    command = [sys.executable, "-c", FORK, str(weights)]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=300)


@pytest.mark.slow
def test_a_forked_process_compiles(tmp_path):
    assert compile_in_a_fork(tmp_path).returncode == 0


@pytest.mark.slow
def test_without_a_compiler_the_error_names_the_field(tmp_path):
    done = compile_in_a_fork(tmp_path, PATH="/nowhere", CXX="/nowhere/g++")
    assert done.returncode == 3
    assert "encoder.compile: torch can't do that here, set it to false" in done.stdout
    assert "No working C++ compiler" in done.stdout

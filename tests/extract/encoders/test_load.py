"""Checkpoints are found and believed only if they are what they should be."""

import hashlib
import resource
import warnings
import zipfile

import numpy as np
import pytest
import torch
from frames import some_frames
from safetensors.torch import save_file
from weights import openai_model, random_state, save_random

from videocap.extract.config import OPENAI_MODELS
from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.load import load, read_state
from videocap.extract.encoders.openai_clip import MEAN, STD, build, clip


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


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused_before_it_takes_memory(tmp_path):
    torch.save({"positional_embedding": torch.zeros(25, 1 << 20)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert (tmp_path / "bomb.pt").stat().st_size < 10 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"bomb\.pt is not a checkpoint of an encoder: .*it would unpack to 100 MB"):
        read_state(tmp_path / "bomb.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_safetensors_give_the_same_encoder(tmp_path):
    state = random_state("tiny")
    torch.save(state, tmp_path / "clip.pt")
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "clip.safetensors")
    one, other = (load(tmp_path / name, "cpu", "fp32") for name in ("clip.pt", "clip.safetensors"))
    pictures = some_frames(3, one.pixels)
    np.testing.assert_array_equal(one.encode(pictures), other.encode(pictures))
    (tmp_path / "clip.safetensors").write_bytes((tmp_path / "clip.safetensors").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"clip\.safetensors is not a checkpoint of an encoder"):
        read_state(tmp_path / "clip.safetensors")

"""A captioner's folder is the one that was trained; a stranger's that claims what it has not is refused, in a line."""

import json
import os
import shutil
import struct
import tracemalloc

import pytest
import torch
from captioner import D_IN, config, training_data, videos, vocabulary
from safetensors.torch import load_file, save_file
from training import run, sign

from videocap.model.captioner import saved


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(tmp_path_factory.mktemp("trained"), config(("intention",), epochs=1), videos(8))


@pytest.fixture
def folder(trained, tmp_path):
    """A copy, to be harmed."""
    return shutil.copytree(trained, tmp_path / "folder")


def test_a_loaded_model_is_the_trained_one(trained):
    (model,), words = saved.load(trained)
    of = videos(8)
    assert words == vocabulary(of)
    assert not model.training
    assert list(model.aspects) == ["intention"]
    assert model.feature_mean.shape == (D_IN,)
    torch.testing.assert_close(model.feature_mean, training_data(of).statistics()[0])
    for name, value in load_file(trained / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], value)


def change(folder, *path, value):
    """Another value in config.json."""
    about = json.loads((folder / "config.json").read_text())
    inside = about
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    (folder / "config.json").write_text(json.dumps(about))


NETWORK = ("networks", 0)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ((*NETWORK, "d_in"), 10**6, r"model\.safetensors does not fit config\.json and vocabulary\.json: f"),
        ((*NETWORK, "d_in"), 2**70, "d_in = 1180591620717411303424 is more than"),
        (("generate",), {"length_penalty": 700.0}, "length_penalty = 700"),
        (("generate",), {"temperature": 1e-300, "method": "sample"}, None),
        (("decode",), {"sampling": "fps", "fps": 1e308}, "fps = 1e"),
        (("made_by",), "x\x1b[31m", r"made_by: Value error, has letters that can't be shown"),
        (("networks",), "TWICE", "names a file of weights twice"),
        (("networks",), "WIDER", "see features of different widths"),
        (("x\ny" * 100,), 1, r"is not the config of a captioner: x\\ny"),
        ((*NETWORK, "decoder", "layers"), 3, r"does not fit config\.json and vocabulary\.json: decoder\.layers\.2"),
        ((*NETWORK, "decoder", "layers"), 10**9, r"layers = 1000000000 is more than any captioner needs \(128\)"),
        ((*NETWORK, "decoder", "width"), 10**9, "width = 1000000000 is more than"),
        ((*NETWORK, "aspects", "queries"), 10**9, "queries = 1000000000 is more than"),
        ((*NETWORK, "file"), "../../model.safetensors", r"is not the config of a captioner: networks\.0\.file"),
        ((*NETWORK, "sha256"), "0" * 64, r"model\.safetensors is not the file that config\.json names"),
        (("vocabulary_sha256",), "0" * 64, r"vocabulary\.json is not the file that config\.json names"),
        (("networks",), [], r"is not the config of a captioner: networks"),
        (("format",), 2, r"is not the config of a captioner: format"),
        (("run",), "rm", r"is not the config of a captioner: run"),
        (("generate",), {"beam": 10**8}, "beam = 100000000 is more than"),
        (("decode",), {"frames": 10**8}, r"is not the config of a captioner: decode\.frames"),
        (("decode",), {"frames": 4096}, None),
    ],
)
def test_what_config_json_claims_is_checked_before_anything_is_built(folder, path, value, says):
    if value == "TWICE":
        value = 2 * json.loads((folder / "config.json").read_text())["networks"]
    if value == "WIDER":
        (one,) = json.loads((folder / "config.json").read_text())["networks"]
        value = [one, one | {"file": "model-2.safetensors", "d_in": one["d_in"] + 1}]
    change(folder, *path, value=value)
    if says is None:
        assert saved.load(folder)
        return
    tracemalloc.start()
    with pytest.raises(ValueError, match=says):
        saved.load(folder)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_what_is_not_for_a_stranger_to_say_is_not_taken(folder):
    change(folder, "decode", value={"frames": 7, "timeout": 1e9, "max_pixels": 10**12})
    change(folder, "generate", value={"beam": 2, "models": ["/etc"], "batch_size": 10**9})
    about = saved.read(folder)
    assert (about.decode.frames, about.decode.timeout, about.decode.max_pixels) == (7, 120.0, 8192 * 8192)
    assert (about.generate.beam, about.generate.models, about.generate.batch_size) == (2, (), 64)


def test_files_that_are_damaged_missing_or_too_large_are_named(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for content in (b"", whole[:100], whole[:-10], b"\xff" * 200, struct.pack("<Q", 1 << 60) + whole[8:]):
        weights.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
            saved.load(folder)
    weights.unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        saved.load(folder)
    for text in ("", "[]", "{}", "{" * 100_000, "\0"):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json: is not the config of a captioner"):
            saved.load(folder)
    with (folder / "config.json").open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(ValueError, match=r"config\.json has more than 1 MB"):
        saved.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"is no captioner's folder: config\.json: No such file"):
        saved.load(folder)
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        make(folder / "config.json")
        with pytest.raises(ValueError, match=r"is no captioner's folder: config\.json: is not a regular file"):
            saved.load(folder)
        (folder / "config.json").unlink()


def test_words_that_would_steer_a_terminal_are_refused(folder):
    for word in ("\x1b[31m", "a\nb", "\u202e"):
        words = vocabulary(videos(8)).words
        (folder / "vocabulary.json").write_text(json.dumps({"words": [*words[:-1], word]}))
        sign(folder)
        with pytest.raises(ValueError, match="has letters that can't be shown"):
            saved.load(folder)
    (folder / "vocabulary.json").write_text("[" * 100_000)
    sign(folder)
    with pytest.raises(ValueError, match="is not a vocabulary"):
        saved.load(folder)


def test_numbers_of_another_type_or_name_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    for harm, says in (
        ({"bias": weights["bias"].double()}, "bias is torch.float64"),
        ({"bias": weights["bias"][1:].clone()}, "bias"),
        ({"more": torch.zeros(3)}, "more"),
    ):
        save_file(weights | harm, folder / "model.safetensors")
        sign(folder)
        with pytest.raises(ValueError, match=f"does not fit .*{says}"):
            saved.load(folder)


def test_another_vocabulary_does_not_go_with_the_weights(folder):
    vocabulary(videos(3)).save(folder / "vocabulary.json")
    sign(folder)
    with pytest.raises(ValueError, match=r"does not fit config\.json and vocabulary\.json: bias, embedding\.weight"):
        saved.load(folder)

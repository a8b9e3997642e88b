"""Encoders take frames of one size, and give the same numbers when they are compiled, in forks, too."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from frames import cosine, some_frames
from weights import save_random

from videocap.extract.encoders.load import load

TINY = ["tiny", "tiny ResNet"]


def test_nothing_in_gives_nothing_out(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    assert encoder.encode(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, 48)
    assert encoder.encode_text([]).shape == (0, 48)


def test_frames_of_another_size_or_type_are_refused_with_both(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    with pytest.raises(ValueError, match="32 x 32 x 3, not uint8 of 64 x 64 x 3"):
        encoder.encode(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="not float32 of 32 x 32 x 3"):
        encoder.encode(np.zeros((1, 32, 32, 3), np.float32))


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
from videocap.extract.encoders.load import load
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    encoder = load(sys.argv[1], "cpu", "fp32")
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

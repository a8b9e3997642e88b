"""Frozen encoders, found by name or read from a checkpoint: whatever architecture its tensors are of."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file

from videocap.extract.config import MODELS, OPENAI_MODELS
from videocap.extract.device import Precision, resolve
from videocap.extract.encoders import openai_clip, resnet
from videocap.extract.encoders.encoder import Encoder
from videocap.extract.files import sha256

# Each is a module with FORMAT (what its checkpoints are called), NAMES (of models that `download` finds), `recognises`
# (state dicts of it), `build` (the module of one, in fp32, or any error) and `encoder` (of such a module). The first
# takes what none recognises, and says what it lacks.
ARCHITECTURES = (openai_clip, resnet)


def load(weights: str | Path, device: str = "auto", precision: Precision = "auto") -> Encoder:
    """Load an encoder.

    Args:
        weights: name of a model in `extract.config.MODELS` (downloaded when first needed, by OpenAI's code to
            ~/.cache/clip or by torch's to its own cache), or the path of a checkpoint: of a CLIP in OpenAI's format (a
            state dict saved by torch, or their TorchScript archive), or one of torchvision's ResNet-18 to -152.
        device, precision: see `extract.device.resolve`.

    Raises:
        ValueError: if there is no such model, or the file is no such checkpoint.
    """
    where = resolve(device, precision)
    state = read_state(find(str(weights)))
    kind = next((kind for kind in ARCHITECTURES if kind.recognises(state)), ARCHITECTURES[0])
    try:
        model = kind.build(state)
    except (KeyError, IndexError, RuntimeError, ZeroDivisionError, ValueError, AssertionError, TypeError) as error:
        raise ValueError(f"{weights} is not a {kind.FORMAT}: {_one_line(error)}; {_CURE}") from error
    return kind.encoder(model.requires_grad_(False).eval(), where)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, on the CPU and as stored, without running any code of a stranger's in it.

    Raises:
        ValueError: if the file holds no tensors by name.
    """
    try:
        if Path(path).suffix == ".safetensors":
            state = load_file(path)  # whose sizes are checked against the file's
        elif _is_torchscript(path):
            # such an archive is a program: only OpenAI's own are run
            if sha256(path) not in {sha for sha, _ in OPENAI_MODELS.values()}:
                raise ValueError("a TorchScript program, and not OpenAI's own; save its state_dict() instead")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch would rather have no such archives
                state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            _check_unpacked(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # a damaged file makes torch raise anything
        raise ValueError(f"{path} is not a checkpoint of an encoder: {_one_line(error)}; {_CURE}") from error
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a checkpoint of an encoder: it holds no plain state dict; {_CURE}")
    size = path.stat().st_size
    claimed = 0
    for key, value in state.items():
        claimed += value.numel() * value.element_size()
        plain = value.layout == torch.strided and not (value.is_meta or value.is_complex() or value.is_quantized)
        if not plain or claimed > 2 * size:  # a file may claim any shape; some tensors may share their values
            raise ValueError(f"{path} is not a checkpoint of an encoder: {key} is no plain tensor; {_CURE}")
    return state


def find(weights: str) -> Path:
    """The checkpoint's file, downloaded if need be.

    Raises:
        ValueError: if there is no such model or file, or no network.
    """
    try:
        for kind in ARCHITECTURES:
            if weights in kind.NAMES:
                return kind.download(weights)
    except (URLError, ConnectionError, TimeoutError) as error:
        cure = "run again with a network, or name a file of it in encoder.weights or text_encoder.weights"
        raise ValueError(f"{weights} can't be downloaded ({_one_line(error)}): {cure}") from error
    if not os.path.isfile(weights):
        raise ValueError(f"there is no checkpoint {weights!r}, and the models with a name are {', '.join(MODELS)}")
    return Path(weights)


def _check_unpacked(path: Path) -> None:
    """Raise ValueError for an archive that would take far more memory than room on disk: torch packs nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > 2 * os.path.getsize(path):
            raise ValueError(f"it would unpack to {size >> 20} MB, {size // os.path.getsize(path)} times its size")


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


_CURE = "name another file or model in encoder.weights or text_encoder.weights"


def _one_line(error: Exception) -> str:
    """The first sentence: torch's go on about its own options."""
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return " ".join(f"{type(error).__name__}: {error}".split()).split(". ")[0][:200]

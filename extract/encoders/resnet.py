"""torchvision's ResNets as image encoders (Table 2's ResNet-152): pooled features in front of the classifier."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet, ResNet152_Weights

from videocap.extract.config import RESNET_GEOMETRY
from videocap.extract.device import Device
from videocap.extract.encoders.encoder import Autocast, Encoder

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as in the preprocessing that torchvision publishes with its weights
STD = (0.229, 0.224, 0.225)
FORMAT = "ResNet-18, -34, -50, -101 or -152 in torchvision's format"
NAMES = {"ResNet-152": ResNet152_Weights.IMAGENET1K_V1.url}


def recognises(state: dict[str, Tensor]) -> bool:
    """Whether a state dict names its tensors as torchvision's ResNets do."""
    return {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight"} <= state.keys()


def build(state: dict[str, Tensor]) -> ResNet:
    """Build the ResNet that a state dict is of, in fp32 and without its classifier.

    The state dict may be of any number of torchvision's blocks, with or without `fc`; of another architecture raises
    RuntimeError or ValueError.
    """
    state = {key: value.float() for key, value in state.items() if not key.startswith("fc.")}
    layers = [len({key.split(".")[1] for key in state if key.startswith(f"layer{i}.")}) for i in range(1, 5)]
    if 0 in layers:
        raise ValueError(f"its four layers have {layers} blocks")
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model = ResNet(Bottleneck if "layer1.0.conv3.weight" in state else BasicBlock, layers)
    model.fc = nn.Identity()
    model.load_state_dict(state, assign=True)
    return model


def encoder(model: ResNet, where: Device) -> Encoder:
    """The encoder of what `build` gives, on its device."""
    width = model.layer4[-1].bn2.num_features * model.layer4[-1].expansion
    return Encoder(Autocast(model, where), width, RESNET_GEOMETRY, where, MEAN, STD)


def download(name: str) -> Path:
    """The file of a model with a name, downloaded to torch's own cache when first needed; see `fetch`."""
    return fetch(NAMES[name])


def fetch(url: str) -> Path:
    """The file of an address, downloaded to torch's own cache when first needed.

    Args:
        url: whose file name ends in the first digits of the file's sha256, as torchvision's do.

    Raises:
        ValueError: if the file in the cache is another one.
        OSError: if it can't be downloaded.
        RuntimeError: if what came is another file.
    """
    place = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    prefix = place.stem.rpartition("-")[2]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(place), hash_prefix=prefix)
    with open(place, "rb") as file:
        if not hashlib.file_digest(file, "sha256").hexdigest().startswith(prefix):
            raise ValueError(f"{place} is damaged, its sha256 does not start with {prefix}: delete it and run again")
    return place

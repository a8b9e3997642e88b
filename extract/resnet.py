"""torchvision's ResNets as image encoders (Table 2's ResNet-152): pooled features in front of the classifier."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet, ResNet152_Weights

from extract.device import Device

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as in the preprocessing that torchvision publishes with its weights
STD = (0.229, 0.224, 0.225)
WIDTH = 512 * Bottleneck.expansion
URL = ResNet152_Weights.IMAGENET1K_V1.url


class Autocast:
    """A module that embeds images, as `VisionTransformer` is called: CLIP's ResNets and torchvision's.

    Autocast keeps the weights in fp32 and does convolutions in 16 bits. Folding the batch norms into 16 bit
    convolutions was 6 % faster on the CPU and had half again the error.
    """

    def __init__(self, visual: nn.Module, where: Device):
        self.visual, self.where = visual.to(where.device, memory_format=torch.channels_last), where

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images, float32 (B, 3, H, W), to embeddings, float32 (B, width)."""
        with self.where.autocast():
            return self.visual(images).float()


def is_resnet(state: dict[str, Tensor]) -> bool:
    """Whether a state dict names its tensors as torchvision's ResNets do."""
    return {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight"} <= state.keys()


def build(state: dict[str, Tensor], name: str) -> ResNet:
    """Build the ResNet that a state dict is of, in fp32 and without its classifier.

    Args:
        state: of torchvision's ResNet-50, -101, -152 or another number of such blocks; with or without `fc`.
        name: of the checkpoint, for the error.

    Raises:
        ValueError: if it is of another architecture.
    """
    state = {key: value.float() for key, value in state.items() if not key.startswith("fc.")}
    layers = [len({key.split(".")[1] for key in state if key.startswith(f"layer{i}.")}) for i in range(1, 5)]
    try:
        if "layer1.0.conv3.weight" not in state:
            raise ValueError("it has basic blocks (ResNet-18, -34)")
        if 0 in layers:
            raise ValueError(f"its four layers have {layers} blocks")
        with torch.device("meta"):  # no time for random weights that are replaced at once
            model = ResNet(Bottleneck, layers)
        model.fc = nn.Identity()
        model.load_state_dict(state, assign=True)
    except (RuntimeError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        raise ValueError(f"{name} is no ResNet-50, -101 or -152 in torchvision's format: {told}") from error
    return model.requires_grad_(False).eval()


def fetch(url: str = URL) -> Path:
    """The file of torchvision's ResNet-152, downloaded to torch's own cache when first needed.

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

"""Checkpoints with random weights: of CLIPs in OpenAI's format, and of torchvision's ResNets."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.models.resnet import Bottleneck, ResNet

from videocap.extract.encoders.openai_clip import clip

SIZES = {
    "ViT-B/16": dict(embed_dim=512, image_resolution=224, vision_layers=12, vision_width=768, vision_patch_size=16),
    "ViT-B/32": dict(embed_dim=512, image_resolution=224, vision_layers=12, vision_width=768, vision_patch_size=32),
    "RN50": dict(embed_dim=1024, image_resolution=224, vision_layers=(3, 4, 6, 3), vision_width=64),
    "tiny": dict(embed_dim=48, image_resolution=32, vision_layers=2, vision_width=128, vision_patch_size=8),
    "tiny ResNet": dict(embed_dim=48, image_resolution=64, vision_layers=(1, 1, 2, 1), vision_width=8),
}
TEXT = dict(context_length=77, vocab_size=49408, transformer_width=512, transformer_heads=8, transformer_layers=12)
TINY_TEXT = TEXT | dict(transformer_width=128, transformer_heads=2, transformer_layers=2)


def random_state(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """The fp16 state dict of a CLIP of that size, with weights drawn from `seed`.

    Its norms and biases are drawn, too: new modules have them all alike, so that nobody would see them mixed up.
    """
    sizes = {"vision_patch_size": None} | SIZES[name] | (TINY_TEXT if "tiny" in name else TEXT)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = clip.model.CLIP(**sizes)
        for key, value in model.state_dict().items():
            if value.ndim == 1 and value.is_floating_point():
                value += 0.1 * torch.randn_like(value)
                if key.endswith("running_var"):
                    value.abs_().clamp_(min=0.5)
    clip.model.convert_weights(model)
    return model.state_dict()


def save_random(path: Path, name: str = "ViT-B/16", seed: int = 0) -> Path:
    """Save such a state dict where `extract.encoders.load` finds it."""
    torch.save(random_state(name, seed), path)
    return path


def random_resnet(layers: Sequence[int] = (1, 1, 1, 1), seed: int = 0) -> dict[str, torch.Tensor]:
    """The state dict of a torchvision ResNet of bottleneck blocks, with weights drawn from `seed`.

    Its batch norms have the statistics of random pictures, so that activations stay as large as in a trained model,
    and then are disturbed, so that no two are alike.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ResNet(Bottleneck, list(layers))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            model.train()(torch.randn(8, 3, 96, 96))
        for key, value in model.state_dict().items():
            if value.ndim == 1 and value.is_floating_point():
                if key.endswith("running_var"):
                    value *= 1 + torch.rand_like(value)
                else:
                    value += 0.1 * torch.randn_like(value)
    return model.state_dict()


def openai_model(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """OpenAI's own module, computing in fp32."""
    return clip.model.build_model(dict(state)).float()

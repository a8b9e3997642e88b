"""CLIPs in OpenAI's format as encoders of frames and captions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from videocap.extract.config import OPENAI_MODELS, Geometry
from videocap.extract.device import Device
from videocap.extract.encoders.clip_transformers import TextTransformer, VisionTransformer
from videocap.extract.encoders.encoder import Autocast, Encoder

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    import clip
    import clip.clip
    import clip.model

FORMAT, NAMES = "CLIP checkpoint in OpenAI's format", OPENAI_MODELS
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of colours
STD = (0.26862954, 0.26130258, 0.27577711)
MOST_POSITIONS = 1024  # of a caption; OpenAI's have 77
_TOKENS = clip.clip._tokenizer.encoder
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # OpenAI's archives have these as buffers


class ClipEncoder(Encoder):
    """The image and the text encoder of a CLIP; embeddings of frames and captions have the same width."""

    def __init__(self, model: clip.model.CLIP, where: Device):
        model = model.requires_grad_(False).eval()
        transformer = isinstance(model.visual, clip.model.VisionTransformer)
        visual = (VisionTransformer if transformer else Autocast)(model.visual, where)
        geometry = Geometry(model.visual.input_resolution)
        super().__init__(visual, model.text_projection.shape[1], geometry, where, MEAN, STD)
        self._text, self.context = TextTransformer(model, where), model.context_length

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Which captions are longer than the context, so that `encode_text` cuts them."""
        return [len(clip.clip._tokenizer.encode(text)) + 2 > self.context for text in texts]

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str], batch_size: int = 256, title: str = "embed captions") -> np.ndarray:
        """Embed captions as `encode_text` does; those longer than the context are truncated as by `clip.tokenize`.

        Attention is causal and the embedding is read at the end token, so positions behind it change nothing: batches
        are sorted by length and cut to their longest caption.

        Args:
            texts: T captions.
            batch_size: captions a batch.
            title: of the progress bar.

        Returns:
            float32, (T, width), un-normalised, in the order of `texts`.
        """
        embeddings = np.empty((len(texts), self.width), np.float32)
        if len(texts) == 0:
            return embeddings
        tokens = clip.tokenize(list(texts), context_length=self.context, truncate=True)  # (T, context)
        lengths = tokens.argmax(dim=1) + 1  # the end token has the highest number
        batches = lengths.argsort(stable=True).split(batch_size)
        for batch in tqdm(batches, title, unit="batch", disable=None):
            shortened = tokens[batch, : int(lengths[batch].max())].to(self.where.device)
            embeddings[batch.numpy()] = self._text(shortened).cpu().numpy()
        return embeddings


def recognises(state: dict[str, torch.Tensor]) -> bool:
    """Whether a state dict names a tensor as a CLIP of OpenAI's does."""
    return "text_projection" in state


def download(name: str) -> Path:
    """The file of a model with a name, downloaded by OpenAI's code to ~/.cache/clip when first needed."""
    return Path(clip.clip._download(clip.clip._MODELS[name], os.path.expanduser("~/.cache/clip")))


def build(state: dict[str, torch.Tensor]) -> clip.model.CLIP:
    """Build the CLIP that a state dict is of, in fp32: OpenAI's own `build_model` rounds its weights to fp16.

    Its sizes are read from the tensors. What is no CLIP raises whatever torch does, or ValueError.
    """
    state = {key: value.float() for key, value in state.items() if key not in _NOT_WEIGHTS}
    geometry = _geometry(state)
    if not 2 <= geometry["context_length"] <= MOST_POSITIONS:
        raise ValueError(f"it has {geometry['context_length']} positions for a caption's tokens")
    if geometry["vocab_size"] != len(_TOKENS):
        raise ValueError(f"it knows {geometry['vocab_size']} tokens, and CLIP's tokenizer {len(_TOKENS)}")
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model = clip.model.CLIP(**geometry)
    model.load_state_dict(state, assign=True)
    mask = model.build_attention_mask()  # what no state dict has
    for block in model.transformer.resblocks:
        block.attn_mask = mask
    return model


def encoder(model: clip.model.CLIP, where: Device) -> ClipEncoder:
    """The encoder of what `build` gives, on its device."""
    return ClipEncoder(model, where)


def _geometry(state: dict[str, torch.Tensor]) -> dict:
    """The arguments of `clip.model.CLIP` that give modules of these sizes."""
    resnet = "visual.proj" not in state
    width = state["visual.layer1.0.conv1.weight" if resnet else "visual.conv1.weight"].shape[0]
    positions = state["visual.attnpool.positional_embedding" if resnet else "visual.positional_embedding"].shape[0]
    patch = 32 if resnet else state["visual.conv1.weight"].shape[-1]
    return {
        "embed_dim": state["text_projection"].shape[1],
        "image_resolution": round((positions - 1) ** 0.5) * patch,
        "vision_layers": tuple(_count(state, f"visual.layer{i}.") for i in range(1, 5))
        if resnet
        else _count(state, "visual.transformer.resblocks."),
        "vision_width": width,
        "vision_patch_size": patch,
        "context_length": state["positional_embedding"].shape[0],
        "vocab_size": state["token_embedding.weight"].shape[0],
        "transformer_width": state["ln_final.weight"].shape[0],
        "transformer_heads": state["ln_final.weight"].shape[0] // 64,
        "transformer_layers": _count(state, "transformer.resblocks."),
    }


def _count(state: dict[str, torch.Tensor], prefix: str) -> int:
    """How many numbered blocks there are under a prefix."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})

"""Frozen encoders: frames and captions in, un-normalised embeddings out, the numbers of the modules they come from."""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from tqdm import tqdm

from extract import resnet
from extract.config import MODELS, OPENAI_MODELS, RESNET_GEOMETRY, Geometry
from extract.device import Device, Precision, resolve
from extract.transformer import TextTransformer, VisionTransformer

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    import clip
    import clip.clip
    import clip.model

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MOST_POSITIONS = 1024  # of a caption; OpenAI's have 77


class Encoder:
    """An image encoder on its device.

    Args:
        visual: normalised images, float32 (B, 3, pixels, pixels), to embeddings, float32 (B, width).
        width: of an embedding.
        geometry: of the frames it takes.
        where: device and precision it computes with.
        mean, std: of the colours, by which frames are normalised.
    """

    def __init__(
        self,
        visual: Callable[[torch.Tensor], torch.Tensor],
        width: int,
        geometry: Geometry,
        where: Device,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ):
        self.width, self.geometry, self.pixels, self.where = width, geometry, geometry.pixels, where
        self._visual, self._mean, self._std = visual, mean, std
        self._compiled: tuple[int, Callable] | None = None  # for batches of that size

    @property
    def computed(self) -> str:
        """How it computes, for the record: "cpu bf16", "cuda fp16 compiled"."""
        return f"{self.where} compiled" if self._compiled else str(self.where)

    @torch.inference_mode()
    def compile(self, batch_size: int) -> None:
        """Compile the image encoder for batches of this size; smaller ones are filled up, to have a single shape.

        Raises:
            ValueError: if torch can't: without a C++ compiler, for one.
        """
        if self._compiled and self._compiled[0] == batch_size:
            return
        import torch._inductor.config  # takes long

        torch._inductor.config.compile_threads = 1  # no pool of processes, which forked workers would leave behind
        compiled = torch.compile(self._visual, dynamic=False)
        try:
            compiled(torch.zeros(batch_size, 3, self.pixels, self.pixels, device=self.where.device))
        except RuntimeError as error:
            told = str(error).strip().split("\n")[0]  # the rest is for torch's developers
            raise ValueError(f"encoder.compile: torch can't do that here, set it to false ({told})") from error
        self._compiled = batch_size, compiled

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Embed a batch of frames as `encode_image` does.

        Args:
            frames: uint8 RGB, (B, pixels, pixels, 3).

        Returns:
            float32, (B, width), un-normalised.

        Raises:
            ValueError: for frames of another size or type.
        """
        if frames.dtype != np.uint8 or frames.shape[1:] != (self.pixels, self.pixels, 3):
            raise ValueError(
                f"the encoder takes uint8 frames of {self.pixels} x {self.pixels} x 3, not {frames.dtype} of "
                f"{' x '.join(map(str, frames.shape[1:]))}"
            )
        if len(frames) == 0:
            return np.empty((0, self.width), np.float32)
        images = normalize(torch.tensor(frames, device=self.where.device), self._mean, self._std)  # (B, 3, H, W)
        size, visual = self._compiled or (0, self._visual)
        if len(frames) < size:
            images = torch.cat([images, images.new_zeros(size - len(frames), *images.shape[1:])])
        return visual(images)[: len(frames)].cpu().numpy()  # (B, D)


class ClipEncoder(Encoder):
    """The image and the text encoder of a CLIP; embeddings of frames and captions have the same width."""

    def __init__(self, model: clip.model.CLIP, where: Device):
        model = model.requires_grad_(False).eval()
        transformer = isinstance(model.visual, clip.model.VisionTransformer)
        visual = (VisionTransformer if transformer else resnet.Autocast)(model.visual, where)
        super().__init__(visual, model.text_projection.shape[1], Geometry(model.visual.input_resolution), where)
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


def load(weights: str | Path, device: str = "auto", precision: Precision = "auto") -> Encoder:
    """Load an encoder.

    Args:
        weights: name of a model in `extract.config.MODELS` (downloaded when first needed, by OpenAI's code to
            ~/.cache/clip or by torch's to its own cache), or the path of a checkpoint: of a CLIP in OpenAI's format (a
            state dict saved by torch, or their TorchScript archive), or one of torchvision's ResNet-50 to -152.
        device, precision: see `extract.device.resolve`.

    Raises:
        ValueError: if there is no such model, or the file is no such checkpoint.
    """
    where = resolve(device, precision)
    state = read_state(_find(str(weights)))
    if resnet.is_resnet(state):
        visual = resnet.Autocast(resnet.build(state, str(weights)), where)
        return Encoder(visual, resnet.WIDTH, RESNET_GEOMETRY, where, resnet.MEAN, resnet.STD)
    return ClipEncoder(build(state, str(weights)), where)


def normalize(frames: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
    """Normalise colours, as CLIP does or by others: uint8 (B, H, W, 3) → float32 (B, 3, H, W), on the same device."""
    images = frames.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    shift, scale = (torch.tensor(values, device=frames.device)[:, None, None] for values in (mean, std))
    return images.sub_(shift).div_(scale)


def build(state: dict[str, torch.Tensor], name: str) -> clip.model.CLIP:
    """Build the CLIP that a state dict is of, in fp32: OpenAI's own `build_model` rounds its weights to fp16.

    Args:
        state: in OpenAI's format; the sizes are read from it.
        name: of the checkpoint, for the error.

    Raises:
        ValueError: if it is no CLIP.
    """
    try:
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
    except (KeyError, IndexError, RuntimeError, ZeroDivisionError, ValueError, AssertionError, TypeError) as error:
        raise ValueError(f"{_no_clip(name)}: {_one_line(error)}; {_CURE}") from error
    return model


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, on the CPU and as stored, without running any code of a stranger's in it.

    Raises:
        ValueError: if the file holds no tensors by name.
    """
    try:
        if _is_torchscript(path):
            # such an archive is a program: only OpenAI's own are run
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() not in {sha for sha, _ in OPENAI_MODELS.values()}:
                    raise ValueError("a TorchScript program, and not OpenAI's own; save its state_dict() instead")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch would rather have no such archives
                state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # a damaged file makes torch raise anything
        raise ValueError(f"{_no_clip(path)}: {_one_line(error)}; {_CURE}") from error
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{_no_clip(path)}: it holds no plain state dict; {_CURE}")
    size = path.stat().st_size
    claimed = 0
    for key, value in state.items():
        claimed += value.numel() * value.element_size()
        plain = value.layout == torch.strided and not (value.is_meta or value.is_complex() or value.is_quantized)
        if not plain or claimed > 2 * size:  # a file may claim any shape; some tensors may share their values
            raise ValueError(f"{_no_clip(path)}: {key} is no plain tensor; {_CURE}")
    return state


_CURE = "name another file or model in encoder.weights or text_encoder.weights"
_TOKENS = clip.clip._tokenizer.encoder
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # OpenAI's archives have these as buffers


def _find(weights: str) -> Path:
    """The checkpoint's file, downloaded if need be."""
    try:
        if weights in OPENAI_MODELS:
            return Path(clip.clip._download(clip.clip._MODELS[weights], os.path.expanduser("~/.cache/clip")))
        if weights in MODELS:
            return resnet.fetch()
    except (URLError, ConnectionError, TimeoutError) as error:
        cure = "run again with a network, or name a file of it in encoder.weights or text_encoder.weights"
        raise ValueError(f"{weights} can't be downloaded ({_one_line(error)}): {cure}") from error
    if not os.path.isfile(weights):
        raise ValueError(f"there is no checkpoint {weights!r}, and the models with a name are {', '.join(MODELS)}")
    return Path(weights)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


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


def _no_clip(name: str | Path) -> str:
    return f"{name} is not a CLIP checkpoint in OpenAI's format"


def _one_line(error: Exception) -> str:
    """The first sentence: torch's go on about its own options."""
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return " ".join(f"{type(error).__name__}: {error}".split()).split(". ")[0][:200]

"""Training of the demo's own small CLIP, saved as OpenAI saves its checkpoints, so that `clip.load` reads it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from videocap.extract.config import TOYCLIP_STRIDE
from videocap.extract.corpus.video_files import locate
from videocap.extract.encoders.openai_clip import clip
from videocap.extract.json_files import load_json

RESNET = ((1, 1, 1, 1), 8, None)  # layers, width and patch of CLIP's own kind of ResNet
VIT_LAYERS, VIT_WIDTH = 3, 64  # of CLIP's vision transformer
EMBED = 128  # width of what any of them gives
CLIPS, FRAMES = 24, 4  # a step
_TEXT_WIDTH, _TEXT_LAYERS = 64, 2
_LR = 2e-3
_REDRAW = 10.0
_PARTS = 8  # that each side of a frame has when it is redrawn
_SHIFT = 6  # pixels
_CONTEXT, _VOCABULARY = 77, 49408  # OpenAI's
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def make(folder: Path, config: Any, *, table: Path, captions: Path, videos: Path) -> None:
    """`train` as sections [toyclip] and [encoder] say; writes clip.pt.

    Args:
        table, captions: the training split's videos and captions of the corpus.
        videos: folder of the videos.
    """
    texts, options = load_json(captions), config.toyclip
    files, pixels = locate([name for name, _ in load_json(table)], videos), config.encoder.pixels
    out = folder / "clip.pt"
    train(files, texts, out, image=options.image, pixels=pixels, steps=options.steps, seed=options.seed)


def train(
    videos: Mapping[str, Path],
    captions: Mapping[str, Sequence[str]],
    out: Path,
    *,
    image: str = "resnet",
    pixels: int = 64,
    steps: int,
    seed: int,
    threads: int | None = None,
) -> None:
    """Train a small CLIP on clips and their captions, and save its state dict.

    The loss is CLIP's, both ways, between a caption and the mean embedding of `FRAMES` frames of its clip; clips that
    share a caption are no negatives of each other. Some hundred clips are too few to learn from captions alone where
    things are, so each frame's embedding must also let a linear map, thrown away afterwards, redraw that frame roughly:
    how dark and how colourful each of its parts is. The image encoder is one of CLIP's ResNets, unless told: after as
    many seconds of training a vision transformer's embeddings told places, sizes and shapes much worse.
    The same arguments on the same machine, with the same number of threads, give the same bytes.

    Args:
        videos: files of the training clips, by id.
        captions: of the same ids, at least one each.
        out: where the checkpoint goes: a state dict in OpenAI's format, fp32.
        image: kind of image encoder: "resnet", or "vit-P", a vision transformer with patches of P pixels.
        pixels: height and width of the input, a multiple of `TOYCLIP_STRIDE`.
        steps: optimizer steps, of `CLIPS` clips each.
        seed: of initial weights and batches.
        threads: for torch, while this trains; None leaves them as they are.

    Raises:
        ValueError: `pixels` is no multiple of `TOYCLIP_STRIDE`, there are fewer than two videos, or one has no caption
            or no frame.
        RuntimeError: a caption is longer than 77 tokens.
    """
    if pixels % TOYCLIP_STRIDE:
        raise ValueError(f"the small CLIP needs frames of a multiple of {TOYCLIP_STRIDE} pixels, not {pixels}")
    if len(videos) < 2:
        raise ValueError(f"the small CLIP needs two videos or more to tell apart, not {len(videos)}")
    ids = sorted(videos)
    if missing := [id for id in ids if not captions.get(id)]:
        raise ValueError(f"{len(missing)} of {len(ids)} videos have no caption, such as {missing[0]!r}")
    frames = [_read(videos[id], pixels) for id in tqdm(ids, desc="read clips", unit="clip", disable=None)]
    tokens, used, first = _tokenize([captions[id] for id in ids])
    with _threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers, width, patch = RESNET if image == "resnet" else (VIT_LAYERS, VIT_WIDTH, int(image.rpartition("-")[2]))
        model = clip.model.CLIP(
            EMBED, pixels, layers, width, patch, _CONTEXT, len(used), _TEXT_WIDTH, _TEXT_WIDTH // 64, _TEXT_LAYERS
        )
        model.visual.to(memory_format=torch.channels_last)  # in which a CPU convolves faster
        _fit(model, frames, tokens, first, _alike([captions[id] for id in ids]), steps, Generator().manual_seed(seed))
        state = _checkpoint(model, used, pixels)
    data = io.BytesIO()  # given a path, torch.save would write its name into the file
    torch.save(state, data)
    out.write_bytes(data.getvalue())


def _fit(
    model: clip.model.CLIP,
    frames: list[Tensor],
    tokens: Tensor,
    first: list[int],
    alike: Tensor,
    steps: int,
    generator: Generator,
) -> None:
    """Train in place. `tokens` (C, 77); a clip's captions are its rows `first[i]` to `first[i + 1]`; `alike` (N, N)."""
    redraw = nn.Linear(EMBED, 2 * _PARTS**2)
    parameters = [*model.parameters(), *redraw.parameters()]
    optimizer = torch.optim.AdamW(parameters, _LR, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=steps + 1, pct_start=0.1)
    model.train()
    bar = tqdm(range(steps), desc="train CLIP", unit="step", disable=None)
    for _ in bar:
        batch = torch.randperm(len(frames), generator=generator)[:CLIPS].tolist()
        images = torch.cat([_sample(frames[i], generator) for i in batch])  # (B * FRAMES, 3, H, W)
        text = tokens[[int(torch.randint(first[i], first[i + 1], (), generator=generator)) for i in batch]]
        text = text[:, : int(text.argmax(1).max()) + 1]  # attention is causal: what follows a text's end is not read

        embedded = model.encode_image(images)  # (B * FRAMES, D)
        seen = F.normalize(embedded.unflatten(0, (len(batch), FRAMES)).mean(1), dim=1)
        told = F.normalize(model.encode_text(text), dim=1)
        logits = model.logit_scale.exp().clamp(max=100) * seen @ told.T  # (B, B)
        logits = logits.masked_fill(alike[batch][:, batch], -torch.inf)
        target = torch.arange(len(batch))
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        drawn = _rough(images)
        missed = F.mse_loss(redraw(embedded), drawn) / drawn.var()

        optimizer.zero_grad(set_to_none=True)
        (contrast + _REDRAW * missed).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{contrast.item():.2f}", redraw=f"{missed.item():.2f}", refresh=False)


def _sample(frames: Tensor, generator: Generator) -> Tensor:
    """A random frame of each of FRAMES equal parts, normalised, all shifted alike and mirrored or not.

    uint8 (N, H, W, 3) to float32 (FRAMES, 3, H, W).
    """
    parts = (torch.arange(FRAMES) + torch.rand(FRAMES, generator=generator)) * len(frames) / FRAMES
    images = ((frames[parts.long()] / 255 - _MEAN) / _STD).permute(0, 3, 1, 2)  # in memory channels stay last
    mirror, dx, dy = (torch.rand(3, generator=generator) * torch.tensor([2, 2 * _SHIFT + 1, 2 * _SHIFT + 1])).tolist()
    height, width = images.shape[2:]
    images = F.pad(images, (_SHIFT,) * 4, mode="replicate")[:, :, int(dy) :, int(dx) :][:, :, :height, :width]
    return images.flip(3) if mirror >= 1 else images


def _rough(images: Tensor) -> Tensor:
    """How dark and how colourful each part of a frame is, against the ground: (B, 3, H, W) to (B, 2 * _PARTS²)."""
    pixels = images * _STD[:, None, None] + _MEAN[:, None, None]
    both = torch.stack((pixels.mean(1), pixels.amax(1) - pixels.amin(1)), 1)  # (B, 2, H, W)
    parts = F.adaptive_avg_pool2d(both, _PARTS).flatten(2)
    parts = parts - parts.median(2, keepdim=True).values
    return (parts / parts.std((0, 2), keepdim=True)).flatten(1)


def _alike(captions: list[Sequence[str]]) -> Tensor:
    """bool (N, N): two different clips that share a caption."""
    sets = [set(several) for several in captions]
    return torch.tensor([[a is not b and not a.isdisjoint(b) for b in sets] for a in sets])


def _read(path: Path, pixels: int) -> Tensor:
    """All frames of a video, squeezed to a square: uint8 (N, pixels, pixels, 3)."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24", width=pixels, height=pixels) for frame in file.decode(video=0)]
    if not frames:
        raise ValueError(f"{path} has no frames")
    return torch.from_numpy(np.stack(frames))


def _tokenize(captions: list[Sequence[str]]) -> tuple[Tensor, Tensor, list[int]]:
    """Tokens numbered by their rank among those used, since 49,408 rows would slow every step.

    Returns:
        tokens: int64 (C, 77), of all captions. A text's end, the highest number in CLIP, stays the highest.
        used: int64 (U,), CLIP's number of each rank.
        first: the first row of each clip, and the end (N + 1).
    """
    tokens = clip.tokenize([caption for several in captions for caption in several])
    used, ranks = tokens.unique(return_inverse=True)
    return ranks, used, np.cumsum([0, *map(len, captions)]).tolist()


def _checkpoint(model: clip.model.CLIP, used: Tensor, pixels: int) -> dict[str, Tensor]:
    """OpenAI's state dict, with CLIP's whole vocabulary: tokens that were not used get untrained rows."""
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    table = torch.randn(_VOCABULARY, _TEXT_WIDTH) * 0.02
    table[used] = state["token_embedding.weight"]
    sizes = {"input_resolution": pixels, "context_length": _CONTEXT, "vocab_size": _VOCABULARY}
    return state | {"token_embedding.weight": table} | {name: torch.tensor(size) for name, size in sizes.items()}


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before if number is None else number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

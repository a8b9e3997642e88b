"""Training of the demo's own small CLIP, saved as OpenAI saves its checkpoints, so that `clip.load` reads it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import clip
import numpy as np
import torch
from clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

PATCH = 16
FRAMES = 6  # of a clip, a step
BATCH = 32  # clips a step
LR = 2e-3
AUG = 6
READ, RECON = True, 3.0
LAYERS, WIDTH, EMBED = 3, 64, 128
_CONTEXT, _VOCABULARY = 77, 49408  # OpenAI's
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


class Reader(nn.Module):
    """Reads a clip's frame embeddings in order, in training only: so that they learn to hold what is only told by time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """Embeddings (B, N, D) of frames in order to one (B, D) a clip."""
        states, _ = self.recurrent(frames)  # (B, N, 2 D)
        return frames.mean(1) + (self.project(states.mean(1)) if READ else 0)


def train(
    videos: Mapping[str, Path],
    captions: Mapping[str, Sequence[str]],
    out: Path,
    *,
    pixels: int = 64,
    steps: int,
    seed: int,
    threads: int | None = None,
) -> None:
    """Train a small CLIP on whole clips and their captions, and save its state dict.

    A clip's embedding is that of `FRAMES` of its frames, read in order by a small recurrent network that is thrown away
    afterwards; the loss is CLIP's, both ways. Clips that share a caption are no negatives of each other. The
    same arguments on the same machine, with the same number of threads, give the same bytes.

    Args:
        videos: files of the training clips, by id.
        captions: of the same ids, at least one each.
        out: where the checkpoint goes, a state dict in OpenAI's format, in fp32.
        pixels: height and width of the input; a multiple of 8.
        steps: optimizer steps, of `BATCH` clips each.
        seed: of initial weights and batches.
        threads: for torch; None leaves them as they are.

    Raises:
        ValueError: `pixels` is no multiple of 8, or the captions are not for the same videos.
    """
    if pixels % PATCH:
        raise ValueError(f"pixels must be a multiple of {PATCH}, not {pixels}")
    if missing := sorted(id for id in videos if not captions.get(id)):
        raise ValueError(f"no captions for {len(missing)} of {len(videos)} videos, such as {missing[0]!r}")
    ids = sorted(videos)
    frames = [torch.from_numpy(_read(videos[id], pixels)) for id in tqdm(ids, desc="read", unit="clip", disable=None)]
    tokens, used, first = _tokenize([captions[id] for id in ids])
    with _threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIP(EMBED, pixels, LAYERS, WIDTH, PATCH, _CONTEXT, len(used), 64, 1, 2)
        with torch.no_grad():
            model.visual.conv1.weight -= model.visual.conv1.weight.mean((1, 2, 3), keepdim=True)
            model.visual.positional_embedding *= 5
        _fit(model, frames, tokens, first, _same(captions, ids), steps, torch.Generator().manual_seed(seed))
        state = _checkpoint(model, used, pixels)
    data = io.BytesIO()  # torch.save writes a file's name into it
    torch.save(state, data)
    out.write_bytes(data.getvalue())


def _fit(model, frames, tokens, first, same, steps, generator) -> None:
    reader = Reader(model.text_projection.shape[1])
    draw = nn.Sequential(nn.Linear(EMBED, 256), nn.GELU(), nn.Linear(256, 768))
    model.train()
    parameters = [*model.parameters(), *reader.parameters(), *draw.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps + 1, pct_start=0.1)
    bar = tqdm(range(steps), desc="train CLIP", unit="step", disable=False, mininterval=10)
    order = iter(())
    for _ in bar:
        batch = []
        while len(batch) < min(BATCH, len(frames)):
            i = next(order, None)
            if i is None:
                order = iter(torch.randperm(len(frames), generator=generator).tolist())
            elif i not in batch:
                batch.append(i)
        images = torch.stack([_sample(frames[i], generator) for i in batch])  # (B, N, 3, H, W)
        rows = [int(torch.randint(first[i], first[i + 1], (), generator=generator)) for i in batch]
        text = tokens[rows]
        text = text[:, : int(text.argmax(1).max()) + 1]  # attention is causal: what follows the end does not matter
        b, n = images.shape[:2]
        embedded = model.encode_image(images.flatten(0, 1))
        goal = F.avg_pool2d(images.flatten(0, 1), 4).flatten(1)
        goal = goal - goal.median(1, keepdim=True).values
        rec = ((draw(embedded) - goal)**2).mean() / goal.var()
        seen = reader(embedded.unflatten(0, (b, n)))
        told = model.encode_text(text)
        scale = model.logit_scale.exp().clamp(max=100)
        logits = scale * F.normalize(seen, dim=1) @ F.normalize(told, dim=1).T  # (B, B)
        logits = logits.masked_fill(same[batch][:, batch], -torch.inf)
        target = torch.arange(b)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2 + RECON * rec
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f} {rec.item():.3f}", refresh=False)


def _sample(frames: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (N, H, W, 3) to normalised float (FRAMES, 3, H, W): one random frame of each of FRAMES equal parts."""
    parts = (torch.arange(FRAMES) + torch.rand(FRAMES, generator=generator)) * len(frames) / FRAMES
    images = ((frames[parts.long()] / 255 - _MEAN) / _STD).permute(0, 3, 1, 2)
    if AUG:
        if torch.rand((), generator=generator) < 0.5:
            images = images.flip(3)
        h, w = images.shape[2:]
        dy, dx = torch.randint(2 * AUG + 1, (2,), generator=generator).tolist()
        images = F.pad(images, (AUG,) * 4, mode="replicate")[:, :, dy : dy + h, dx : dx + w]
    return images


def _same(captions, ids) -> Tensor:
    """bool (N, N): two different videos share a caption."""
    sets = [set(captions[id]) for id in ids]
    return torch.tensor([[a is not b and not a.isdisjoint(b) for b in sets] for a in sets])


def _read(path: Path, pixels: int) -> np.ndarray:
    """All frames of a video, uint8 (N, pixels, pixels, 3)."""
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24", width=pixels, height=pixels) for frame in file.decode(video=0)]
    if not frames:
        raise ValueError(f"{path} has no frames")
    return np.stack(frames)


def _tokenize(captions: list[Sequence[str]]) -> tuple[Tensor, Tensor, list[int]]:
    """The captions' tokens (C, 77), numbered by their rank among those used: the ids (U,), sorted, so that the end of a
    text stays the highest; and the first row of each video (N + 1).
    """
    tokens = clip.tokenize([caption for several in captions for caption in several])
    used, ranks = tokens.unique(return_inverse=True)
    return ranks, used, np.cumsum([0, *map(len, captions)]).tolist()


def _checkpoint(model: CLIP, used: Tensor, pixels: int) -> dict[str, Tensor]:
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    table = torch.randn(_VOCABULARY, state["token_embedding.weight"].shape[1]) * 0.02
    table[used] = state["token_embedding.weight"]
    sizes = {"input_resolution": pixels, "context_length": _CONTEXT, "vocab_size": _VOCABULARY}
    return state | {"token_embedding.weight": table} | {name: torch.tensor(size) for name, size in sizes.items()}


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)

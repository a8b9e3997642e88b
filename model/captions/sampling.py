"""Texts drawn word by word from what a captioner says."""

from __future__ import annotations

import torch
from torch import Tensor

from videocap.model.captioner.captioner import Captioner, Memory
from videocap.model.vocabulary import EOS, PAD, SOS, UNK


def allowed(logits: Tensor, first: Tensor | bool) -> Tensor:
    """Log-probabilities (…, V) of what may be written: no PAD, UNK or sos, and no eos where it would be the `first`."""
    logits = logits.float()
    logits[..., [PAD, UNK, SOS]] = -torch.inf
    logits[..., EOS] = torch.where(torch.as_tensor(first, device=logits.device), -torch.inf, logits[..., EOS])
    return logits.log_softmax(-1)


@torch.no_grad()
def sample(
    model: Captioner, memory: Memory, source: str, numbers: Tensor, temperature: float = 1.0, top_p: float = 1.0
) -> tuple[Tensor, Tensor]:
    """K texts of each of V videos, drawn word by word from the model.

    Args:
        memory: of V videos.
        source: `caption` or an aspect.
        numbers: of [0, 1), (V, K, T), T the greatest length: each decides one word.
        temperature: the scores are divided by it: below 1 likely words become likelier.
        top_p: only the likeliest words that together are at least so likely are drawn.

    Returns:
        (V, K, T' + 1) from sos to eos, then PAD; and the log-probabilities of what was drawn, (V, K). One that has not
        ended at the greatest length has no eos.
    """
    videos, count, most = numbers.shape
    cache = model.start(memory, source)
    word = torch.full((videos, count), SOS, device=numbers.device)
    words, ended = [word], torch.zeros_like(word, dtype=torch.bool)
    total = torch.zeros(videos, count, device=numbers.device)
    for length in range(most):
        chances = allowed(model.step(source, word, cache) / temperature, first=length == 0)  # (V, K, words)
        if top_p < 1:
            chances = _likeliest(chances, top_p)
        if bool(chances.isnan().any()):
            raise ValueError(
                f"the model gives no finite word scores for {source!r}: its weights or features are damaged"
            )
        sums = chances.exp().cumsum(-1)
        place = torch.searchsorted(sums, (numbers[..., length, None] * sums[..., -1:]), right=True)
        # of a number that rounding puts behind the last word, the last that can be drawn
        last = (chances > -torch.inf).int().cumsum(-1).argmax(-1, keepdim=True)
        word = torch.minimum(place, last).squeeze(-1)
        total += torch.where(ended, 0.0, chances.gather(-1, word[..., None]).squeeze(-1))
        word = torch.where(ended, PAD, word)
        words.append(word)
        ended = ended | (word == EOS)
        if bool(ended.all()):
            break
    return torch.stack(words, 2), total


def _likeliest(chances: Tensor, top_p: float) -> Tensor:
    """Log-probabilities of only the likeliest words that together have at least `top_p`, among themselves."""
    ranked, order = chances.sort(dim=-1, descending=True, stable=True)
    before = ranked.exp().cumsum(-1) - ranked.exp()  # how likely those are that are likelier
    kept = torch.zeros_like(chances, dtype=torch.bool).scatter(-1, order, before < top_p)
    return torch.where(kept, chances, -torch.inf).log_softmax(-1)

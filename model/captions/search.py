"""Captions and aspects of videos by batched beam search over cached keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from videocap.model.captioner.captioner import CAPTION, Captioner, Memory
from videocap.model.frames import Features, FrameTable
from videocap.model.vocabulary import EOS, PAD, SOS, UNK, Vocabulary


@torch.inference_mode()
def caption(
    model: Captioner,
    vocabulary: Vocabulary,
    features: Features,
    ids: Sequence[str],
    *,
    beam: int,
    length_penalty: float,
    no_repeat_ngram: int = 0,
    batch_size: int,
    device: torch.device | str,
    aspects: bool = True,
    progress: bool = True,
) -> list[dict[str, str]]:
    """Write a caption, and what each sub-decoder says, for every video.

    Args:
        model: on `device`; its precision is the search's. It is in evaluation mode afterwards.
        features: frame features of N videos.
        ids: their N ids, in the same order.
        beam, length_penalty, no_repeat_ngram: see `search`.
        batch_size: videos generated together.
        aspects: also write the aspects.
        progress: show a progress bar.

    Returns:
        One `{"video_id": …, "caption": …, "intention": …}` a video, in the order of `ids`.
    """
    model.eval()
    frames = FrameTable(features, ids).to(device)
    sources = [CAPTION, *model.aspects] if aspects else [CAPTION]
    results = []
    with tqdm(total=len(ids), desc="caption", unit="video", disable=None if progress else True) as bar:
        for part in torch.arange(len(ids)).split(batch_size):
            memory = model.encode(*frames(part))
            found = [search(model, memory, source, beam, length_penalty, no_repeat_ngram)[0] for source in sources]
            texts = [[vocabulary.decode(words) for words in of] for of in found]
            for index, *row in zip(part.tolist(), *texts, strict=True):
                results.append({"video_id": ids[index], **dict(zip(sources, row, strict=True))})
            bar.update(len(part))
    return results


def search(
    model: Captioner, memory: Memory, source: str, beam: int, length_penalty: float, no_repeat_ngram: int = 0
) -> tuple[list[list[int]], list[float]]:
    """Beam search: the best word ids found of `source` for each of B videos.

    Every step extends the K live hypotheses of a video by one word and ranks all extensions by log-probability; of
    equal ones, the better hypothesis's comes first, then the lower word id. Those among the K best that end in eos
    are finished; the K best that do not live on. The search of a video ends with its K-th finished hypothesis, or at
    the greatest length, where only eos may follow. The answer is the finished hypothesis with the highest
    log-probability / length ** `length_penalty`, the length counting eos; of equal ones, the first. PAD, sos, UNK and
    an eos before the first word are never written. K = 1 is greedy decoding.

    Args:
        memory: of B videos, from `Captioner.encode`.
        source: `caption` or an aspect.
        beam: K.
        length_penalty: 0 favours short, more favours long captions.
        no_repeat_ngram: n, for captions in which no n words follow each other twice; 0 allows all.

    Returns:
        Of each video, the answer without sos and eos, and what it was ranked by.

    Raises:
        ValueError: if the model's word scores are not finite.
    """
    videos, most = len(memory.frames), model.max_tokens[source]
    device = memory.frames.device
    cache = model.start(memory, source)
    going = torch.arange(videos, device=device)  # (b,), the videos whose search goes on
    tokens = torch.full((videos, beam, 1), SOS, device=device)  # (b, K, t), live hypotheses
    scores = None  # (b, K), their log-probabilities
    finished = torch.zeros(videos, dtype=torch.long, device=device)  # (b,), how many have ended
    best = torch.full((videos, most + 1), EOS, device=device)  # (B, most + 1), the best of them
    best_score = None  # (B,)

    for length in range(1, most + 2):  # words so far, the one chosen now included
        logits = model.step(source, tokens[:, :, -1], cache)  # (b, K, V)
        extended = logits.log_softmax(-1)
        extended[:, :, [PAD, UNK, SOS]] = -torch.inf
        if 0 < no_repeat_ngram < length:
            _forbid_repeats(extended, tokens, no_repeat_ngram)
        if length == 1:
            extended[:, :, EOS] = -torch.inf
            extended[:, 1:] = -torch.inf  # the K hypotheses are still one and the same
            best_score = extended.new_full((videos,), -torch.inf)
        else:
            if length > most:
                extended[:, :, :EOS] = extended[:, :, EOS + 1 :] = -torch.inf
            extended = extended + scores[:, :, None]

        # Each hypothesis has one extension by eos, so the 2K best hold at least K that live on.
        words = extended.shape[2]
        top, place = _top(extended.flatten(1), 2 * beam)  # (b, 2K)
        parent, word = place // words, place % words
        ends = word == EOS

        ended = torch.where(ends, top, -torch.inf)[:, :beam] / length**length_penalty  # (b, K)
        score, which = ended.max(1)  # (b,)
        better = (score > best_score[going]).nonzero().squeeze(1)
        best_score[going[better]] = score[better]
        best[going[better], : length - 1] = tokens[better, parent[better, which[better]], 1:]  # longer than before
        finished += ended.isfinite().sum(1)
        on = (finished < beam).nonzero().squeeze(1)
        if length > most or not len(on):
            break

        going, finished = going[on], finished[on]
        live = ends[on].int().argsort(dim=1, stable=True)[:, :beam]  # (b, K), by rank, eos last
        scores, parent, word = (of[on].gather(1, live) for of in (top, parent, word))
        rows = (parent + beam * on[:, None]).flatten()  # (b * K,)
        cache.select(rows, on)
        tokens = torch.cat((tokens.flatten(0, 1)[rows].view(len(on), beam, -1), word[:, :, None]), 2)
    if not bool(best_score.isfinite().all()):
        raise ValueError(f"the model gives no finite word scores for {source!r}: its weights or features are damaged")
    return [row[: row.index(EOS)] if EOS in row else row for row in best.tolist()], best_score.tolist()


def _forbid_repeats(extended: Tensor, tokens: Tensor, n: int) -> None:
    """Rule out in `extended` (b, K, V) the words with which `tokens` (b, K, t) would hold n words in a row twice."""
    ngrams = tokens.unfold(2, n, 1)  # (b, K, t - n + 1, n)
    begun = (ngrams[..., :-1] == tokens[:, :, None, tokens.shape[2] - n + 1 :]).all(-1)
    extended.scatter_(2, torch.where(begun, ngrams[..., -1], PAD), -torch.inf)  # PAD is ruled out anyway


def _top(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of each row of `scores` (b, n) and their places, of equal ones the first first.

    `topk` leaves open which of equal ones it takes, and a sort of all takes some thirty times as long.
    """
    top, place = scores.topk(count + 1)
    if bool(((top[:, -2] == top[:, -1]) & top[:, -1].isfinite()).any()):  # equal ones would be left out
        top, place = scores.sort(dim=1, descending=True, stable=True)
    place, order = place[:, :count].sort(1)
    top, order = top[:, :count].gather(1, order).sort(dim=1, descending=True, stable=True)
    return top, place.gather(1, order)

"""Captions and aspects of videos: batched beam search over cached keys and values, or samples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from videocap.model.captioner.captioner import CAPTION, Captioner, Memory
from videocap.model.captions.sampling import sample
from videocap.model.frames import Features, FrameTable
from videocap.model.vocabulary import EOS, PAD, SOS, UNK, Vocabulary

MOST_SCORES = 1 << 28  # of words, in a step


class Written(NamedTuple):
    """One text of a video."""

    words: list[int]
    """Without sos and eos."""
    score: float
    """What it is ranked by."""
    log_probability: float
    """Of all its words, and of its end, together; of a sample, as it was drawn."""


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
    method: str = "beam",
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    nbest: int = 1,
    aspects: bool = True,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Write a caption, and what each sub-decoder says, for every video.

    Args:
        model: on `device`; its precision is the search's. It is in evaluation mode afterwards.
        features: frame features of N videos.
        ids: their N ids, in the same order.
        beam, length_penalty, no_repeat_ngram: see `search`.
        batch_size: videos generated together.
        method: `beam` or `sample`. Samples of a video depend on its features and the seed alone.
        temperature, top_p: see `sampling.sample`.
        nbest: how many captions of a video are told.
        aspects: also write the aspects.
        progress: show a progress bar.

    Returns:
        One `{"video_id": …, "caption": …, "intention": …}` a video, in the order of `ids`; with `nbest` also "nbest",
        [{"caption", "log_probability"}, …], of which the first is the caption. A search may find fewer.
    """
    model.eval()
    frames = FrameTable(features, ids).to(device)
    sources = [CAPTION, *model.aspects] if aspects else [CAPTION]
    results = []
    with tqdm(total=len(ids), desc="caption", unit="video", disable=None if progress else True) as bar:
        wide = max(1, MOST_SCORES // (beam * len(vocabulary)))  # videos whose scores fit into memory together
        for part in torch.arange(len(ids)).split(min(batch_size, wide)):
            shown = frames(part)
            memory = model.encode(*shown)
            found = []
            for source in sources:
                count = nbest if source == CAPTION else 1
                if method == "sample":
                    drawn = _numbers(*shown, seed, source, count, model.max_tokens[source])
                    found.append(_drawn(model, memory, source, drawn, temperature, top_p))
                else:
                    found.append(search_all(model, memory, source, beam, length_penalty, no_repeat_ngram, count))
            for index, *row in zip(part.tolist(), *found, strict=True):
                texts = [[vocabulary.decode(one.words) for one in of] for of in row]
                told = {"video_id": ids[index], **{s: of[0] for s, of in zip(sources, texts, strict=True)}}
                if nbest > 1:
                    chances = [one.log_probability for one in row[0]]
                    pairs = zip(texts[0], chances, strict=True)
                    told["nbest"] = [{"caption": text, "log_probability": chance} for text, chance in pairs]
                results.append(told)
            bar.update(len(part))
    return results


def _numbers(frames: Tensor, mask: Tensor, seed: int, source: str, count: int, most: int) -> Tensor:
    """Numbers of [0, 1) by which texts of V videos are drawn, (V, count, most): by a video's frames and the seed."""
    drawn = []
    for rows, real in zip(frames.cpu(), mask.cpu(), strict=True):
        about = hashlib.sha256(repr((seed, source)).encode() + rows[real].contiguous().numpy().tobytes())
        generator = torch.Generator().manual_seed(int.from_bytes(about.digest()[:8], "big") >> 1)
        drawn.append(torch.rand(count, most, generator=generator))
    return torch.stack(drawn).to(frames.device)


def _drawn(
    model: Captioner, memory: Memory, source: str, numbers: Tensor, temperature: float, top_p: float
) -> list[list[Written]]:
    tokens, chances = sample(model, memory, source, numbers, temperature, top_p)
    texts = [[word for word in row[1:] if word not in (EOS, PAD)] for row in tokens.flatten(0, 1).tolist()]
    made = [Written(words, chance, chance) for words, chance in zip(texts, chances.flatten().tolist(), strict=True)]
    count = numbers.shape[1]
    return [made[start : start + count] for start in range(0, len(made), count)]


def search(
    model: Captioner, memory: Memory, source: str, beam: int, length_penalty: float, no_repeat_ngram: int = 0
) -> tuple[list[list[int]], list[float]]:
    """The answer of `search_all` for each of B videos, and what it was ranked by."""
    found = [of[0] for of in search_all(model, memory, source, beam, length_penalty, no_repeat_ngram, 1)]
    return [one.words for one in found], [one.score for one in found]


def search_all(
    model: Captioner,
    memory: Memory,
    source: str,
    beam: int,
    length_penalty: float,
    no_repeat_ngram: int = 0,
    count: int = 1,
) -> list[list[Written]]:
    """Beam search: the best texts found of `source` for each of B videos, at most `count`.

    Every step extends the K live hypotheses of a video by one word and ranks all extensions by log-probability; of
    equal ones, the better hypothesis's comes first, then the lower word id. Those among the K best that end in eos
    are finished; the K best that do not live on. The search of a video ends with its K-th finished hypothesis, or at
    the greatest length, where only eos may follow. The finished hypotheses are ranked by
    log-probability / length ** `length_penalty`, the length counting eos; of equal ones, the first comes first. PAD,
    sos, UNK and an eos before the first word are never written. K = 1 is greedy decoding.

    Args:
        memory: of B videos, from `Captioner.encode`.
        source: `caption` or an aspect.
        beam: K.
        length_penalty: 0 favours short, more favours long captions.
        no_repeat_ngram: n, for captions in which no n words follow each other twice; 0 allows all.

    Returns:
        Of each video, one or more, the best first.

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
    best = torch.full((videos, count, most + 1), EOS, device=device)  # the best of them
    best_score = None  # (B, count)

    for length in range(1, most + 2):  # words so far, the one chosen now included
        logits = model.step(source, tokens[:, :, -1], cache)  # (b, K, V)
        extended = logits.log_softmax(-1)
        extended[:, :, [PAD, UNK, SOS]] = -torch.inf
        if 0 < no_repeat_ngram < length:
            _forbid_repeats(extended, tokens, no_repeat_ngram)
        if length == 1:
            extended[:, :, EOS] = -torch.inf
            extended[:, 1:] = -torch.inf  # the K hypotheses are still one and the same
            best_score = extended.new_full((videos, count), -torch.inf)
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
        better = (ended.amax(1) > best_score[going, -1]).nonzero().squeeze(1)  # (c,), who has one more of the best
        if len(better):
            of = going[better]
            texts = torch.full((len(better), beam, most + 1), EOS, device=device)
            texts[:, :, : length - 1] = tokens[better[:, None], parent[better, :beam], 1:]
            score, which = torch.cat((best_score[of], ended[better]), 1).sort(dim=1, descending=True, stable=True)
            best_score[of] = score[:, :count]
            rows = which[:, :count, None].expand(-1, -1, most + 1)
            best[of] = torch.cat((best[of], texts), 1).gather(1, rows)
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
    if not bool(best_score[:, 0].isfinite().all()):
        raise ValueError(f"the model gives no finite word scores for {source!r}: its weights or features are damaged")
    written = []
    for texts, of in zip(best.tolist(), best_score.tolist(), strict=True):
        pairs = [(text[: text.index(EOS)] if EOS in text else text, s) for text, s in zip(texts, of, strict=True)]
        written.append([Written(text, s, s * (len(text) + 1) ** length_penalty) for text, s in pairs if s > -math.inf])
    return written


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

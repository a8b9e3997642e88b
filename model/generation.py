"""Captions and aspects of videos by batched beam search over cached keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tqdm import tqdm

from model.batches import Features, FrameTable
from model.captioner import CAPTION, Captioner, Memory
from model.vocabulary import EOS, PAD, SOS, UNK, Vocabulary


@torch.inference_mode()
def caption(
    model: Captioner,
    vocabulary: Vocabulary,
    features: Features,
    ids: Sequence[str],
    *,
    beam: int,
    length_penalty: float,
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
        beam, length_penalty: see `search`.
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
        for part in torch.arange(len(ids), device=device).split(batch_size):
            memory = model.encode(*frames(part))
            texts = [
                [vocabulary.decode(words) for words in search(model, memory, source, beam, length_penalty)]
                for source in sources
            ]
            for index, *row in zip(part.tolist(), *texts, strict=True):
                results.append({"video_id": ids[index], **dict(zip(sources, row, strict=True))})
            bar.update(len(part))
    return results


def search(model: Captioner, memory: Memory, source: str, beam: int, length_penalty: float) -> list[list[int]]:
    """Beam search: the best word ids found of `source` for each of B videos, without sos and eos.

    Every step extends the K live hypotheses of a video by one word and ranks all extensions by log-probability.
    Those among the K best that end in eos are finished; the K best that do not live on. The search of a video ends
    with its K-th finished hypothesis, or at the greatest length, where only eos may follow. The answer is the
    finished hypothesis with the highest log-probability / length ** `length_penalty`, the length counting eos. PAD,
    sos, UNK and an eos before the first word are never written. K = 1 is greedy decoding.

    Args:
        memory: of B videos, from `Captioner.encode`.
        source: `caption` or an aspect.
        beam: K.
        length_penalty: 0 favours short, more favours long captions.
    """
    videos, most = len(memory.frames), model.max_tokens[source]
    device = memory.frames.device
    cache = model.start(memory, source)
    tokens = torch.full((videos, beam, 1), SOS, device=device)  # (B, K, t), live hypotheses
    scores = None  # (B, K), their log-probabilities
    finished = torch.zeros(videos, dtype=torch.long, device=device)  # (B,), how many have ended
    best = torch.full((videos, most + 1), EOS, device=device)  # (B, most + 1), the best of them
    best_score = None  # (B,)

    for length in range(1, most + 2):  # words so far, the one chosen now included
        logits = model.step(source, tokens[:, :, -1], cache)  # (B, K, V)
        extended = logits.log_softmax(-1)
        extended[:, :, [PAD, UNK, SOS]] = -torch.inf
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
        top, place = extended.flatten(1).topk(2 * beam)  # (B, 2K)
        parent, word = place // words, place % words
        ends = word == EOS

        ended = torch.where(ends, top, -torch.inf)[:, :beam] / length**length_penalty  # (B, K)
        ended[finished >= beam] = -torch.inf
        score, which = ended.max(1)  # (B,)
        better = (score > best_score).nonzero().squeeze(1)
        best_score[better] = score[better]
        best[better, : length - 1] = tokens[better, parent[better, which[better]], 1:]
        best[better, length - 1 :] = EOS
        finished += ended.isfinite().sum(1)
        if length > most or bool((finished >= beam).all()):
            break

        live = ends.int().argsort(dim=1, stable=True)[:, :beam]  # (B, K), by rank, eos last
        scores, parent = top.gather(1, live), parent.gather(1, live)
        rows = (parent + beam * torch.arange(videos, device=device)[:, None]).flatten()  # (B * K,)
        cache.select(rows)
        tokens = torch.cat((tokens.flatten(0, 1)[rows].view(videos, beam, -1), word.gather(1, live)[:, :, None]), 2)
    if not bool(best_score.isfinite().all()):
        raise ValueError(f"the model gives no finite word scores for {source!r}: its weights or features are damaged")
    return [row[: row.index(EOS)] if EOS in row else row for row in best.tolist()]

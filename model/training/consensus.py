"""How much each training caption weighs: the more, the more it says what the others of its video say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from tqdm import tqdm

from videocap.model.scores.cider import Consensus, ngrams
from videocap.model.scores.protocol import tokenized


def caption_weights(captions: Sequence[Sequence[str]], share: float) -> Tensor:
    """Weights of all captions, float32, in their order, whose mean is 1 in every video.

    A weight is 1 but for `share` of it, which is the caption's CIDEr-D against the others of its video in proportion
    to their mean. A caption that stands alone weighs 1, and so do those of which none agrees with another.

    Args:
        captions: of each training video.
    """
    groups = [[ngrams(text) for text in group] for group in tokenized(captions, "coco")]
    consensus = Consensus(groups)
    weights = []
    for video, group in enumerate(tqdm(groups, desc="weigh captions", unit="video", disable=None)):
        found = torch.ones(len(group))
        if len(group) > 1:
            found = torch.tensor([consensus.one(video, counts, but=place) for place, counts in enumerate(group)])
        weights.append(1 + share * (found / found.mean() - 1) if found.mean() > 0 else torch.ones(len(group)))
    return torch.tensor(list(chain.from_iterable(weight.tolist() for weight in weights)), dtype=torch.float32)

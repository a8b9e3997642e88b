"""Weights of captions: who says what the others say weighs more, and no video weighs more than another."""

import pytest
import torch

from videocap.model.scores.cider import Consensus, ngrams
from videocap.model.training.consensus import caption_weights

CAPTIONS = [
    ["A dog runs on the grass.", "a dog runs on grass", "blue sky"],
    ["a man rides a horse"],
    ["one", "two"],
    ["a woman sings a song", "a woman sings", "a girl sings a song", "a woman is singing"],
]


def test_a_weight_is_the_agreement_with_the_others_in_proportion_to_the_mean_of_the_video():
    half, whole = (caption_weights(CAPTIONS, share).split([len(group) for group in CAPTIONS]) for share in (0.5, 1.0))
    for weights in (*half, *whole):
        assert weights.mean().item() == pytest.approx(1)
    assert whole[0][2] == 0, "no word of it is another's"
    assert whole[1].tolist() == [1]
    assert whole[2].tolist() == [1, 1], "none agrees with another"
    for some, all_ in zip(half, whole, strict=True):
        torch.testing.assert_close(some, (1 + all_) / 2)
    plain = [[text.lower().removesuffix(".") for text in group] for group in CAPTIONS]
    consensus = Consensus([[ngrams(text) for text in group] for group in plain])
    found = []
    for text in plain[3]:  # CIDEr is a mean over the references; against itself, it is 10 for a text of 4 words or more
        found.append((4 * consensus.one(3, ngrams(text)) - 10 * min(len(text.split()), 4) / 4) / 3)
    torch.testing.assert_close(whole[3], torch.tensor(found, dtype=torch.float32) * 4 / sum(found))

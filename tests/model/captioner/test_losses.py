"""Losses: the equations of the paper by hand."""

import pytest
import torch
import torch.nn.functional as F

from videocap.model.captioner import losses
from videocap.model.config import TrainConfig
from videocap.model.vocabulary import EOS, PAD, SOS, UNK


def test_distillation_follows_eq_6_by_hand():
    vis2text = torch.tensor([[[1.0, 0], [3, 2], [50, 50]], [[0, 0], [1, 1], [2, 2]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    text = torch.tensor([[2.0, 4], [0, 2]])
    owners = torch.tensor([0, 1])
    # mean over frames: (2, 1) and (1, 1); errors (0, 3) and (1, 1)
    assert losses.distillation(vis2text, mask, text, owners, "mean").item() == pytest.approx(5 / 4)
    # every frame: video 0: (1, 4), (1, 2); video 1: (0, 2), (1, 1), (2, 0)
    assert losses.distillation(vis2text, mask, text, owners, "broadcast").item() == pytest.approx((2.0 + 1.0) / 2)
    # a second caption (0, 0) of video 0: errors (2, 1)
    more = torch.cat((text, torch.zeros(1, 2)))
    owners = torch.tensor([0, 1, 0])
    assert losses.distillation(vis2text, mask, more, owners, "mean").item() == pytest.approx(8 / 6)


def test_each_loss_is_weighed_as_eq_7_and_8_say():
    parts = {name: torch.tensor(value) for name, value in {"caption": 1.0, "distill": 2.0, "effect": 3.0}.items()}
    assert losses.weighted(parts, TrainConfig(distill_weight=10.0, aspect_weights=(100.0, 7.0, 1000.0))) == {
        "caption": 1,
        "distill": 20,
        "effect": 21,
    }


def test_smoothing_gives_nothing_to_what_is_never_written():
    scores = torch.randn(3, 9, requires_grad=True)
    told, never = torch.tensor([5, EOS, 8]), [PAD, UNK, SOS]
    chances = scores.detach().log_softmax(-1)
    words = [place for place in range(9) if place not in never]
    by_hand = -0.7 * chances[range(3), told] - 0.3 * chances[:, words].mean(1)
    loss = losses.words(scores.log_softmax(1), told, 0.3)
    torch.testing.assert_close(loss.detach(), by_hand.mean())
    (grad,) = torch.autograd.grad(loss, scores)
    # what is never written is only pushed down, by its own chance and no less
    torch.testing.assert_close(grad[:, never], chances.exp()[:, never] / 3)
    assert losses.words(scores.log_softmax(1), told, 0.0).item() == pytest.approx(F.cross_entropy(scores, told).item())


def test_each_word_counts_as_much_as_its_weight():
    chances, told = torch.randn(3, 9).log_softmax(1), torch.tensor([5, EOS, 8])
    each = torch.stack([losses.words(chances[i, None], told[i, None], 0.2) for i in range(3)])
    weights = torch.tensor([0.5, 2.0, 0.0])
    torch.testing.assert_close(losses.words(chances, told, 0.2, weights), (each * weights).sum() / 3)
    torch.testing.assert_close(losses.words(chances, told, 0.2, weights, count=6), (each * weights).sum() / 6)


def test_r_drop_is_the_mean_of_both_divergences_a_word():
    one, other = torch.randn(2, 4, 9).log_softmax(-1)
    both = [F.kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((one, other), (other, one))]
    torch.testing.assert_close(losses.r_drop(torch.cat((one, other))), sum(both) / 2)
    assert losses.r_drop(torch.cat((one, one))) == 0

"""Losses: the equations of the paper by hand."""

import pytest
import torch

from videocap.model.captioner import losses


def test_distillation_follows_eq_6_by_hand():
    vis2text = torch.tensor([[[1.0, 0], [3, 2], [50, 50]], [[0, 0], [1, 1], [2, 2]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    text = torch.tensor([[2.0, 4], [0, 2]])
    # mean over frames: (2, 1) and (1, 1); errors (0, 3) and (1, 1)
    assert losses.distillation(vis2text, mask, text, "mean").item() == pytest.approx(5 / 4)
    # every frame: video 0: (1, 4), (1, 2); video 1: (0, 2), (1, 1), (2, 0)
    assert losses.distillation(vis2text, mask, text, "broadcast").item() == pytest.approx((2.0 + 1.0) / 2)


def test_the_total_weighs_each_loss_as_eq_7_and_8_say():
    parts = {name: torch.tensor(value) for name, value in {"caption": 1.0, "distill": 2.0, "effect": 3.0}.items()}
    assert losses.total(parts, 10, (100, 7, 1000)).item() == 1 + 20 + 21

"""Fusing frames over time: windows, expansion, and what a control is shown, whatever the padding."""

import pytest
import torch
from captioner import BLOCKS, D_IN, make

from videocap.model.captioner.fusion import TemporalFusion, expand, show, squeeze


def test_squeezing_averages_pairs_of_real_frames():
    x = torch.tensor([[1.0, 2, 3, 99, 99], [2.0, 4, 6, 8, 10]])[:, :, None]
    squeezed, lengths = squeeze(x, torch.tensor([3, 5]))
    assert lengths.tolist() == [2, 3]
    assert squeezed[0, :2, 0].tolist() == [1.5, 3]
    assert squeezed[1, :, 0].tolist() == [3, 7, 10]


def test_expansion_interpolates_between_window_centres_within_each_video():
    y = torch.tensor([[1.0, 3, 99], [0, 4, 8]])[:, :, None]
    full = expand(y, torch.tensor([2, 3]), frames=6, scale=1)
    assert full[0, :4, 0].tolist() == [1, 1.5, 2.5, 3]
    assert full[1, :, 0].tolist() == [0, 1, 3, 5, 7, 8]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_knows_the_order_of_frames(block):
    model = make(fusion={"block": block})
    frames, mask = torch.randn(1, 8, D_IN), torch.ones(1, 8, dtype=torch.bool)
    forwards, backwards = model.fusion(frames, mask), model.fusion(frames.flip(1), mask)
    assert (forwards - backwards.flip(1)).abs().max() > 0.01


@pytest.mark.parametrize("which", ["one", "shuffled"])
def test_a_control_is_shown_the_same_alone_and_in_a_padded_batch(which):
    frames, lengths = torch.arange(4 * 20.0).view(4, 20, 1), torch.tensor([20, 7, 2, 1])
    mask = torch.arange(20) < lengths[:, None]
    shown, real = show(frames, mask, which, training=False)
    for index, length in enumerate(lengths):
        alone, _ = show(frames[index, :length][None], mask[index, :length][None], which, training=False)
        assert torch.equal(shown[index][real[index]], alone[0])
        if which == "one":
            assert alone[0].tolist() == [[index * 20 + length // 2]], "the middle"
        else:
            assert sorted(alone[0]) == sorted(frames[index, :length])
            assert length < 2 or not torch.equal(alone[0], frames[index, :length])


def test_a_blind_captioner_sees_nothing_of_any_video():
    model = make(fusion={"frames": "none"})
    model.standardise(torch.randn(D_IN), torch.rand(D_IN) + 1)
    mask = torch.arange(7) < torch.tensor([7, 3])[:, None]
    one, two = (model.encode(torch.randn(2, 7, D_IN), mask) for _ in range(2))
    assert torch.equal(one.values["caption"], two.values["caption"])
    torch.testing.assert_close(one.values["caption"][0], one.values["caption"][1])
    assert one.frames.tolist() == [[True], [True]]


def test_in_training_a_control_draws_any_frame_or_any_order_anew():
    torch.manual_seed(0)
    frames, mask = torch.arange(6.0).view(1, 6, 1), torch.tensor([[True] * 4 + [False] * 2])
    one = [float(show(frames, mask, "one", training=True)[0]) for _ in range(200)]
    assert set(one) == {0, 1, 2, 3}
    orders = [show(frames, mask, "shuffled", training=True) for _ in range(400)]
    assert all(real[0].tolist() == mask[0].tolist() for _, real in orders)
    assert len({tuple(order[0, :4, 0].tolist()) for order, _ in orders}) == 24
    assert show(frames, mask, "all", training=True)[0] is frames


def test_a_cascade_is_not_parallel_scales():
    torch.manual_seed(0)
    options = {"block": "lstm", "scales": 3, "heads": 2, "inner": 8, "dropout": 0.0}
    cascade = TemporalFusion(4, 8, mode="cascade", **options)
    parallel = TemporalFusion(4, 8, mode="parallel", **options)
    parallel.load_state_dict(cascade.state_dict())
    frames, mask = torch.randn(2, 8, 4), torch.ones(2, 8, dtype=torch.bool)
    assert (cascade(frames, mask) - parallel(frames, mask)).abs().max() > 1e-3


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("mode", ["cascade", "parallel"])
def test_at_the_start_every_scale_contributes_as_much(block, mode):
    torch.manual_seed(0)
    fusion = TemporalFusion(32, 64, block=block, scales=4, mode=mode, heads=4, inner=128, dropout=0.0)
    frames = torch.randn(40, 1, 32) + 0.5 * torch.randn(40, 24, 32)  # a video's frames are alike
    mask = torch.ones(40, 24, dtype=torch.bool)
    seen = []
    fusion.aggregate.register_forward_hook(lambda layer, given, out: seen.append(given[0]))
    fusion(frames, mask)
    weights = fusion.aggregate.weight.chunk(4, 1)
    shares = [part @ weight.T for part, weight in zip(seen[0].chunk(4, -1), weights, strict=True)]
    over_videos = torch.stack([share.std(0).mean() for share in shares])
    assert over_videos.max() < 1.25 * over_videos.min()

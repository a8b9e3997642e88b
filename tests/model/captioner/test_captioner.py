"""The captioner: masks, gradients, and what may reach which loss; also of `vis2text`, `aspects` and `attention`."""

import math
from dataclasses import replace

import pytest
import torch
from captioner import BLOCKS, D_IN, D_TEXT, WORDS, batch, config, logits, make

from videocap.model.captioner import losses
from videocap.model.captioner.captioner import Captioner
from videocap.model.config import ASPECTS, TrainConfig
from videocap.model.frames import Batch
from videocap.model.vocabulary import PAD

ALIKE = TrainConfig(distill_weight=1.0, aspect_weights=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("mode", ["cascade", "parallel"])
@pytest.mark.parametrize("scales", [1, 3, 5])
def test_a_video_alone_and_in_a_padded_batch_give_the_same_output(block, mode, scales):
    model = make(fusion={"block": block, "mode": mode, "scales": scales})
    lengths = torch.tensor([12, 7, 1, 2])
    mask = torch.arange(12) < lengths[:, None]
    frames = torch.randn(4, 12, D_IN)
    frames[~mask] = 1e4  # nothing of this may be seen
    tokens = torch.randint(4, WORDS, (4, 6))
    memory = model.encode(frames, mask)
    together = {source: logits(model, memory, source, tokens) for source in ("caption", *ASPECTS)}
    for index, length in enumerate(lengths):
        one = slice(index, index + 1)
        alone = model.encode(frames[one, :length], mask[one, :length])
        torch.testing.assert_close(alone.vis2text, memory.vis2text[one, :length], atol=1e-5, rtol=0)
        for source, scores in together.items():
            here = logits(model, alone, source, tokens[one])
            torch.testing.assert_close(here, scores[one], atol=1e-5, rtol=0)


# Losses


def test_relu_cannot_reach_negative_text_features_and_identity_can():
    frames, mask = torch.randn(2, 5, D_IN), torch.ones(2, 5, dtype=torch.bool)
    assert make(vis2text={"activation": "relu"}).encode(frames, mask).vis2text.min() == 0
    assert make(vis2text={"activation": "identity"}).encode(frames, mask).vis2text.min() < 0


def test_a_video_without_an_aspect_has_no_part_in_its_loss():
    model, full = make(), batch()
    has = full.aspects["effect"][:, 0] != PAD
    assert 0 < has.sum() < len(has)
    only = replace(
        full,
        frames=full.frames[has],
        mask=full.mask[has],
        owners=torch.arange(int(has.sum())),
        tokens=full.tokens[has],
        text=full.text[has],
        aspects={aspect: tokens[has] for aspect, tokens in full.aspects.items()},
    )
    torch.testing.assert_close(model(full)["effect"], model(only)["effect"], atol=1e-5, rtol=0)
    assert (model(full)["intention"] - model(only)["intention"]).abs() > 1e-4


def test_a_word_of_an_aspect_may_weigh_as_a_word_of_a_caption():
    model, full = make(), batch()
    words = {
        part: int((tokens[:, 1:] != PAD).sum()) for part, tokens in {"caption": full.tokens, **full.aspects}.items()
    }
    own, shared = model(full), model(full, per="caption")
    for part in ("caption", *ASPECTS):
        assert shared[part].item() == pytest.approx(own[part].item() * words[part] / words["caption"], rel=1e-5)


def test_a_batch_without_any_annotation_of_an_aspect_trains_on():
    model, full = make(), batch()
    none = replace(full, aspects={**full.aspects, "effect": torch.full((6, 2), PAD)})
    parts = model(none)
    assert parts["effect"].item() == 0
    sum(losses.weighted(parts, ALIKE).values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_word_loss_is_the_mean_over_its_own_words():
    model, full = make(), batch()
    memory = model.encode(full.frames, full.mask)
    for source, tokens in {"caption": full.tokens, **full.aspects}.items():
        chances = logits(model, memory, source, tokens[:, :-1]).log_softmax(-1)
        words = [
            -chances[video, place, word].item()
            for video, row in enumerate(tokens[:, 1:].tolist())
            for place, word in enumerate(row)
            if word != PAD
        ]
        assert model(full)[source].item() == pytest.approx(sum(words) / len(words), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"caption": 3.6902, "distill": 0.6492, "intention": 3.7066, "effect": 3.7158, "attribute": 3.6939}),
        (
            {"aspects": (), "fusion": {"block": "transformer", "mode": "parallel"}},
            {"caption": 3.7106, "distill": 0.6464},
        ),
        (
            {"aspects": ("effect",), "fusion": {"block": "conv1d"}, "vis2text": {"pooling": "broadcast"}},
            {"caption": 3.706, "distill": 0.6902, "effect": 3.6757},
        ),
    ],
)
def test_the_losses_of_a_seeded_model_stay_as_they_are(options, expected):
    model = make(**options)
    parts = model(batch(aspects=tuple(model.aspects)), label_smoothing=0.1)
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(expected, abs=1e-4)


# What reaches what


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("aspects", [(), ("effect",), ASPECTS])
def test_gradients_reach_every_parameter_and_no_aspect_that_is_off(block, aspects):
    model = make(aspects=aspects, fusion={"block": block})
    sum(losses.weighted(model(batch(aspects=aspects)), ALIKE).values()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
    assert {name.split(".")[1] for name, _ in model.named_parameters() if name.startswith("aspects.")} == set(aspects)


def test_the_caption_loss_trains_an_aspects_features_but_not_its_words():
    model = make()
    model(batch())["caption"].backward()
    assert model.aspects["effect"].queries.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.aspects["effect"].decoder.parameters())


def test_no_ground_truth_text_reaches_the_captions_words_but_the_words_before():
    model, full = make(), batch()
    memory = model.encode(full.frames, full.mask)
    scores = logits(model, memory, "caption", full.tokens)
    for place in range(1, full.tokens.shape[1]):
        changed = full.tokens.clone()
        changed[:, place:] = (changed[:, place:] + 7) % WORDS
        other = logits(model, memory, "caption", changed)
        assert torch.equal(other[:, :place], scores[:, :place])
        assert (other[:, place] - scores[:, place]).abs().max() > 0.01

    wrong = {aspect: tokens.roll(1, 0) for aspect, tokens in full.aspects.items()}
    parts = model(full)
    other = model(replace(full, aspects=wrong, text=full.text + 1))
    assert torch.equal(parts["caption"], other["caption"])
    assert not torch.equal(parts["distill"], other["distill"])
    assert not torch.equal(parts["intention"], other["intention"])


def test_caption_words_see_every_source_of_the_memory():
    model = make()
    full = batch()
    memory = model.encode(full.frames, full.mask)
    values = memory.values["caption"].detach().requires_grad_()
    seen = replace(memory, values={**memory.values, "caption": values})
    logits(model, seen, "caption", full.tokens)[:, -1, 4].sum().backward()
    reached = values.grad.abs().sum(-1) > 0
    assert values.shape[1] == 2 * full.frames.shape[1] + 3 * 2
    assert torch.equal(reached, memory.masks["caption"])


def test_standardised_features_lose_a_common_component():
    plain, told = make(), make()
    told.standardise(torch.full((D_IN,), 50.0), torch.full((D_IN,), 4.0))
    frames, mask = torch.randn(2, 5, D_IN), torch.ones(2, 5, dtype=torch.bool)
    one, two = plain.encode(frames, mask), told.encode(frames * 4 + 50, mask)
    torch.testing.assert_close(one.values["caption"], two.values["caption"], atol=1e-4, rtol=0)


# At the start


@pytest.mark.parametrize("width", [128, 256, 512, 768])
@pytest.mark.parametrize("words", [100, 3_500, 10_000])
def test_at_the_start_every_word_is_as_likely(width, words):
    torch.manual_seed(0)
    sections = config(("effect",), width=width, decoder={"heads": 8})
    model = Captioner(sections, d_in=D_IN, d_text=D_TEXT, words=words)
    tokens = torch.randint(4, words, (16, 10))
    frames, mask = torch.randn(16, 5, D_IN), torch.ones(16, 5, dtype=torch.bool)
    parts = model(Batch(frames, mask, torch.arange(16), tokens, None, {"effect": tokens}))
    assert parts["caption"].item() == pytest.approx(math.log(words), rel=0.05)
    assert parts["effect"].item() == pytest.approx(math.log(words), rel=0.05)

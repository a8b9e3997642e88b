"""Samples: as frequent as the model says, cut to the likeliest where that is asked for, the same again by a seed."""

from collections import Counter

import pytest
import torch
from captioner import D_IN, features, logits, random_captioner, videos, vocabulary

from videocap.model.captions.sampling import sample
from videocap.model.captions.search import caption
from videocap.model.vocabulary import EOS, PAD, SOS, UNK

MANY = 4000


def drawn(chances: dict[int, float], **options) -> Counter:
    """First words of captions of a model that finds words so likely, whatever it sees."""
    model = random_captioner(0, 12).float()
    model.embedding.weight.data.zero_()
    model.bias.data[:] = -torch.inf
    for word, chance in chances.items():
        model.bias.data[word] = torch.tensor(chance).log()
    memory = model.encode(torch.randn(1, 3, D_IN), torch.ones(1, 3, dtype=torch.bool))
    torch.manual_seed(0)
    tokens, _ = sample(model, memory, "caption", torch.rand(1, MANY, 1), **options)
    return Counter(tokens[0, :, 1].tolist())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {5: 0.5, 7: 0.3, 9: 0.15, 10: 0.05}),
        ({"temperature": 0.5}, {5: 0.25, 7: 0.09, 9: 0.0225, 10: 0.0025}),
        ({"top_p": 0.8}, {5: 0.5, 7: 0.3}),
        ({"top_p": 0.81}, {5: 0.5, 7: 0.3, 9: 0.15}),
        ({"top_p": 0.01}, {5: 1.0}),
        ({"temperature": 2.0, "top_p": 0.5}, {5: 0.5**0.5, 7: 0.3**0.5}),
    ],
)
def test_words_are_as_frequent_as_they_should_be(options, expected):
    found, whole = drawn({5: 0.5, 7: 0.3, 9: 0.15, 10: 0.05}, **options), sum(expected.values())
    assert found.keys() == expected.keys()
    for word, chance in expected.items():
        assert found[word] / MANY == pytest.approx(chance / whole, abs=0.025)


def test_numbers_at_the_edge_draw_what_may_be_drawn():
    model = random_captioner(1, 12).float()
    memory = model.encode(torch.randn(2, 3, D_IN), torch.ones(2, 3, dtype=torch.bool))
    for number in (0.0, 1 - 2**-24):
        tokens, _ = sample(model, memory, "caption", torch.full((2, 3, 6), number), top_p=0.9)
        words = set(tokens[:, :, 1:].flatten().tolist())
        assert not words & {UNK, SOS}
        assert not (tokens[:, :, 1] <= EOS).any()
        assert PAD not in tokens[:, :, 1]


@torch.inference_mode()
def test_the_probability_of_a_text_is_that_of_its_words_and_its_end():
    model = random_captioner(2, 12).float()
    memory = model.encode(torch.randn(1, 3, D_IN), torch.ones(1, 3, dtype=torch.bool))
    torch.manual_seed(0)
    tokens, chances = sample(model, memory, "caption", torch.rand(1, 20, 5))
    for row, chance in zip(tokens[0], chances[0], strict=True):
        scores = logits(model, memory, "caption", row[None, :-1])[0].float()
        scores[:, [PAD, UNK, SOS]] = -torch.inf
        scores[0, EOS] = -torch.inf
        said = scores.log_softmax(-1).gather(1, row[1:, None]).squeeze(1)
        assert chance.item() == pytest.approx(said[row[1:] != PAD].sum().item(), abs=1e-4)


def test_a_videos_samples_depend_on_it_and_the_seed_alone():
    of = videos(8)
    words, model, ids = vocabulary(of), random_captioner(1, len(vocabulary(of))), [video.id for video in of]
    options = {"beam": 1, "length_penalty": 1.0, "device": "cpu", "method": "sample", "nbest": 3}
    found = caption(model, words, features(8), ids, batch_size=8, **options)
    assert found == caption(model, words, features(8), ids, batch_size=3, **options)
    assert found != caption(model, words, features(8), ids, batch_size=8, seed=1, **options)
    for row in found:
        assert row["nbest"][0]["caption"] == row["caption"]
        assert len(row["nbest"]) == 3
        assert all(one["log_probability"] < 0 for one in row["nbest"])
    assert any(len({one["caption"] for one in row["nbest"]}) > 1 for row in found)

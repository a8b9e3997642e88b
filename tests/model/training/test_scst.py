"""Self-critical training: rewards are CIDEr-D, samples as frequent as the model says, and what beats others gains."""

import csv
from collections import Counter
from itertools import pairwise

import pytest
import torch
from captioner import D_IN, config, features, make, training_data, videos, vocabulary
from training import run

from videocap.model.captioner.captioner import CAPTION
from videocap.model.captions.sampling import sample
from videocap.model.scores.cider import Consensus, ngrams
from videocap.model.scores.protocol import tokenized
from videocap.model.training.scst import END, Reward, scst_loss
from videocap.model.training.trainer import Trainer
from videocap.model.vocabulary import EOS, PAD, SOS, UNK


def test_a_reward_is_the_consensus_with_the_end_as_a_word():
    of = videos(8)
    words = vocabulary(of)
    reward = Reward([video.captions for video in of], words)
    references = tokenized([video.captions for video in of], "coco")
    plain = Consensus([[ngrams(f"{text} {END}") for text in group] for group in references])
    for video, text in ((3, "two people rolls"), (5, of[5].captions[1]), (0, "a red")):
        ids = words.encode(text, 9)[1:-1]
        assert reward([video], [ids]) == [plain.one(video, ngrams(f"{text} {END}"))]
    whole, broken = of[1].captions[0], of[1].captions[1].rsplit(" ", 1)[0]  # which ends before its last word
    assert broken.startswith(whole)
    scores = reward([1, 1], [words.encode(text, 9)[1:-1] for text in (whole, broken)])
    assert scores[0] > scores[1]


def test_samples_are_drawn_as_the_model_says_and_end():
    model = make()
    model.embedding.weight.data.zero_()
    model.bias.data[:] = -torch.inf
    chances = {5: 0.5, 7: 0.3, EOS: 0.2}
    for word, chance in chances.items():
        model.bias.data[word] = torch.tensor(chance).log()
    for word in (PAD, UNK, SOS):
        model.bias.data[word] = 0.0  # likely, but never written
    memory = model.encode(torch.randn(3, 4, D_IN), torch.ones(3, 4, dtype=torch.bool))
    torch.manual_seed(0)
    numbers = torch.rand(3, 400, model.max_tokens[CAPTION])
    drawn = sample(model, memory, CAPTION, numbers)[0].flatten(0, 1)
    assert drawn.shape == (1200, model.max_tokens[CAPTION] + 1)
    assert set(drawn[:, 0].tolist()) == {SOS}
    rows = [row[1:] for row in drawn.tolist()]
    for row in rows:
        assert row.count(EOS) <= 1
        if EOS in row:
            assert set(row[row.index(EOS) + 1 :]) <= {PAD}
        else:
            assert set(row) <= {5, 7}, "it was not done at the greatest length"
    first, second = (Counter(row[place] for row in rows) for place in (0, 1))
    assert first[EOS] == 0
    assert first[5] / 1200 == pytest.approx(0.625, abs=0.05)
    assert second[EOS] / 1200 == pytest.approx(0.2, abs=0.04)


def test_only_a_sample_that_beats_the_others_becomes_likelier():
    model = make(decoder={"dropout": 0.0}).train()
    frames, mask = torch.randn(2, 4, D_IN), torch.ones(2, 4, dtype=torch.bool)
    torch.manual_seed(1)

    def rewards(videos, captions):
        return [float(len(text)) for text in captions]

    loss, mean = scst_loss(model, rewards, torch.tensor([0, 1]), frames, frames, mask, 4)
    torch.manual_seed(1)
    numbers = torch.rand(2, 4, model.max_tokens[CAPTION])
    drawn = sample(model, model.encode(frames, mask), CAPTION, numbers)[0].flatten(0, 1)
    texts = [[word for word in row[1:] if word not in (EOS, PAD)] for row in drawn.tolist()]
    lengths = torch.tensor([float(len(text)) for text in texts]).view(2, 4)
    assert mean.item() == pytest.approx(lengths.mean().item())
    by_hand, words = 0.0, 0
    for index, row in enumerate(drawn.tolist()):
        video, place = divmod(index, 4)
        others = (lengths[video].sum() - lengths[video, place]) / 3
        cache = model.start(model.encode(frames[video][None], mask[video][None]), CAPTION)
        for number, (word, following) in enumerate(pairwise(word for word in row if word != PAD)):
            scores = model.step(CAPTION, torch.tensor([[word]]), cache)[0, 0]
            never = [PAD, UNK, SOS] + [EOS] * (number == 0)
            chances = scores.index_fill(0, torch.tensor(never), -torch.inf).log_softmax(-1)
            by_hand -= (lengths[video, place] - others) * chances[following]
            words += 1
    assert loss.item() == pytest.approx((by_hand / words).item(), abs=1e-4)
    assert model.training
    equal = scst_loss(
        model, lambda videos, captions: [1.0] * len(captions), torch.tensor([0, 1]), frames, frames, mask, 3
    )[0]
    assert equal.item() == 0.0


def test_self_critical_epochs_raise_the_reward(tmp_path):
    of = videos(8)
    settings = config((), epochs=30, lr=1e-2, scst_epochs=30, scst_lr=2e-3, decoder={"dropout": 0.0})
    val = (features(8), [video.id for video in of])
    out = run(tmp_path, settings, of, val, lambda captions: 0.0)
    rows = [row for row in csv.DictReader((out / "curves.csv").open()) if row["reward"]]
    assert len(rows) == 30
    assert {float(row["lr"]) for row in rows} == {2e-3}
    assert float(rows[-1]["reward"]) > float(rows[0]["reward"]) + 0.2


def test_it_begins_with_the_best_weights_and_a_new_optimiser():
    of = videos(8)
    settings = config((), epochs=2, scst_epochs=1)
    trainer = Trainer(
        settings, training_data(of, ()), len(vocabulary(of)), Reward([v.captions for v in of], vocabulary(of))
    )
    best = {name: value + 1 for name, value in trainer.weights().items()}
    list(trainer.epoch(1))
    trainer.begin_scst(best)
    assert all(torch.equal(value, best[name]) for name, value in trainer.weights().items())
    assert trainer.optimizer.state_dict()["state"] == {}

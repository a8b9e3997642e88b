"""Optimisation, validation, and going on after a kill; also of `checkpoints`."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from captioner import config, features, training_data, videos, vocabulary
from safetensors.torch import load_file
from training import run, same_weights

from videocap.model.captions import ensemble
from videocap.model.captions.search import caption
from videocap.model.config import TrainConfig
from videocap.model.training.checkpoints import load_checkpoint
from videocap.model.training.optimizer import learning_rate, make_optimizer
from videocap.model.training.train import train
from videocap.model.training.trainer import Trainer, TrainingDiverged
from videocap.model.vocabulary import EOS, SOS, UNK


def write(out: Path, given_features, of, beam=1) -> list[dict[str, str]]:
    model, words = ensemble.load(out, (), "cpu")
    ids = [video.id for video in of]
    return caption(model, words, given_features, ids, beam=beam, length_penalty=1.0, batch_size=8, device="cpu")


# Optimisation


def test_cosine_warms_up_to_the_peak_and_decays_to_zero():
    options = TrainConfig(lr=0.01, warmup=0.1)
    rates = [learning_rate(step, 100, options) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == pytest.approx(0.01)
    assert rates[54] == pytest.approx(0.005)
    assert rates[99] == pytest.approx(0)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_the_v2c_schedule_is_v2cs():
    options = TrainConfig(schedule="v2c")
    assert learning_rate(100, 10**6, options) == pytest.approx(512**-0.5 * 100 * 5000**-1.8)
    assert learning_rate(20000, 10**6, options) == pytest.approx(512**-0.5 * 20000**-0.8)
    adam = make_optimizer(torch.nn.Linear(2, 2), options)
    assert type(adam) is torch.optim.Adam
    assert adam.defaults["betas"] == (0.9, 0.98)


def test_weight_decay_spares_biases_norms_and_embeddings():
    model = torch.nn.ModuleDict(
        {
            "l": torch.nn.Linear(2, 3),
            "e": torch.nn.Embedding(5, 2),
            "n": torch.nn.LayerNorm(2),
            "r": torch.nn.LSTM(2, 2),
        }
    )
    decayed, spared = make_optimizer(model, TrainConfig(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert spared["weight_decay"] == 0
    assert {id(p) for p in decayed["params"]} == {
        id(p) for p in (model["l"].weight, model["r"].weight_ih_l0, model["r"].weight_hh_l0)
    }
    assert len(spared["params"]) == 6


SLOW = [pytest.param(block, marks=pytest.mark.slow) for block in ("transformer", "conv1d")]


@pytest.mark.parametrize("block", ["lstm", *SLOW])
def test_eight_videos_are_fitted_until_their_captions_are_exact(tmp_path, block):
    of = videos(8)
    for video in of:
        video.captions = video.captions[:1]
        video.aspects["intention"] = video.aspects["intention"][:1]
    settings = config(
        ("intention",), width=32, lr=4e-3, epochs=60, batch_size=2, label_smoothing=0.0, fusion={"block": block}
    )
    out = run(tmp_path, settings, of)
    for beam in (1, 3):
        for entry, video in zip(write(out, features(8), of, beam), of, strict=True):
            assert entry["caption"] == video.captions[0]
            assert entry["intention"] == video.aspects["intention"][0]
    rows = list(csv.DictReader((out / "curves.csv").open()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 61)]
    assert float(rows[-1]["caption"]) < 0.1 * float(rows[0]["caption"])
    parts = {"caption", "distill", "intention"}
    assert set(rows[0]) == {"epoch", "step", "lr", "loss", *parts, *(f"pull_{part}" for part in parts)}


def test_the_best_epoch_is_kept_and_a_cosine_runs_to_its_end(tmp_path):
    of, seen = videos(8), []
    val = (features(8), [video.id for video in of])
    scores = [0.1, 0.2, 0.7, 0.5, 0.7, 0.6, 0.1, 0.1]

    def validate(captions):
        seen.append(captions)
        return scores[len(seen) - 1]

    settings = config(lr=4e-2, epochs=8, patience=3)
    out = run(tmp_path, settings, of, val, validate)
    assert len(seen) == 8, "patience would have ended it at 6, while the rate is still high"
    assert {entry["video_id"]: entry["caption"] for entry in write(out, val[0], of)} == seen[2]
    assert seen[2] not in seen[3:]
    rows = list(csv.DictReader((out / "curves.csv").open()))
    assert [float(row["val_cider"]) for row in rows] == scores
    assert float(rows[-1]["lr"]) == pytest.approx(0, abs=1e-9)

    again = run(tmp_path, settings, of, val, validate)  # finished: nothing is trained or validated again
    assert len(seen) == 8
    assert same_weights(out, again)


@pytest.mark.parametrize("scst_epochs", [0, 2])
def test_v2cs_schedule_has_no_end_so_patience_ends_it(tmp_path, scst_epochs):
    of, seen = videos(8), []
    val = (features(8), [video.id for video in of])

    def validate(captions):
        seen.append(captions)
        return [0.1, 0.2, 0.7, 0.5, 0.7, 0.6, 0.8, 0.9][len(seen) - 1]

    settings = config(schedule="v2c", epochs=20, patience=3, scst_epochs=scst_epochs)
    for _ in range(2):
        out = run(tmp_path, settings, of, val, validate)
        assert len(seen) == 6 + scst_epochs
    rows = list(csv.DictReader((out / "curves.csv").open()))
    assert [bool(row.get("reward")) for row in rows] == [False] * 6 + [True] * scst_epochs


def test_without_validation_videos_the_last_epoch_is_the_result(tmp_path):
    out = run(tmp_path, config(epochs=3, patience=1), videos(8), val=(features(0), []))
    newest = load_checkpoint(tmp_path / "scratch")
    assert len(newest["curves"]) == 3
    weights = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in newest["trainer"]["model"].items())


def test_a_loss_that_is_no_number_stops_training_and_says_what_to_change(tmp_path):
    of = videos(8)
    data = training_data(of)
    data.frames.values[3, 2] = torch.inf
    with pytest.raises(TrainingDiverged, match=r"step 1 \(epoch 1, learning rate .*lower train\.lr or raise"):
        train(
            config(),
            train=data,
            val=None,
            vocabulary=vocabulary(of),
            validate=lambda captions: 0.0,
            scratch=tmp_path / "scratch",
            out=tmp_path,
        )


def test_a_loss_that_explodes_stops_training_also_after_a_kill(tmp_path):
    of, settings = videos(8), config(lr=1.0, epochs=10)
    with pytest.raises(
        TrainingDiverged, match=r"captions has exploded, from 3\.\d+ at the start to .*lower train\.lr"
    ) as whole:
        run(tmp_path, settings, of)
    assert list((tmp_path / "scratch").iterdir()), "it explodes after the first epoch"
    with pytest.raises(TrainingDiverged) as resumed:
        run(tmp_path, settings, of)
    assert str(resumed.value) == str(whole.value)


def test_the_last_steps_tell_an_explosion_and_one_bad_step_is_none(monkeypatch):
    of = videos(100)
    trainer = Trainer(config(batch_size=1, epochs=1), training_data(of), len(vocabulary(of)))
    assert trainer.steps == 100

    def steps_until_it_breaks_off(losses: list[float]) -> int:
        script = iter(losses)
        monkeypatch.setattr(
            trainer, "_step", lambda batch: dict.fromkeys(("loss", "caption", "gradient"), next(script))
        )
        trainer.first_loss, done = 0.0, []
        with contextlib.suppress(TrainingDiverged):
            done.extend(trainer.epoch(1))  # keeps what came before the end
        return len(done)

    assert steps_until_it_breaks_off([1.0] * 50 + [30.0] + [1.0] * 49) == 100
    assert steps_until_it_breaks_off([1.0] * 80 + [10.0] * 20) == 84, "the fifth bad step makes 15 + 50 > 3 * 20"
    assert steps_until_it_breaks_off([1.0] * 80 + [float("nan")] * 20) == 80


# What else it keeps an eye on


def test_who_pulls_is_the_norm_of_each_weighted_gradient_in_the_shared_trunk():
    of = videos(8)
    settings = config(("effect",), batch_size=3, distill_weight=2.0, aspect_weights=(1.0, 0.5, 1.0))
    trainer = Trainer(settings, training_data(of, ("effect",)), len(vocabulary(of)))
    found = trainer.pulls()
    assert found == trainer.pulls(), "it draws nothing"
    batches = list(trainer.data.epoch(0, seed=0, batch_size=3, epoch=settings.train.epoch))
    assert len(batches) <= 4 * 2
    for part, weight in {"caption": 1.0, "distill": 2.0, "effect": 0.5}.items():
        trainer.model.zero_grad()
        for batch in batches[:4]:
            parts = trainer.model(batch, settings.train.label_smoothing, settings.train.aspects_per)
            (weight * parts[part] / len(batches[:4])).backward()
        gradients = [p.grad.flatten() for p in trainer.model.fusion.parameters() if p.grad is not None]
        assert found[f"pull_{part}"] == pytest.approx(torch.cat(gradients).norm().item(), rel=1e-4)


def test_with_r_drop_a_batch_is_read_twice_by_different_dropout():
    of = videos(8)
    alike = next(training_data(of).epoch(1, seed=0, batch_size=8, epoch="video"))
    parts = {}
    for dropout, r_drop in ((0.0, 0.0), (0.0, 2.0), (0.5, 2.0)):
        settings = config(r_drop=r_drop, decoder={"dropout": dropout})
        trainer = Trainer(settings, training_data(of), len(vocabulary(of)))
        trainer.model.train()
        parts[dropout, r_drop] = trainer._parts(alike)
    once, same, apart = parts.values()
    assert "r_drop" not in once
    for part, loss in once.items():
        torch.testing.assert_close(same[part], loss)
    assert same["r_drop"].item() == pytest.approx(0, abs=1e-9)
    assert apart["r_drop"] > 1e-5
    assert "r_drop" not in trainer.pulls()
    assert {f"pull_{part}" for part in once} == set(trainer.pulls())


def test_the_running_mean_of_the_weights_is_what_is_validated_and_kept(tmp_path):
    of, seen = videos(8), []
    val = (features(8), [video.id for video in of])
    out = run(
        tmp_path, config(epochs=2, ema=0.9, lr=1e-2), of, val, lambda captions: seen.append(captions) or len(seen)
    )
    assert {entry["video_id"]: entry["caption"] for entry in write(out, val[0], of)} == seen[1]
    newest = load_checkpoint(tmp_path / "scratch")["trainer"]
    names = [name for name, _ in Trainer(config(), training_data(of), len(vocabulary(of))).model.named_parameters()]
    kept = load_file(out / "model.safetensors")
    for name, mean in zip(names, newest["mean"], strict=True):
        assert torch.equal(kept[name], mean)
    assert any(not torch.equal(kept[name], newest["model"][name]) for name in names)

    trainer = Trainer(config(ema=0.5), training_data(of), len(vocabulary(of)))
    steps = []
    for _ in trainer.epoch(1):
        steps.append(trainer.model.bias.detach().clone())
    mean = steps[0]
    for number, weights in enumerate(steps, 1):
        decay = min(0.5, (1 + number) / (10 + number))
        mean = decay * mean + (1 - decay) * weights
    torch.testing.assert_close(dict(zip(names, trainer.mean, strict=True))["bias"], mean)
    own = trainer.model.bias.detach().clone()
    with trainer.averaged():
        torch.testing.assert_close(trainer.model.bias.detach(), mean)
    assert torch.equal(trainer.model.bias, own)


def test_frames_are_hidden_behind_the_mean_and_noise_is_as_large_as_it_is_said(monkeypatch):
    of = videos(40)
    settings = config((), feature_noise=0.5, frame_dropout=0.25, batch_size=40)
    trainer = Trainer(settings, training_data(of, ()), len(vocabulary(of)))
    batch, seen = next(trainer._batches(1)), []
    monkeypatch.setattr(trainer.model, "forward", lambda batch, *_, **__: seen.append(batch) or {})
    torch.manual_seed(0)
    trainer._parts(batch)
    frames = batch.frames.float()
    gone = (seen[0].frames == trainer.model.feature_mean).all(-1)
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.06)
    noise = ((seen[0].frames - frames) / trainer.model.feature_std)[~gone]
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx(0.5, abs=0.03)
    trainer.model.eval()
    trainer._parts(batch)
    assert torch.equal(seen[1].frames, batch.frames)


def test_words_that_are_dropped_are_read_as_unknown_and_still_to_be_written(monkeypatch):
    of = videos(8)
    trainer = Trainer(config((), word_dropout=0.5, batch_size=8), training_data(of, ()), len(vocabulary(of)))
    batch, seen = next(trainer._batches(1)), []
    monkeypatch.setattr(trainer.model, "forward", lambda batch, *_, **__: seen.append(batch) or {})
    torch.manual_seed(0)
    trainer._parts(batch)
    changed = seen[0].read != batch.tokens
    assert torch.equal(seen[0].tokens, batch.tokens)
    assert set(seen[0].read[changed].tolist()) == {UNK}
    assert 0.3 < changed[batch.tokens > EOS].float().mean() < 0.7
    assert not changed[batch.tokens == SOS].any()
    trainer.model.eval()
    trainer._parts(batch)
    assert seen[1].read is None


# Kills


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    of = videos(8)
    out = run(tmp_path, config(), of)
    checkpoints = sorted((tmp_path / "scratch").iterdir())
    assert [path.name for path in checkpoints] == ["epoch-00003.pt", "epoch-00004.pt"]
    content = bytearray(checkpoints[1].read_bytes())
    content[len(content) // 2] ^= 1
    checkpoints[1].write_bytes({"cut": content[:-100], "flip": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=r"epoch-00004\.pt is damaged"):
        again = run(tmp_path, config(), of)
    assert same_weights(out, again)


SCRIPT = """
import sys
from pathlib import Path
import torch
from test_trainer import run_with_validation
torch.set_num_threads(1)
run_with_validation(Path(sys.argv[1]), int(sys.argv[2]))
"""


def run_with_validation(folder: Path, epochs: int) -> Path:
    of = videos(8)
    drawn = {"frames": "shuffled"}  # what a model is shown is drawn, too
    options = {"epoch": "caption", "captions_per_video": 2, "word_dropout": 0.2, "ema": 0.9}
    options |= {"r_drop": 1.0, "consensus": 0.5, "feature_noise": 0.1, "frame_dropout": 0.2}
    half = epochs // 2
    settings = config(epochs=half, scst_epochs=epochs - half, lr=1e-2, scst_lr=1e-3, fusion=drawn, **options)
    val = (features(8), [video.id for video in of])
    return run(folder, settings, of, val, lambda captions: float(sum(map(len, captions.values())) % 17))


@pytest.mark.parametrize(("kills", "epochs"), [(1, 20), pytest.param(8, 120, marks=pytest.mark.slow)])
def test_killed_at_random_moments_training_ends_in_the_same_weights(tmp_path, kills, epochs):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", SCRIPT, str(killed), str(epochs)]

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})

    def epochs_done() -> int:
        return max((int(file.stem[-5:]) for file in killed.glob("scratch/epoch-*.pt")), default=0)

    for number in range(kills + 1):
        before, process = epochs_done(), start()
        if number == kills:  # while it starts, or wherever it is by then; it may have ended
            time.sleep(np.random.default_rng().uniform(0, 3))
        else:
            while process.poll() is None and epochs_done() == before:
                time.sleep(0.002)
            time.sleep(np.random.default_rng().uniform(0, 0.15))
            assert before < epochs_done() < epochs
        process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
        assert len(list(killed.glob("scratch/epoch-*.pt"))) <= 3, "the last two, and one more if this is the moment"
    assert start().wait() == 0
    end = max(killed.glob("out*"), key=lambda folder: int(folder.name[3:]))
    reference = run_with_validation(whole, epochs)
    assert same_weights(end, reference)
    assert (end / "curves.csv").read_bytes() == (reference / "curves.csv").read_bytes()

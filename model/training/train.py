"""A whole training: epochs, validation by CIDEr, the best weights, and going on after a kill to the same ones."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from videocap.model.captioner.saved import save_model
from videocap.model.config import TrainConfig
from videocap.model.frames import Features
from videocap.model.training.batches import TrainingData
from videocap.model.training.checkpoints import load_checkpoint, save_checkpoint
from videocap.model.training.scst import Reward
from videocap.model.training.trainer import Trainer, TrainingConfig
from videocap.model.vocabulary import Vocabulary


def train(
    config: TrainingConfig,
    *,
    train: TrainingData,
    val: tuple[Features, Sequence[str]] | None,
    vocabulary: Vocabulary,
    validate: Callable[[Mapping[str, str]], float] | None,
    reward: Reward | None = None,
    scratch: Path,
    out: Path,
) -> None:
    """Train a captioner and write it to `out`.

    After every epoch the validation videos are captioned greedily and scored; the weights of the epoch with the
    highest score are the result. All epochs run, for a cosine pays off at its end; V2C's schedule has none, so there
    cross-entropy stops when `train.patience` epochs have not raised the score. Then `train.scst_epochs` of
    self-critical training go on from the best weights. Without validation videos the last epoch's weights are the
    result. Killed at any moment and called again with the same arguments, training goes on from its last finished
    epoch; on the CPU, with as many threads, it ends in bit-identical weights.

    Args:
        config: holder of the sections fusion, vis2text, aspects, decoder and train.
        train: the training data; moved to the device.
        val: features of the validation videos and their ids; None, or no ids, if there are none.
        vocabulary: that of `train`.
        validate: CIDEr of captions by video id; None if there are no validation videos.
        reward: of sampled captions; needed for `train.scst_epochs`.
        scratch: folder for checkpoints, used by no other training; made if absent.
        out: an existing empty folder. It gets config.json, model.safetensors, vocabulary.json and curves.csv.

    Raises:
        TrainingDiverged: if the loss or its gradient is no longer finite, or the mean caption loss of the epoch's last
            `RECENT` steps is more than `EXPLODED` times that of the very first step, when nothing was known.
    """
    options = config.train
    trainer = Trainer(config, train, len(vocabulary), reward)
    if val is not None and not len(val[1]):
        val = None
    scratch.mkdir(parents=True, exist_ok=True)

    curves, best = [], {}  # a row an epoch; {"epoch", "cider", "model"}
    if (state := load_checkpoint(scratch)) is not None:
        curves, best = state["curves"], state["best"]
        trainer.restore(state["trainer"])

    total, shown = options.epochs * trainer.steps + options.scst_epochs * trainer.scst_steps, {}
    with tqdm(desc="train", unit="step", total=total, initial=_steps_done(curves), disable=None) as bar:

        def show(**values: str) -> None:
            shown.update(values)
            bar.set_postfix(shown, refresh=False)

        while (phase := _next(curves, best, options)) is not None:
            epoch = len(curves) + 1
            if phase == "scst" and not any("reward" in row for row in curves):
                trainer.begin_scst(best["model"])
            row: dict[str, float] = {"epoch": epoch, "step": _steps_done(curves)}
            for means in trainer.epoch(epoch) if phase == "words" else trainer.scst_epoch(epoch):
                bar.update()
                row["step"] += 1
                show(**{name: f"{means[name]:.3f}" for name in ("loss", "reward") if name in means})
            row |= means
            if phase == "words":
                row |= trainer.pulls()
            with trainer.averaged():
                if val is not None:
                    row["val_cider"] = trainer.validate(*val, vocabulary, validate)
                    show(val_cider=f"{row['val_cider']:.3f}")
                # before any caption is right all epochs score 0: the latest is the best of these, and patience waits
                if val is None or not best or row["val_cider"] > best["cider"] or not best["cider"]:
                    best = {"epoch": epoch, "cider": row.get("val_cider"), "model": trainer.weights()}
            curves.append(row)
            save_checkpoint(scratch, epoch, {"curves": curves, "best": best, "trainer": trainer.state()})

    save_model(out, config, best["model"], vocabulary, d_in=train.d_in, d_text=train.d_text)
    with (out / "curves.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in curves for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(curves)


def _steps_done(curves: Sequence[Mapping[str, float]]) -> int:
    return int(curves[-1]["step"]) if curves else 0


def _next(curves: Sequence[Mapping[str, float]], best: Mapping[str, Any], options: TrainConfig) -> str | None:
    """What the next epoch is: `words`, by cross-entropy; `scst`; or None, if all is done."""
    scst = sum("reward" in row for row in curves)
    words = len(curves) - scst
    patient = options.schedule != "v2c" or not best or best["cider"] is None or words - best["epoch"] < options.patience
    if not scst and words < options.epochs and patient:
        return "words"
    return "scst" if scst < options.scst_epochs else None

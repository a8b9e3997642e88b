"""Training: optimisation, validation by CIDEr, early stopping, and going on after a kill to the same weights."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import nn
from tqdm import tqdm

from videocap.extract.device import resolve
from videocap.model.captioner import losses
from videocap.model.captioner.captioner import CAPTION, Captioner, CaptionerConfig
from videocap.model.captioner.saved import save_model
from videocap.model.captions.search import caption
from videocap.model.config import TrainConfig
from videocap.model.frames import Batch, Features
from videocap.model.training.batches import TrainingData, mix
from videocap.model.training.checkpoints import load_checkpoint, save_checkpoint
from videocap.model.vocabulary import Vocabulary

RECENT = 20  # steps whose mean caption loss tells whether training explodes
EXPLODED = 3  # times the first; in demo and tests it was 1.2 at most where something is learned, else 6 to 56
VALIDATION_BATCH = 256  # videos; greedy search of one word a video needs little memory


class TrainingConfig(CaptionerConfig, Protocol):
    """The sections that training reads."""

    train: TrainConfig


class TrainingDiverged(ValueError):
    """The loss or its gradient is no longer a finite number, or the loss has exploded."""


def train(
    config: TrainingConfig,
    *,
    train: TrainingData,
    val: tuple[Features, Sequence[str]] | None,
    vocabulary: Vocabulary,
    validate: Callable[[Mapping[str, str]], float] | None,
    scratch: Path,
    out: Path,
) -> None:
    """Train a captioner and write it to `out`.

    After every epoch the validation videos are captioned greedily and scored; the weights of the epoch with the
    highest score are the result, and training stops when `train.patience` epochs have not raised it. Without
    validation videos, all epochs run and the last one's weights are the result. Killed at any moment and called
    again with the same arguments, training goes on from its last finished epoch; on the CPU, with as many threads,
    it ends in bit-identical weights.

    Args:
        config: holder of the sections fusion, vis2text, aspects, decoder and train.
        train: the training data; moved to the device.
        val: features of the validation videos and their ids; None, or no ids, if there are none.
        vocabulary: that of `train`.
        validate: CIDEr of captions by video id; None if there are no validation videos.
        scratch: folder for checkpoints, used by no other training; made if absent.
        out: an existing empty folder. It gets model.safetensors, model.json, vocabulary.json and curves.csv.

    Raises:
        TrainingDiverged: if the loss or its gradient is no longer finite, or the mean caption loss of the epoch's last
            `RECENT` steps is more than `EXPLODED` times that of the very first step, when nothing was known.
    """
    options = config.train
    trainer = Trainer(config, train, len(vocabulary))
    if val is not None and not len(val[1]):
        val = None
    scratch.mkdir(parents=True, exist_ok=True)

    done, curves, best = 0, [], {}  # epochs; a row an epoch; {"epoch", "cider", "model"}
    if (state := load_checkpoint(scratch)) is not None:
        done, curves, best = state["epoch"], state["curves"], state["best"]
        trainer.restore(state["trainer"])

    total, shown = options.epochs * trainer.steps, {}
    with tqdm(desc="train", unit="step", total=total, initial=done * trainer.steps, disable=None) as bar:

        def show(**values: str) -> None:
            shown.update(values)
            bar.set_postfix(shown, refresh=False)

        for epoch in range(done + 1, options.epochs + 1):
            if val is not None and best and epoch - 1 - best["epoch"] >= options.patience:
                break
            row: dict[str, float] = {"epoch": epoch, "step": epoch * trainer.steps}
            for losses_so_far in trainer.epoch(epoch):
                bar.update()
                show(loss=f"{losses_so_far['loss']:.3f}")
            row |= losses_so_far
            if val is not None:
                row["val_cider"] = trainer.validate(*val, vocabulary, validate)
                show(val_cider=f"{row['val_cider']:.3f}")
            # before any caption is right all epochs score 0: the latest is the best of these, and patience waits
            if val is None or not best or row["val_cider"] > best["cider"] or not best["cider"]:
                best = {"epoch": epoch, "cider": row.get("val_cider"), "model": trainer.weights()}
            curves.append(row)
            state = {"epoch": epoch, "curves": curves, "best": best, "trainer": trainer.state()}
            save_checkpoint(scratch, epoch, state)

    save_model(out, config, best["model"], vocabulary, d_in=train.d_in, d_text=train.d_text)
    with (out / "curves.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(curves[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(curves)


class Trainer:
    """The captioner, its optimiser and its data on one device.

    Args:
        config, data: as for `train`.
        words: V.
    """

    def __init__(self, config: TrainingConfig, data: TrainingData, words: int) -> None:
        self.options = config.train
        self.device = resolve(self.options.device, self.options.precision, training=True)
        torch.manual_seed(mix("weights", self.options.seed))
        self.model = Captioner(config, d_in=data.d_in, d_text=data.d_text, words=words)
        self.model.standardise(*data.statistics())
        self.model.to(self.device.device)
        self.data = data.to(self.device.device)
        self.optimizer = make_optimizer(self.model, self.options)
        self.steps = data.steps(self.options.batch_size, self.options.epoch)
        self.first_loss = 0.0  # of captions, in the very first step

    def epoch(self, number: int) -> Iterator[dict[str, float]]:
        """Train epoch `number` (from 1); yields after each step the learning rate and the mean losses so far."""
        options, total = self.options, self.options.epochs * self.steps
        self.model.train()
        torch.manual_seed(mix("dropout", options.seed, number))  # the same whether or not a kill came before
        batches = self.data.epoch(number, seed=options.seed, batch_size=options.batch_size, epoch=options.epoch)
        sums: dict[str, float] = {}
        recent: deque[float] = deque(maxlen=min(RECENT, self.steps))
        for index, batch in enumerate(batches, 1):
            step = (number - 1) * self.steps + index
            lr = learning_rate(step, total, options)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            values = self._step(batch)
            gradient = values.pop("gradient")
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
            recent.append(values["caption"])  # which every batch has, where an aspect may be in none or all of one
            self.first_loss = self.first_loss or values["caption"]
            if not math.isfinite(values["loss"]) or not math.isfinite(gradient):
                self._break_off(step, number, lr, f"is {values['loss']:.4g}, its gradient's norm {gradient:.4g}")
            mean = sum(recent) / len(recent)
            if len(recent) == recent.maxlen and mean > EXPLODED * self.first_loss:
                what = f"of captions has exploded, from {self.first_loss:.4g} at the start to {mean:.4g}"
                self._break_off(step, number, lr, what)
            yield {"lr": lr, **{name: value / index for name, value in sums.items()}}

    def _break_off(self, step: int, epoch: int, lr: float, what: str) -> NoReturn:
        advice = ["lower train.lr", "raise train.warmup"]
        if self.options.schedule == "v2c":  # in which these have no part
            advice = ['set train.schedule to "cosine"', "raise train.batch_size"]
        advice += ['set train.precision to "fp32"'] if self.device.dtype != torch.float32 else []
        raise TrainingDiverged(
            f"training broke off at step {step} (epoch {epoch}, learning rate {lr:.3g}): the loss {what}. To change: "
            f"{' or '.join(advice)}; if this is the first epoch, look for damaged features"
        )

    def _step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step, unless the loss is not finite; gives the losses and the gradient's norm."""
        options = self.options
        with self.device.autocast():
            parts = self.model(batch, options.label_smoothing)
            loss = losses.total(parts, options.distill_weight, options.aspect_weights)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), options.clip_norm)
        scalars = {"loss": loss, **parts, "gradient": norm}
        # One transfer for all, so that a GPU is waited for once a step.
        numbers = torch.stack([scalar.detach().float() for scalar in scalars.values()]).tolist()
        if math.isfinite(numbers[0]) and math.isfinite(numbers[-1]):
            self.optimizer.step()
        return dict(zip(scalars, numbers, strict=True))

    def validate(
        self, features: Features, ids: Sequence[str], vocabulary: Vocabulary, score: Callable[[dict[str, str]], float]
    ) -> float:
        """`score` of greedy captions of the videos `ids`."""
        written = caption(
            self.model,
            vocabulary,
            features,
            ids,
            beam=1,
            length_penalty=1.0,
            batch_size=VALIDATION_BATCH,
            device=self.device.device,
            aspects=False,
            progress=False,
        )
        return float(score({entry["video_id"]: entry[CAPTION] for entry in written}))

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights and buffers, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on with the next epoch; randomness needs no state, it is seeded by epoch."""
        parts = {"model": self.model, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()} | {"first_loss": self.first_loss}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.first_loss = state["first_loss"]


def make_optimizer(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """AdamW that decays matrices but no biases, norms and embeddings; or V2C's Adam."""
    if options.schedule == "v2c":
        return torch.optim.Adam(model.parameters(), lr=options.lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
    matrices = {
        id(weight)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.LSTM)
        for weight in module.parameters(recurse=False)
        if weight.ndim > 1
    }
    groups = [
        {"params": [p for p in model.parameters() if id(p) in matrices], "weight_decay": options.weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr, fused=True)


def learning_rate(step: int, steps: int, options: TrainConfig) -> float:
    """The learning rate of step `step` (from 1) of `steps`.

    `cosine`: linear warm-up to `train.lr` over the share `train.warmup` of all steps, then cosine decay to zero.
    `v2c`: 512^-0.5 · min(s^-0.8, s · 5000^-1.8), as in V2C's code; `train.lr` and `train.warmup` have no part in it.
    """
    if options.schedule == "v2c":
        return 512**-0.5 * min(step**-0.8, step * 5000**-1.8)
    warmup = math.ceil(options.warmup * steps)
    if step <= warmup:
        return options.lr * step / warmup
    return options.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

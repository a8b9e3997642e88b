"""One model in training: its epochs by cross-entropy and by reward, its mean weights, its validation."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

from videocap.extract.device import resolve
from videocap.model.captioner import losses
from videocap.model.captioner.captioner import CAPTION, Captioner, CaptionerConfig
from videocap.model.captions.search import caption
from videocap.model.config import TrainConfig
from videocap.model.frames import Batch, Features
from videocap.model.training.batches import TrainingData, mix
from videocap.model.training.optimizer import learning_rate, make_optimizer
from videocap.model.training.scst import Reward, scst_loss
from videocap.model.vocabulary import SOS, UNK, Vocabulary

RECENT = 20  # steps whose mean caption loss tells whether training explodes
EXPLODED = 3  # times the first, which is ln V: who learns nothing, and no worse, stays at that
VALIDATION_BATCH = 256  # videos; greedy search of one word a video needs little memory
PULL_BATCHES = 4  # of which the parts' gradients are the mean: of one batch much is noise


class TrainingConfig(CaptionerConfig, Protocol):
    """The sections that training reads."""

    train: TrainConfig


class TrainingDiverged(ValueError):
    """The loss or its gradient is no longer a finite number, or the loss has exploded."""


class Trainer:
    """The captioner, its optimiser and its data on one device.

    Args:
        config, data, reward: as for `train`.
        words: V.
    """

    def __init__(self, config: TrainingConfig, data: TrainingData, words: int, reward: Reward | None = None) -> None:
        self.options = config.train
        self.device = resolve(self.options.device, self.options.precision, training=True)
        torch.manual_seed(mix("weights", self.options.seed))
        self.model = Captioner(config, d_in=data.d_in, d_text=data.d_text, words=words)
        self.model.standardise(*data.statistics())
        self.model.to(self.device.device)
        self.data = data.to(self.device.device)
        self.reward = reward
        self.optimizer = make_optimizer(self.model, self.options)
        self.steps = data.steps(self.options.batch_size, self.options.epoch)
        self.scst_videos = max(1, self.options.batch_size // self.options.scst_samples)  # a step
        self.scst_steps = data.steps(self.scst_videos, "video")
        self.first_loss = 0.0  # of captions, in the very first step
        self.mean: list[Tensor] = []  # of each weight over the steps, if `train.ema`
        self.averaged_steps = 0

    def epoch(self, number: int) -> Iterator[dict[str, float]]:
        """Train epoch `number` (from 1); yields after each step the learning rate and the mean losses so far."""
        options, total = self.options, self.options.epochs * self.steps
        self.model.train()
        torch.manual_seed(mix("dropout", options.seed, number))  # the same whether or not a kill came before
        batches = self._batches(number)
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

    def _batches(self, number: int) -> Iterator[Batch]:
        options = self.options
        return self.data.epoch(
            number,
            seed=options.seed,
            batch_size=options.batch_size,
            epoch=options.epoch,
            captions_per_video=options.captions_per_video,
        )

    def _parts(self, batch: Batch) -> dict[str, Tensor]:
        """The unweighted losses of `batch`."""
        twice = self.model.training and self.options.r_drop > 0
        if twice:
            batch = batch.twice()
        if self.model.training:
            batch = replace(batch, frames=self._disturbed(batch.frames))
        if self.model.training and self.options.word_dropout:
            hidden = torch.rand(batch.tokens.shape, device=batch.tokens.device) < self.options.word_dropout
            batch = replace(batch, read=torch.where(hidden & (batch.tokens != SOS), UNK, batch.tokens))
        with self.device.autocast():
            return self.model(batch, self.options.label_smoothing, self.options.aspects_per, r_drop=twice)

    def _disturbed(self, frames: Tensor) -> Tensor:
        """Frames (V, N, d_v) as training shows them: some hidden, all with noise."""
        noise, hidden = self.options.feature_noise, self.options.frame_dropout
        if not noise and not hidden:
            return frames
        frames = frames.float()
        if noise:
            frames = frames + noise * self.model.feature_std * torch.randn_like(frames)
        if hidden:
            gone = torch.rand(frames.shape[:2], device=frames.device) < hidden
            frames = torch.where(gone[:, :, None], self.model.feature_mean, frames)
        return frames

    def _step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step, unless the loss is not finite; gives the losses and the gradient's norm."""
        parts = self._parts(batch)
        return self._descend(sum(losses.weighted(parts, self.options).values()), parts)

    def _descend(self, loss: Tensor, shown: dict[str, Tensor]) -> dict[str, float]:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        scalars = {"loss": loss, **shown, "gradient": norm}
        # One transfer for all: a GPU is waited for here, and where words are packed and videos' lengths asked for.
        numbers = torch.stack([scalar.detach().float() for scalar in scalars.values()]).tolist()
        if math.isfinite(numbers[0]) and math.isfinite(numbers[-1]):
            self.optimizer.step()
            self._average()
        return dict(zip(scalars, numbers, strict=True))

    def _average(self) -> None:
        """Let the running mean of the weights follow them; at first faster, so that it forgets where they began."""
        if not self.options.ema:
            return
        weights = [weight.detach() for weight in self.model.parameters()]
        if not self.mean:
            self.mean = [weight.clone() for weight in weights]
        self.averaged_steps += 1
        decay = min(self.options.ema, (1 + self.averaged_steps) / (10 + self.averaged_steps))
        torch._foreach_lerp_(self.mean, weights, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the running mean of its weights, if there is one; with its own again afterwards."""
        if not self.mean:
            yield
            return
        weights = [weight.detach() for weight in self.model.parameters()]  # share their memory with the model's
        own = [weight.clone() for weight in weights]
        torch._foreach_copy_(weights, self.mean)
        try:
            yield
        finally:
            torch._foreach_copy_(weights, own)

    def pulls(self) -> dict[str, float]:
        """`pull_…`: the norm of each weighted part's gradient in the fusion, which all parts share.

        Of the mean over `PULL_BATCHES` batches, in every epoch the same, without dropout: who pulls, and how much more
        than the caption does.
        """
        if not self.model.aspects and self.data.text is None:
            return {}  # the caption alone pulls
        self.model.eval()
        for module in self.model.fusion.modules():  # cuDNN gives no gradient in evaluation; they have no dropout
            module.train(isinstance(module, nn.LSTM))
        trunk = list(self.model.fusion.parameters())
        sums: dict[str, list[Tensor]] = {}
        batches = list(islice(self._batches(0), PULL_BATCHES))
        for batch in batches:
            parts = losses.weighted(self._parts(batch), self.options)
            for part, loss in parts.items():
                found = torch.autograd.grad(loss, trunk, retain_graph=True, allow_unused=True)
                found = [torch.zeros_like(p) if g is None else g.float() for g, p in zip(found, trunk, strict=True)]
                sums[part] = [a + b for a, b in zip(sums[part], found, strict=True)] if part in sums else found
        norms = {part: torch.stack([g.norm() for g in of]).norm() / len(batches) for part, of in sums.items()}
        return {f"pull_{part}": float(norm) for part, norm in norms.items()}

    def begin_scst(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from `weights`, the best by cross-entropy, with another optimiser and another rate."""
        self.model.load_state_dict(weights)
        self.optimizer = make_optimizer(self.model, self.options)
        self.mean, self.averaged_steps = [], 0

    def scst_epoch(self, number: int) -> Iterator[dict[str, float]]:
        """Train epoch `number` self-critically, every video once; yields the means so far after each step."""
        options = self.options
        self.model.train()
        torch.manual_seed(mix("dropout", options.seed, number))
        for group in self.optimizer.param_groups:
            group["lr"] = options.scst_lr
        sums: dict[str, float] = {}
        for index, (videos, frames, mask) in enumerate(
            self.data.videos(number, seed=options.seed, batch_size=self.scst_videos), 1
        ):
            with self.device.autocast():
                shown = self._disturbed(frames)
                loss, reward = scst_loss(self.model, self.reward, videos, frames, shown, mask, options.scst_samples)
            values = self._descend(loss, {"reward": reward})
            if not math.isfinite(values["loss"]) or not math.isfinite(values.pop("gradient")):
                raise TrainingDiverged(
                    f"self-critical training broke off in epoch {number}: the loss is {values['loss']:.4g}. To change: "
                    "lower train.scst_lr"
                )
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
            yield {"lr": options.scst_lr, **{name: value / index for name, value in sums.items()}}

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

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights and buffers, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on with the next epoch; randomness needs no state, it is seeded by epoch."""
        parts = {"model": self.model, "optimizer": self.optimizer}
        numbers = {"first_loss": self.first_loss, "mean": self.mean, "averaged_steps": self.averaged_steps}
        return {name: part.state_dict() for name, part in parts.items()} | numbers

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.first_loss, self.averaged_steps = state["first_loss"], state["averaged_steps"]
        self.mean = [mean.to(self.device.device) for mean in state["mean"]]

"""Config sections of the captioner, its training, generation and scoring; importable without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from videocap.extract.config import How, Section, What, Where
from videocap.extract.paths import resolved

Aspect = Literal["intention", "effect", "attribute"]
ASPECTS = ("intention", "effect", "attribute")
Metric = Literal["CIDEr", "METEOR", "ROUGE-L", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Control = Literal["one_frame", "shuffled_frames", "blind", "no_subdecoders", "no_distillation"]
CONTROLS: dict[Control, dict[str, Any]] = {
    "one_frame": {"fusion.frames": "one"},
    "shuffled_frames": {"fusion.frames": "shuffled"},
    "blind": {"fusion.frames": "none"},
    "no_subdecoders": {"aspects.use": ()},
    "no_distillation": {"train.distill_weight": 0.0},
}
"""What each control changes of its experiment's config."""

MODEL_FILES = ("config.json", "model.safetensors", "vocabulary.json")
"""What a trained captioner is rebuilt from."""

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]


class VocabularyConfig(Section):
    """[vocabulary]: the words that the decoders know."""

    min_count: What[Positive] = 3
    """A word is known if the training captions and aspects hold it at least so often."""


class FusionConfig(Section):
    """[fusion]: multi-scale temporal fusion (sec. 2.3, Table 4)."""

    block: What[Literal["lstm", "transformer", "conv1d"]] = "lstm"
    """The temporal block of every scale."""
    scales: What[Annotated[int, Field(ge=1, le=6)]] = 3
    """Temporal resolutions: n, n/2, n/4 … frames."""
    mode: What[Literal["cascade", "parallel"]] = "cascade"
    """Each scale squeezes the one before (`cascade`) or the input (`parallel`)."""
    frames: What[Literal["all", "one", "shuffled", "none"]] = "all"
    """What the model is shown of a video: all frames in order; or, as a control, one, all in any order, or none."""

    def unused(self) -> tuple[str, ...]:
        return ("mode",) if self.scales == 1 else ()


class Vis2TextConfig(Section):
    """[vis2text]: the head that predicts CLIP text features (eq. 3 to 6)."""

    activation: What[Literal["relu", "identity"]] = "identity"
    """The last non-linearity, sigma_2 of eq. 3: `relu` in the paper, which reaches no negative number."""
    target: What[Literal["standardised", "raw"]] = "standardised"
    """T_CLIP less its mean over the training captions, by its standard deviation; or, as in the paper, as it is."""
    pooling: What[Literal["mean", "broadcast"]] = "mean"
    """Distil the mean over frames, or every frame, against the caption's embedding (eq. 6)."""


class AspectsConfig(Section):
    """[aspects]: commonsense sub-decoders (sec. 2.4, Table 5)."""

    use: What[Annotated[tuple[Aspect, ...], Field(strict=False)]] = ASPECTS
    """Which sub-decoders there are; empty for none."""
    queries: What[Positive] = 4
    """Learned queries an aspect."""

    @field_validator("use")
    @classmethod
    def _in_order(cls, use: tuple[Aspect, ...]) -> tuple[Aspect, ...]:
        return tuple(aspect for aspect in ASPECTS if aspect in use)

    def unused(self) -> tuple[str, ...]:
        return () if self.use else ("queries",)


class DecoderConfig(Section):
    """[decoder]: sizes of the caption decoder and of all that feeds it."""

    width: What[Positive] = 512
    """d, the model width."""
    layers: What[Positive] = 2
    """Layers of the caption decoder."""
    aspect_layers: What[Positive] = 1
    """Layers of each sub-decoder."""
    heads: What[Positive] = 8
    """Attention heads; must divide `width`."""
    inner: What[Positive] = 2048
    """Width inside the feed-forward layers."""
    dropout: What[Share] = 0.1
    """Dropout in training."""
    max_tokens: What[Annotated[int, Field(ge=2)]] = 30
    """Longest caption in words; training captions are cut to it."""
    max_aspect_tokens: What[Annotated[int, Field(ge=2)]] = 28
    """Longest intention, effect or attribute in words."""

    @model_validator(mode="after")
    def _divides(self) -> DecoderConfig:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width {self.width} must be even and divisible by heads {self.heads}")
        return self


class TrainConfig(Section):
    """[train]: losses (eq. 6 to 8) and optimisation."""

    lr: What[Annotated[float, Field(gt=0)]] = 3e-4
    """Peak learning rate."""
    epochs: What[Positive] = 50
    """Most epochs."""
    batch_size: What[Positive] = 64
    """Captions a step; in self-critical training samples, rounded down to whole videos."""
    epoch: What[Literal["video", "caption"]] = "video"
    """An epoch draws one random caption a video, or every caption once."""
    captions_per_video: What[Positive] = 1
    """So many captions of a video follow each other in an epoch, so that a batch reads its frames once for them."""
    distill_weight: What[Weight] = 1.0
    """Lambda of the distillation loss (eq. 6, Table 3)."""
    aspect_weights: What[Annotated[tuple[Weight, Weight, Weight], Field(strict=False)]] = (0.5, 0.5, 0.5)
    """alpha_2 to alpha_4 of eq. 7: intention, effect, attribute. alpha_1, the caption's, is 1."""
    aspects_per: What[Literal["caption", "own"]] = "caption"
    """An aspect's loss is divided by the number of the captions' words, so that one word of it weighs as one of a
    caption; or, as the paper has it, by that of its own words, so that an attribute of one word weighs as a caption."""
    schedule: What[Literal["cosine", "v2c"]] = "cosine"
    """Linear warm-up, then cosine decay to zero with AdamW; or V2C's Adam and inverse square root."""
    warmup: What[Share] = 0.1
    """Share of all steps that warm up."""
    weight_decay: What[Weight] = 0.01
    """AdamW's weight decay."""
    clip_norm: What[Annotated[float, Field(gt=0)]] = 1.0
    """Largest norm of the gradient, cut before the step."""
    label_smoothing: What[Share] = 0.1
    """Label smoothing of every word loss."""
    consensus: What[Annotated[float, Field(ge=0, le=1)]] = 0.0
    """How far a caption's loss weighs by its CIDEr against the others of its video; 0: all weigh alike."""
    r_drop: What[Weight] = 0.0
    """Weight of R-Drop: each batch is read twice, and what two draws of dropout make of a word is drawn together."""
    feature_noise: What[Weight] = 0.0
    """Standard deviation of noise on the standardised features in training."""
    frame_dropout: What[Share] = 0.0
    """Share of a video's frames that are hidden in training: the mean frame stands in their places."""
    word_dropout: What[Share] = 0.0
    """Share of a caption's words that are shown as unknown while it is read in training."""
    ema: What[Share] = 0.0
    """Decay a step of the running mean of all weights that is validated and kept; 0 for the weights themselves."""
    scst_epochs: What[Annotated[int, Field(ge=0)]] = 0
    """Epochs of self-critical training (SCST) after those of cross-entropy: sampled captions, rewarded by CIDEr-D."""
    scst_lr: What[Annotated[float, Field(gt=0)]] = 1e-5
    """Its learning rate, constant."""
    scst_samples: What[Annotated[int, Field(ge=2)]] = 5
    """Captions that it samples of each video; the mean of the others is what a reward is compared with."""
    patience: What[Positive] = 10
    """Of the schedule `v2c`, which has no end: epochs without a better validation CIDEr before training stops."""
    seed: What[int] = 0
    """Seed of initial weights, batches and dropout."""
    device: How[str] = "auto"
    """As `encoder.device`."""
    precision: How[Literal["auto", "fp32", "bf16"]] = "auto"
    """`auto`: mixed bf16 on CUDA, fp32 on the CPU."""

    def unused(self) -> tuple[str, ...]:
        schedule = ("lr", "warmup", "weight_decay") if self.schedule == "v2c" else ("patience",)
        shared = ("captions_per_video",) if self.epoch == "video" else ()
        return (*schedule, *shared, *(() if self.scst_epochs else ("scst_lr", "scst_samples")))


def _models(value: Any, info: ValidationInfo) -> Any:
    """Names stay as they are; what has a slash in it is a path, seen from the config file."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(str(resolved(one, info)) if isinstance(one, str) and "/" in one else one for one in value)


Models = Annotated[tuple[str, ...], BeforeValidator(_models)]


class GenerateConfig(Section):
    """[generate]: how captions are written."""

    models: Where[Models] = ()
    """Other runs, whose models write with this one, each word by the mean of their probabilities: names, or paths (with
    a slash) of folders like `runs/NAME`. Controls write alone."""
    method: What[Literal["beam", "sample"]] = "beam"
    """Search for likely captions, or draw them word by word."""
    beam: What[Positive] = 5
    """Beam size; 1 is greedy."""
    length_penalty: What[Weight] = 1.0
    """A caption's log-probability is divided by its length to this power."""
    no_repeat_ngram: What[Annotated[int, Field(ge=0)]] = 0
    """No sequence of so many words stands twice in a caption or aspect; 0 allows all."""
    temperature: What[Annotated[float, Field(gt=0)]] = 1.0
    """Of samples: below 1 likely words become likelier."""
    top_p: What[Annotated[float, Field(gt=0, le=1)]] = 1.0
    """Of samples: only the likeliest words that together are at least so likely are drawn."""
    seed: What[int] = 0
    """Of samples, which depend on it and on the video's features."""
    batch_size: How[Positive] = 64
    """Videos generated together."""

    def unused(self) -> tuple[str, ...]:
        if self.method == "sample":
            return ("beam", "length_penalty", "no_repeat_ngram")
        return ("temperature", "top_p", "seed", *(() if self.no_repeat_ngram else ("no_repeat_ngram",)))


class ScoreConfig(Section):
    """[score]: which captions are scored, and how."""

    protocol: What[Literal["coco", "v2c"]] = "coco"
    """`coco`: PTB tokenizer; `v2c`: none, as in V2C's released code."""
    split: What[Literal["train", "val", "test"]] = "test"
    """The split that is captioned and scored."""
    controls: What[Annotated[tuple[Control, ...], Field(strict=False)]] = ()
    """Captioners that are trained for less, to stand beside the model: on one frame a video, on frames in any order,
    on no frames, without sub-decoders, without distillation."""

    @field_validator("controls")
    @classmethod
    def _in_order(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        return tuple(name for name in CONTROLS if name in controls)


def _aspects_are_annotated(config: Any) -> None:
    """Raises ValueError for aspects of MSR-VTT without the file that annotates them."""
    if config.data.kind == "msrvtt" and config.aspects.use and not config.data.commonsense:
        raise ValueError(
            f"aspects.use: {', '.join(config.aspects.use)} of MSR-VTT are in V2C's annotations: set "
            "data.commonsense, or go without by aspects.use=[]"
        )


def _controls_show_less(config: Any) -> None:
    """Raises ValueError for a control that is the experiment itself."""
    for name in config.score.controls:
        changes = CONTROLS[name]
        if "fusion.frames" in changes and config.fusion.frames != "all":
            raise ValueError(f'score.controls: {name!r} is a control of fusion.frames = "all"; leave it out')
        if name in ("one_frame", "shuffled_frames") and config.decode.frames == 1 and not config.data.features:
            raise ValueError(f"score.controls: {name!r} changes nothing where decode.frames is 1; leave it out")
        as_it_is = {field: getattr(getattr(config, field.split(".")[0]), field.split(".")[1]) for field in changes}
        if as_it_is == changes:
            raise ValueError(f"score.controls: {name!r} is what this config trains anyway; leave it out")


def _others_write_along(config: Any) -> None:
    """Raises ValueError for an experiment that would write with itself."""
    if config.experiment.name in config.generate.models:
        raise ValueError(f"generate.models: {config.experiment.name!r} is this experiment itself; leave it out")


SECTIONS = {
    "vocabulary": VocabularyConfig,
    "fusion": FusionConfig,
    "vis2text": Vis2TextConfig,
    "aspects": AspectsConfig,
    "decoder": DecoderConfig,
    "train": TrainConfig,
    "generate": GenerateConfig,
    "score": ScoreConfig,
}
CHECKS = (_aspects_are_annotated, _controls_show_less, _others_write_along)

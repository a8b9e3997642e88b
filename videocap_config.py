"""The experiment's config, put together from the sections of its stages; importable without torch."""

from pathlib import Path

from pydantic import model_validator

from extract import config as extract_config
from extract.config import TOYCLIP_STRIDE
from model import config as model_config
from pipeline.config import BaseConfig, changed

CONFIGS = Path(__file__).parent / "configs"
DEFAULT_CONFIG = CONFIGS / "demo.toml"


class Config(BaseConfig):
    """The experiment's config, put together from the sections of its stages."""

    data: extract_config.DataConfig = extract_config.DataConfig()
    toyworld: extract_config.ToyWorldConfig = extract_config.ToyWorldConfig()
    toyclip: extract_config.ToyClipConfig = extract_config.ToyClipConfig()
    decode: extract_config.DecodeConfig = extract_config.DecodeConfig()
    encoder: extract_config.EncoderConfig = extract_config.EncoderConfig()
    text_encoder: extract_config.TextEncoderConfig = extract_config.TextEncoderConfig()
    vocabulary: model_config.VocabularyConfig = model_config.VocabularyConfig()
    fusion: model_config.FusionConfig = model_config.FusionConfig()
    vis2text: model_config.Vis2TextConfig = model_config.Vis2TextConfig()
    aspects: model_config.AspectsConfig = model_config.AspectsConfig()
    decoder: model_config.DecoderConfig = model_config.DecoderConfig()
    train: model_config.TrainConfig = model_config.TrainConfig()
    generate: model_config.GenerateConfig = model_config.GenerateConfig()
    score: model_config.ScoreConfig = model_config.ScoreConfig()

    @model_validator(mode="after")
    def _toyclip_is_for_toyworld(self) -> "Config":
        if self.data.kind != "toyworld" and "toyclip" in (self.encoder.weights, self.text_encoder.weights):
            raise ValueError(f"weights 'toyclip' are the demo's, for data.kind 'toyworld', not {self.data.kind!r}")
        if "toyclip" in (self.encoder.weights, self.text_encoder.weights) and self.encoder.pixels % TOYCLIP_STRIDE:
            raise ValueError(
                f"weights 'toyclip' take encoder.pixels of a multiple of {TOYCLIP_STRIDE}, not {self.encoder.pixels}"
            )
        return self

    @model_validator(mode="after")
    def _aspects_are_annotated(self) -> "Config":
        if self.data.kind == "msrvtt" and self.aspects.use and not self.data.commonsense:
            raise ValueError(
                f"aspects.use: {', '.join(self.aspects.use)} of MSR-VTT are in V2C's annotations: set "
                "data.commonsense, or go without by aspects.use=[]"
            )
        return self

    @model_validator(mode="after")
    def _controls_show_less(self) -> "Config":
        for name in self.score.controls:
            changes = model_config.CONTROLS[name]
            if "fusion.frames" in changes and self.fusion.frames != "all":
                raise ValueError(f'score.controls: {name!r} is a control of fusion.frames = "all"; leave it out')
            if "fusion.frames" in changes and self.decode.frames == 1 and not self.data.features:
                raise ValueError(f"score.controls: {name!r} changes nothing where decode.frames is 1; leave it out")
            if changed(self, changes) == self:
                raise ValueError(f"score.controls: {name!r} is what this config trains anyway; leave it out")
        return self

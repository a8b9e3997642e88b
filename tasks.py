"""The pipeline as Luigi tasks: `luigi --module tasks Pipeline [--config FILE] [--override "train.epochs=3"]`.

    ToyWorld ─┐ (demo)
              ├─ Corpus ─┬─ FrameFeatures: plan → (DecodeShard → EmbedFramesShard) … ─┐
    videos ───┘          ├─ CaptionFeatures: plan → EmbedCaptionsShard … ─────────────┼─ Train ─ Caption ─ Score
    ToyClip ──┄ (demo)   └─ Vocabulary ───────────────────────────────────────────────┘             └─ Report ─ Pipeline

A stage says what it `reads` of the config, what it `needs` of other stages, and what it `make`s. This file is
imported where nothing may load torch: what a stage runs is imported when it runs.
"""

from pathlib import Path

import luigi

from extract import config as extract_config
from extract.config import OPENAI_MODELS, DataConfig
from model import config as model_config
from pipeline import console
from pipeline.config import BaseConfig, ConfigError, dump, load
from pipeline.gather import Gather, Pack
from pipeline.stage import Experiment, Need, Stage
from pipeline.stores import Item

console.set_luigi_defaults()
DEFAULT_CONFIG = Path(__file__).parent / "configs" / "demo.toml"
SPLITS = ("train", "val", "test")


class Config(BaseConfig):
    """The experiment's config, put together from the sections of its stages."""

    data: DataConfig = DataConfig()
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


class ToyWorld(Stage):
    """Renders the demo's own clips to .mp4 files, with captions and commonsense aspects."""

    reads = ("toyworld",)
    code, by_version = ("extract.toyworld",), True

    def make(self, folder: Path) -> None:
        from extract import toyworld

        toyworld.render(folder, self.config.toyworld.clips, self.config.toyworld.seed)


def rendered(stage: Stage) -> dict[str, Need]:
    """The folder of videos as an input, where no folder is given: the demo's."""
    return {} if stage.config.data.videos else {"videos": (ToyWorld, "videos")}


class Corpus(Stage):
    """One table of all videos: id, digest, split, captions, aspects."""

    reads = ("data",)
    code, by_version = ("extract.corpus",), True

    def needs(self) -> dict[str, Need]:
        return {} if self.config.data.videos else {"toyworld": (ToyWorld, "")}

    def sources(self) -> dict[str, Path]:
        from extract.corpus import source_files

        return source_files(self.config.data) if self.config.data.videos else {}

    def make(self, folder: Path) -> None:
        from extract import corpus

        data, digests = self.config.data, self.digests()
        if data.kind == "toyworld":
            data = DataConfig(annotations=self.inputs()["toyworld"] / "captions.jsonl")
            digests = {name: file["sha256"] for name, file in ToyWorld.of(self).manifest()["files"].items()}
        for note in corpus.make(folder, data, digests):
            self.log("warning", reason=note)


class ToyClip(Stage):
    """Trains the demo's small CLIP on the training split's frames and captions, in OpenAI's checkpoint format."""

    reads = ("toyclip", "encoder.pixels", "data.videos")
    code, by_version, identified_by_key = ("extract.toyclip",), True, True
    uses = rendered

    def needs(self) -> dict[str, Need]:
        return {"ids": (Corpus, "videos.train.json"), "captions": (Corpus, "captions.train.json")}

    def make(self, folder: Path) -> None:
        from extract import corpus, toyclip

        inputs, options = self.inputs(), self.config.toyclip
        captions = corpus.load_json(inputs["captions"])
        videos = corpus.locate(captions, inputs["videos"])
        pixels = self.config.encoder.pixels
        toyclip.train(videos, captions, folder / "clip.pt", pixels=pixels, steps=options.steps, seed=options.seed)


class DecodeShard(Pack):
    """The sampled frames of some videos, resized and cropped as the encoder's own preprocessing would."""

    reads = ("decode", "encoder.pixels", "encoder.interpolation", "encoder.crop", "data.videos")
    code, by_version = ("extract.extraction",), True
    retry_field = "decode.retry_failed"
    uses = rendered

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        folder = self.inputs().get("videos") or self.config.data.videos
        return extraction.decode_shard(path, key, self.recipe(), items, folder, self.config)


class EncoderPack(Pack):
    """Base of the packs that a frozen encoder computes: its weights are in the key by their digest."""

    code, by_version, hashes_at_once = ("extract.extraction",), True, True

    def weights(self) -> str:
        """`toyclip`, an OpenAI model's name, or the path of a checkpoint."""
        raise NotImplementedError

    def needs(self) -> dict[str, Need]:
        return {"checkpoint": (ToyClip, "clip.pt")} if self.weights() == "toyclip" else {}

    def sources(self) -> dict[str, Path | str]:
        name = self.weights()
        return {} if name == "toyclip" else {"weights": OPENAI_MODELS[name][0] if name in OPENAI_MODELS else Path(name)}

    def checkpoint(self) -> tuple[str, str | None]:
        """What the encoder is loaded from, and the digest that a file must have."""
        given = self.inputs().get("checkpoint")
        return (str(given), None) if given else (self.weights(), self.digests()["weights"])

    @property
    def resources(self) -> dict[str, int]:
        """One at a time under the local scheduler, so that decoding goes on beside it."""
        return {"encoder": 1} if console.scheduled_locally() else {}


class EmbedFramesShard(EncoderPack):
    """The features of some videos' frames (E_I of the paper), one row a frame."""

    reads = ("encoder", *DecodeShard.reads)
    after, retry_field, keep_field = DecodeShard, "decode.retry_failed", "decode.keep"
    uses = rendered

    def weights(self) -> str:
        return self.config.encoder.weights

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        frames = DecodeShard.of(self).store.index()
        folder = self.inputs().get("videos") or self.config.data.videos
        source = (frames, folder, self.checkpoint())
        return extraction.embed_frames_shard(path, key, self.recipe(), items, *source, self.config)


class FrameFeatures(Gather):
    """The frame features of all videos."""

    reads = ("decode.max_failures",)
    packs, most_failures = EmbedFramesShard, "decode.max_failures"

    def needs(self) -> dict[str, Need]:
        return {split: (Corpus, f"videos.{split}.json") for split in SPLITS}

    def wanted_in(self, files: dict[str, Path]) -> dict[str, list[Item]]:
        from extract.corpus import load_json

        return {split: [(name, digest) for name, digest in load_json(file)] for split, file in files.items()}


class EmbedCaptionsShard(EncoderPack):
    """The embeddings of some captions (E_T of the paper, eq. 5), one row a caption."""

    reads = ("text_encoder", "encoder.device", "encoder.precision", "encoder.batch_size")
    bulk = 32  # a caption is one row, where a video has many

    def weights(self) -> str:
        return self.config.text_encoder.weights

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        return extraction.embed_captions_shard(path, key, self.recipe(), items, self.checkpoint(), self.config)


class CaptionFeatures(Gather):
    """The embeddings of the training split's captions, each distinct text once."""

    packs = EmbedCaptionsShard

    def needs(self) -> dict[str, Need]:
        return {"train": (Corpus, "captions.train.json")}

    def wanted_in(self, files: dict[str, Path]) -> dict[str, list[Item]]:
        from extract.corpus import caption_items, load_json

        return {split: caption_items(load_json(file)) for split, file in files.items()}


class Vocabulary(Stage):
    """The words of the training split's captions and aspects."""

    reads = ("vocabulary", "aspects.use")
    code = ("model.vocabulary",)

    def needs(self) -> dict[str, Need]:
        return {"captions": (Corpus, "captions.train.json"), "aspects": (Corpus, "aspects.train.json")}

    def make(self, folder: Path) -> None:
        from model import vocabulary

        options = {"use": self.config.aspects.use, "min_count": self.config.vocabulary.min_count}
        vocabulary.build_from(**self.inputs(), **options).save(folder / "vocabulary.json")


class Train(Stage):
    """Trains the captioner on stored features; goes on from its last checkpoint after a kill."""

    reads = ("fusion", "vis2text", "aspects", "decoder", "train")
    code, identified_by_key = ("model.fitting",), True

    def needs(self) -> dict[str, Need]:
        tables = ("train.videos", "train.captions", "train.aspects", "val.videos", "val.captions")
        split_parts = {name.replace(".", "_"): tuple(name.split(".")) for name in tables}
        return {
            **{name: (Corpus, f"{part}.{split}.json") for name, (split, part) in split_parts.items()},
            "train_rows": (FrameFeatures, "train"),
            "val_rows": (FrameFeatures, "val"),
            "text_rows": (CaptionFeatures, "train"),
            "vocabulary": (Vocabulary, "vocabulary.json"),
        }

    def make(self, folder: Path) -> None:
        from model import fitting

        fitting.fit(self.config, folder, self.scratch(), **self.inputs())


class Caption(Stage):
    """Writes captions and aspects for the videos of the scored split."""

    reads = ("generate", "score.split", "train.device")
    code = ("model.captioning",)

    def needs(self) -> dict[str, Need]:
        split = self.config.score.split
        return {"model": (Train, ""), "videos": (Corpus, f"videos.{split}.json"), "rows": (FrameFeatures, split)}

    def make(self, folder: Path) -> None:
        from model import captioning

        device = self.config.train.device
        captioning.caption_split(folder / "captions.json", device, self.config.generate, **self.inputs())


class Score(Stage):
    """CIDEr, METEOR, ROUGE-L and BLEU of the captions, and of two controls beside them."""

    reads = ("score",)
    code = ("model.scoring", "model.controls")

    def needs(self) -> dict[str, Need]:
        references = (Corpus, f"captions.{self.config.score.split}.json")
        return {
            "captions": (Caption, "captions.json"),
            "references": references,
            "train": (Corpus, "captions.train.json"),
        }

    def make(self, folder: Path) -> None:
        from model import controls

        controls.score_beside(folder / "scores.json", **self.config.score.items(), **self.inputs())


class Report(Stage):
    """All results of an experiment in one folder: report.html, captions, scores, model."""

    reads = ("score.split",)
    code = ("model.report",)

    def needs(self) -> dict[str, Need]:
        return {
            "scores": (Score, "scores.json"),
            "captions": (Caption, "captions.json"),
            "references": (Corpus, f"captions.{self.config.score.split}.json"),
            "model": (Train, "model.safetensors"),
            **{split: (FrameFeatures, split) for split in SPLITS},
        }

    def make(self, folder: Path) -> None:
        from model import report

        results = {name: result for name, result in self.inputs().items() if name not in SPLITS}
        report.write(folder, failures=FrameFeatures.of(self).failures(), **results)


STAGES = (ToyWorld, Corpus, ToyClip, DecodeShard, EmbedFramesShard, FrameFeatures, EmbedCaptionsShard, CaptionFeatures)
STAGES += (Vocabulary, Train, Caption, Score, Report)


class Pipeline(luigi.Task):
    """The root: complete when Report is, and `runs/<experiment>` shows it."""

    config = luigi.Parameter(default=str(DEFAULT_CONFIG), description="the experiment's config file")
    override = luigi.Parameter(default="", description='changes to it: "train.epochs=3 fusion.block=conv1d"')

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            self.experiment = Experiment(load(Config, Path(self.config), self.override))
            self.report = Report.of(self.experiment)
        except (ConfigError, OSError) as error:
            console.refuse(error)
        self.name = self.experiment.config.experiment.name
        self.task_id = f"Pipeline_{self.name}_{self.report.id}"
        if console.on_command_line():
            console.share_cores()
            console.report_at_exit(self.experiment, self.stages(), lambda: bool(self.report.payload()), self.results)

    def stages(self) -> list[type[Stage]]:
        """The stages that this experiment has, in order."""
        config = self.experiment.config
        toyclip = "toyclip" in (config.encoder.weights, config.text_encoder.weights)
        left_out = {ToyWorld: config.data.videos is not None, ToyClip: not toyclip}
        return [stage for stage in STAGES if not left_out.get(stage)]

    def requires(self) -> Report:
        return self.report

    def shown(self) -> tuple:
        self.experiment.recipes.clear()
        return self.name, self.report.payload(), dump(self.experiment.config)

    def complete(self) -> bool:
        shown = self.shown()
        return shown[1] is not None and self.experiment.artifacts.run_is_linked(*shown)

    def run(self) -> None:
        self.experiment.artifacts.link_run(*self.shown())

    def results(self) -> str:
        """The scores and where everything lies, for a person."""
        from extract.corpus import load_json
        from model.report import score_table

        scores = load_json(self.report.payload() / "scores.json")
        return f"\n{score_table(scores)}\n\nResults: {self.experiment.artifacts.root / 'runs' / self.name}"

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

from extract.config import (
    OPENAI_MODELS,
    DataConfig,
    DecodeConfig,
    EncoderConfig,
    TextEncoderConfig,
    ToyClipConfig,
    ToyWorldConfig,
)
from model.config import (
    AspectsConfig,
    DecoderConfig,
    FusionConfig,
    GenerateConfig,
    ScoreConfig,
    TrainConfig,
    Vis2TextConfig,
    VocabularyConfig,
)
from pipeline import console
from pipeline.config import BaseConfig, ConfigError, dump, load
from pipeline.gather import Gather, Pack
from pipeline.stage import Experiment, Stage
from pipeline.stores import Item

console.set_luigi_defaults()
DEFAULT_CONFIG = Path(__file__).parent / "configs" / "demo.toml"
SPLITS = ("train", "val", "test")


class Config(BaseConfig):
    """The experiment's config: a section a stage or module."""

    data: DataConfig = DataConfig()
    toyworld: ToyWorldConfig = ToyWorldConfig()
    toyclip: ToyClipConfig = ToyClipConfig()
    decode: DecodeConfig = DecodeConfig()
    encoder: EncoderConfig = EncoderConfig()
    text_encoder: TextEncoderConfig = TextEncoderConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    fusion: FusionConfig = FusionConfig()
    vis2text: Vis2TextConfig = Vis2TextConfig()
    aspects: AspectsConfig = AspectsConfig()
    decoder: DecoderConfig = DecoderConfig()
    train: TrainConfig = TrainConfig()
    generate: GenerateConfig = GenerateConfig()
    score: ScoreConfig = ScoreConfig()


class ToyWorld(Stage):
    """Renders the demo's own clips to .mp4 files, with captions and commonsense aspects."""

    reads = ("toyworld",)
    code, by_version = ("extract.toyworld",), True

    def make(self, folder: Path) -> None:
        from extract import toyworld

        toyworld.render(folder, self.config.toyworld.clips, self.config.toyworld.seed)


class Videos(Stage):
    """Base of the stages that open video files: where these lie is in no key, their digests are."""

    reads = ("data.kind", "data.videos")

    def uses(self) -> list[type[Stage]]:
        return [ToyWorld] if self.config.data.kind == "toyworld" else []

    def what(self) -> dict:
        return {key: value for key, value in super().what().items() if key != "data.kind"}

    def folder(self) -> Path:
        return self.input(ToyWorld) / "videos" if self.config.data.kind == "toyworld" else self.config.data.videos


class Corpus(Stage):
    """One table of all videos: id, digest, split, captions, aspects."""

    reads = ("data",)
    code, by_version = ("extract.corpus",), True

    def needs(self) -> list:
        return [(ToyWorld, "")] if self.config.data.kind == "toyworld" else []

    def sources(self) -> dict[str, Path]:
        """The annotations, and all files in the folder of videos."""
        from extract.corpus import find_videos

        data = self.config.data
        if data.kind == "toyworld":
            return {}
        files = {name: getattr(data, name) for name in ("annotations", "commonsense", "split")}
        files |= {f"videos/{name}": path for name, path in find_videos(data.videos).items()}
        return {name: path for name, path in files.items() if path is not None}

    def signature(self) -> str:
        return self.artifacts.file_signature(self.sources())

    def outside(self) -> dict[str, str] | None:
        return self.artifacts.file_digests("corpus", self.sources(), compute=False)

    def prepare(self) -> None:
        self.artifacts.file_digests("corpus", self.sources(), compute=True)

    def make(self, folder: Path) -> None:
        from extract import corpus

        data, digests = self.config.data, self.outside()
        if data.kind == "toyworld":
            data = DataConfig(annotations=self.input(ToyWorld) / "captions.jsonl")
            digests = {name: file["sha256"] for name, file in ToyWorld.of(self).manifest()["files"].items()}
        videos = {name.removeprefix("videos/"): d for name, d in digests.items() if name.startswith("videos/")}
        table, notes = corpus.read(data, videos)
        for note in notes:
            self.log("warning", reason=note)
        corpus.write(table, folder)


class ToyClip(Videos):
    """Trains the demo's small CLIP on the training split's frames and captions, in OpenAI's checkpoint format."""

    reads = ("toyclip", "encoder.pixels", *Videos.reads)
    code, by_version, identified_by_key = ("extract.toyclip",), True, True

    def needs(self) -> list:
        return [(Corpus, "videos.train.json"), (Corpus, "captions.train.json")]

    def make(self, folder: Path) -> None:
        from extract import corpus, toyclip

        captions = corpus.load_json(self.input(Corpus, "captions.train.json"))
        toyclip.train(
            corpus.locate(captions, self.folder()),
            captions,
            folder / "clip.pt",
            pixels=self.config.encoder.pixels,
            steps=self.config.toyclip.steps,
            seed=self.config.toyclip.seed,
        )


class Encodes(Stage):
    """Base of the stages that run a frozen encoder."""

    def weights(self) -> str:
        raise NotImplementedError

    def needs(self) -> list:
        return [(ToyClip, "")] if self.weights() == "toyclip" else []

    def outside(self) -> dict[str, str]:
        if self.weights() == "toyclip":
            return {}
        if self.weights() in OPENAI_MODELS:
            return {"weights": OPENAI_MODELS[self.weights()][0]}
        return self.artifacts.file_digests("weights", {"weights": Path(self.weights())}, compute=True)

    def checkpoint(self) -> str:
        """What `extract.encoders.load` takes: an OpenAI name or a path."""
        return str(self.input(ToyClip) / "clip.pt") if self.weights() == "toyclip" else self.weights()


class Frames(Videos, Pack):
    """Base of what is computed for some videos' sampled frames."""

    reads = ("decode", "encoder.pixels", "encoder.interpolation", "encoder.crop", *Videos.reads)
    retry_field = "decode.retry_failed"

    def what(self) -> dict:
        unused = {"uniform": "decode.fps", "fps": "decode.placement"}[self.config.decode.sampling]
        return {key: value for key, value in super().what().items() if key != unused}


class DecodeShard(Frames):
    """The sampled frames of some videos, resized and cropped as the encoder's own preprocessing would."""

    code, by_version = ("extract.frames",), True

    def missing(self) -> list[Item]:
        """Those without frames, without a recorded failure and without features."""
        features = EmbedFramesShard.of(self).store.index()
        return [item for item in super().missing() if not features.settled(item[1], self.retry)]

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        return extraction.decode_shard(path, key, self.recipe(), items, self.folder(), self.config)


class EmbedFramesShard(Encodes, Frames):
    """The features of some videos' frames (E_I of the paper), one row a frame."""

    reads = ("encoder", *Frames.reads)
    code, by_version = ("extract.frames", "extract.encoders"), True

    def weights(self) -> str:
        return self.config.encoder.weights

    def make_recipe(self) -> dict | None:
        recipe = super().make_recipe()
        return recipe and recipe | {"decode_version": DecodeShard.version}

    def requires(self) -> list:
        frames = [DecodeShard.like(self)] if self.items and not self.complete() else []
        return super().requires() + frames

    @property
    def resources(self) -> dict[str, int]:
        """One at a time under the local scheduler, so that decoding goes on beside it."""
        return {"encoder": 1} if console.scheduled_locally() else {}

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        frames = DecodeShard.of(self).store.index()
        return extraction.embed_frames_shard(
            path, key, self.recipe(), items, frames, self.folder(), self.checkpoint(), self.config
        )

    def run(self) -> None:
        super().run()
        if not self.config.decode.keep:
            frames = DecodeShard.of(self).store
            frames.drop(self.items, lambda manifest: manifest["provenance"]["how"]["decode.keep"] is False)


class FrameFeatures(Gather):
    """The frame features of all videos."""

    reads = ("decode.max_failures",)
    packs, most_failures = EmbedFramesShard, "decode.max_failures"

    def needs(self) -> list:
        return [(Corpus, f"videos.{split}.json") for split in SPLITS]

    def wanted_in(self, files: dict[str, Path]) -> dict[str, list[Item]]:
        from extract.corpus import load_json

        return {split: [tuple(i) for i in load_json(files[f"videos.{split}.json"])] for split in SPLITS}


class EmbedCaptionsShard(Encodes, Pack):
    """The embeddings of some captions (E_T of the paper, eq. 5), one row a caption."""

    reads = ("text_encoder", "encoder.pixels", "encoder.device", "encoder.precision", "encoder.batch_size")
    code, by_version = ("extract.encoders",), True

    def weights(self) -> str:
        return self.config.text_encoder.weights

    def what(self) -> dict:
        return {}

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        from extract import extraction

        return extraction.embed_captions_shard(path, key, self.recipe(), items, self.checkpoint(), self.config)


class CaptionFeatures(Gather):
    """The embeddings of the training split's captions, each distinct text once."""

    packs = EmbedCaptionsShard

    def needs(self) -> list:
        return [(Corpus, "captions.train.json")]

    def wanted_in(self, files: dict[str, Path]) -> dict[str, list[Item]]:
        from extract.corpus import caption_items, load_json

        return {"train": caption_items(load_json(files["captions.train.json"]))}


class Vocabulary(Stage):
    """The words of the training split's captions and aspects."""

    reads = ("vocabulary", "aspects.use")
    code = ("model.vocabulary",)

    def needs(self) -> list:
        return [(Corpus, "captions.train.json"), (Corpus, "aspects.train.json")]

    def make(self, folder: Path) -> None:
        from extract.corpus import load_json
        from model import vocabulary

        captions = load_json(self.input(Corpus, "captions.train.json"))
        aspects = load_json(self.input(Corpus, "aspects.train.json"))
        texts = [text for video in captions.values() for text in video]
        for aspect in self.config.aspects.use:
            found = [text for video in aspects.values() for text in video.get(aspect, ())]
            if not found:
                raise ValueError(
                    f"aspects.use asks for {aspect!r}, but no training video has one: add them to the data "
                    f"(data.commonsense, or a column {aspect}), or leave it out of aspects.use"
                )
            texts += found
        vocabulary.build(texts, self.config.vocabulary.min_count).save(folder / "vocabulary.json")


def videos_of(stage: Stage, split: str) -> tuple:
    """The videos of a split that have frame features, and these features in the same order."""
    from extract import corpus, shards

    rows = stage.input(FrameFeatures, split)
    parts = [stage.input(Corpus, f"{part}.{split}.json") for part in ("videos", "captions", "aspects")]
    videos = corpus.load(*parts, keep=rows)
    return videos, shards.gather(sorted(set(rows.values())), [video.digest for video in videos])


def tables(*splits: str) -> list[tuple[type[Stage], str]]:
    """What `videos_of` needs."""
    parts = [(Corpus, f"{part}.{split}.json") for part in ("videos", "captions", "aspects") for split in splits]
    return parts + [(FrameFeatures, split) for split in splits]


class Train(Stage):
    """Trains the captioner on stored features; goes on from its last checkpoint after a kill."""

    reads = ("fusion", "vis2text", "aspects", "decoder", "train")
    code, identified_by_key = ("model.training", "model.scoring"), True

    def needs(self) -> list:
        return [*tables("train", "val"), (CaptionFeatures, "train"), (Vocabulary, "vocabulary.json")]

    def make(self, folder: Path) -> None:
        from extract import corpus, shards
        from model import batches, scoring, training, vocabulary

        words = vocabulary.Vocabulary.load(self.input(Vocabulary, "vocabulary.json"))
        videos, features = videos_of(self, "train")
        val_videos, val_features = videos_of(self, "val")
        captions = corpus.caption_items({video.id: video.captions for video in videos})
        embedded = sorted(set(self.input(CaptionFeatures, "train").values()))
        data = batches.TrainingData(
            videos,
            features,
            words,
            embeddings=shards.gather(embedded, [digest for _, digest in captions]).values,
            rows={text: row for row, (text, _) in enumerate(captions)},
            aspects=self.config.aspects.use,
            max_tokens=self.config.decoder.max_tokens,
            max_aspect_tokens=self.config.decoder.max_aspect_tokens,
        )
        references = {video.id: video.captions for video in val_videos}
        training.train(
            self.config,
            train=data,
            val=(val_features, list(references)),
            vocabulary=words,
            validate=scoring.CiderScorer(references).score if references else None,
            scratch=self.scratch(),
            out=folder,
        )


class Caption(Stage):
    """Writes captions and aspects for the videos of the scored split, and the controls beside them."""

    reads = ("generate", "score.split", "train.device")
    code = ("model.generation", "model.controls")

    def needs(self) -> list:
        return [(Train, ""), (Corpus, "captions.train.json"), *tables(self.config.score.split)]

    def make(self, folder: Path) -> None:
        from extract.corpus import dump_json, load_json
        from extract.device import resolve
        from model import checkpoints, controls, generation

        videos, features = videos_of(self, self.config.score.split)
        if not videos:
            raise ValueError(
                f"the {self.config.score.split} split has no videos to caption: choose another score.split"
            )
        device = resolve(self.config.train.device, "fp32").device
        model, words = checkpoints.load(self.input(Train), device)
        generate = self.config.generate
        captions = generation.caption(
            model,
            words,
            features,
            [video.id for video in videos],
            beam=generate.beam,
            length_penalty=generate.length_penalty,
            batch_size=generate.batch_size,
            device=device,
        )
        dump_json(folder / "captions.json", captions)
        train = load_json(self.input(Corpus, "captions.train.json"))
        texts = {row["video_id"]: row["caption"] for row in captions}
        dump_json(folder / "controls.json", controls.controls(texts, train))


class Score(Stage):
    """CIDEr, METEOR, ROUGE-L and BLEU of the captions and of the controls."""

    reads = ("score",)
    code = ("model.scoring",)

    def needs(self) -> list:
        references = (Corpus, f"captions.{self.config.score.split}.json")
        return [(Caption, "captions.json"), (Caption, "controls.json"), references]

    def make(self, folder: Path) -> None:
        from extract.corpus import dump_json, load_json
        from model import meteor, scoring

        captions, controls, references = (load_json(self.input(stage, part)) for stage, part in self.needs())
        captions = {row["video_id"]: row["caption"] for row in captions}
        references = {name: references[name] for name in captions}  # videos without features have no caption
        protocol, split = self.config.score.protocol, self.config.score.split
        with meteor.Meteor() as java:
            made = {"model": captions, **controls}
            scores = {name: scoring.score(texts, references, protocol, java).corpus for name, texts in made.items()}
        head = {"protocol": protocol, "split": split, "videos": len(captions)}
        dump_json(folder / "scores.json", {**head, **scores.pop("model"), "controls": scores})


class Report(Stage):
    """All results of an experiment in one folder: report.html, captions, scores, resolved config, model."""

    reads = ("score.split", "experiment.name")
    code = ("model.report",)

    def needs(self) -> list:
        references = (Corpus, f"captions.{self.config.score.split}.json")
        return [(Score, "scores.json"), (Caption, "captions.json"), (Train, ""), references]

    def make(self, folder: Path) -> None:
        from extract.corpus import load_json
        from model import report

        for stage, part in self.needs()[:2]:
            report.link_or_copy(self.input(stage, part), folder / part)
        report.link_or_copy(self.input(Train) / "model.safetensors", folder / "model.safetensors")
        (folder / "config.toml").write_text(dump(self.experiment.config), encoding="utf-8")
        report.write_page(
            folder / "report.html",
            name=self.config.experiment.name,
            scores=load_json(folder / "scores.json"),
            captions=load_json(folder / "captions.json"),
            references=load_json(self.input(Corpus, f"captions.{self.config.score.split}.json")),
            failures=FrameFeatures.of(self).failures(),
        )


STAGES = (ToyWorld, Corpus, ToyClip, DecodeShard, EmbedFramesShard, FrameFeatures, EmbedCaptionsShard, CaptionFeatures)
STAGES += (Vocabulary, Train, Caption, Score, Report)


class Pipeline(luigi.Task):
    """The root: complete when Report is, and `runs/<experiment>` points at it."""

    config = luigi.Parameter(default=str(DEFAULT_CONFIG), description="the experiment's config file")
    override = luigi.Parameter(default="", description='changes to it: "train.epochs=3 fusion.block=conv1d"')

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            self.experiment = Experiment(load(Config, Path(self.config), self.override))
        except ConfigError as error:
            console.refuse(error)
        self.name = self.experiment.config.experiment.name
        self.report = Report.of(self.experiment)
        self.task_id = f"Pipeline_{self.name}_{self.report.id}"
        if console.on_command_line():
            console.share_cores()
            console.report_at_exit(self.experiment, self.stages(), self.complete, self.results)

    def stages(self) -> list[type[Stage]]:
        """The stages that this experiment has, in order."""
        toy = self.experiment.config.data.kind == "toyworld", self.experiment.config.encoder.weights == "toyclip"
        left_out = {ToyWorld: not toy[0], ToyClip: not toy[1]}
        return [stage for stage in STAGES if not left_out.get(stage)]

    def requires(self) -> Report:
        return self.report

    def complete(self) -> bool:
        payload = self.report.payload()
        return payload is not None and payload == self.experiment.artifacts.linked_run(self.name)

    def run(self) -> None:
        self.experiment.artifacts.link_run(self.name, self.report.payload())

    def results(self) -> str:
        """The scores and where everything lies, for a person."""
        from extract.corpus import load_json
        from model.report import score_table

        folder = self.experiment.artifacts.root / "runs" / self.name
        return f"\n{score_table(load_json(folder / 'scores.json'))}\n\nResults: {folder}"

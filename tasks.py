"""The pipeline as Luigi tasks: `luigi --module tasks Pipeline [--config FILE] [--override "train.epochs=3"]`.

    ToyWorld ─┐ (demo)
              ├─ Corpus ─┬─ FrameFeatures: plan → (DecodeShard → EmbedFramesShard) … ─┐
    videos ───┘          ├─ CaptionFeatures: plan → EmbedCaptionsShard … ─────────────┼─ Train ─ Caption ─ Score
    ToyClip ──┄ (demo)   └─ Vocabulary ───────────────────────────────────────────────┘             └─ Report ─ Pipeline

Train needs CaptionFeatures only where it distils. Score also needs References (of the Corpus), Neighbours (of the
FrameFeatures), and the captions of controls, which are trained beside the model. `Table` is several experiments.

A stage says which function `makes` its result, what that `reads` of the config, and what it `needs` of other stages.
This file is imported where nothing may load torch: the functions' modules are imported when they run.
"""
# long: the whole graph in one file is what people look for here

from pathlib import Path
from typing import ClassVar

import luigi

from videocap.extract import config as extract_config
from videocap.extract import words as extract_words
from videocap.extract.config import MODELS
from videocap.model import config as model_config
from videocap.pipeline.config import ConfigError, compose
from videocap.pipeline.functions import later
from videocap.pipeline.run import luigi_patches
from videocap.pipeline.run.root import Root, WholeNumber
from videocap.pipeline.run.sweep import Sweep
from videocap.pipeline.stages.declared import Declared, Need
from videocap.pipeline.stages.gather import Gather
from videocap.pipeline.stages.imported import ImportedSpec
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stages.stage import Stage

luigi_patches.prepare()
Config = compose(extract_config, model_config)
CONFIGS = Path(__file__).resolve().parent / "configs"
DEFAULT_CONFIG = CONFIGS / "demo.toml"
SPLITS = ("train", "val", "test")
WIDEST = 2048  # numbers in a row of features, of the encoders there are


class ToyWorld(Stage):
    """Renders the demo's own clips to .mp4 files, with captions and commonsense aspects."""

    makes, by_version = "videocap.extract.toy.world:make", True
    version = 3  # 2: more actors, each of which lacks one event in training; 3: a sky and a lamp, of which aspects tell
    reads = ("toyworld",)


def rendered(stage: Declared) -> dict[str, Need]:
    """The folder of videos as an input, where the config names none: the demo's."""
    return {} if stage.config.data.videos else {"videos": (ToyWorld, "videos")}


class Corpus(Stage):
    """One table of all videos: id, digest, split, captions, aspects; a file a part and split."""

    makes, by_version = "videocap.extract.corpus.corpus:make", True
    tells = "videocap.extract.words:warning"
    version = 3  # 2: counts.json; 3: drawn splits are not empty
    reads = ("data",)

    def needs(self) -> dict[str, Need]:
        return {"toyworld": (ToyWorld, "")} if self.config.data.kind == "toyworld" else {}

    def sources(self) -> dict[str, Path]:
        from videocap.extract.corpus.corpus import source_files

        if self.config.data.kind == "toyworld":
            return {}
        imported = ForeignShard.of(self).manifests() if self.config.data.features else {}
        return source_files(self.config.data) | imported

    def inputs(self) -> dict:
        made = ToyWorld.of(self).product.manifest()["files"] if self.config.data.kind == "toyworld" else {}
        digests = self.recipe.digests() | {name: file["sha256"] for name, file in made.items()}
        imported = {}
        if self.config.data.features:
            manifests = [name for name in digests if name.startswith("features/")]
            imported = {"features": ForeignShard.of(self).items_of(manifests)}
        return super().inputs() | {"digests": digests} | imported


class ToyClip(Stage):
    """Trains the demo's small CLIP on the training split's frames and captions, in OpenAI's checkpoint format."""

    makes, by_version, identified_by_key = "videocap.extract.toy.clip:make", True, True
    version = 2  # 2: a ResNet
    reads = ("toyclip", "encoder.pixels", "data.videos")
    uses = rendered

    def needs(self) -> dict[str, Need]:
        return {"captions": (Corpus, "captions.train.json"), "table": (Corpus, "videos.train.json")}


class DecodeShard(Spec):
    """The sampled frames of some videos, resized and cropped as the encoder's own preprocessing would."""

    makes, by_version = "videocap.extract.features:decode_shard", True
    version = 2  # 2: pixels that are not square are resized to the shape in which they are shown
    reads = ("decode", "data.videos", *(f"encoder.{name}" for name in ("pixels", "resize", "interpolation", "crop")))
    retry_field, holds = "decode.retry_failed", ("videos", "frames")
    uses = rendered

    def largest(self) -> tuple[int, int]:
        return self.config.decode.frames, 3 * self.config.encoder.pixels**2

    def certain(self) -> bool:
        return self.config.decode.sampling == "uniform"


class EncoderSpec(Spec):
    """Base of what a frozen encoder computes: its weights are in the key by their digest."""

    by_version, hashes_at_once, weights_field = True, True, ""

    def needs(self) -> dict[str, Need]:
        return {"checkpoint": (ToyClip, "clip.pt")} if self.field(self.weights_field) == "toyclip" else {}

    def sources(self) -> dict[str, Path | str]:
        name = self.field(self.weights_field)
        return {} if name == "toyclip" else {"weights": MODELS[name][0] if name in MODELS else Path(name)}

    def inputs(self) -> dict:
        inputs = super().inputs()
        made = inputs.get("checkpoint")
        checkpoint = (str(made), None) if made else (self.field(self.weights_field), self.recipe.digests()["weights"])
        return inputs | {"checkpoint": checkpoint}

    @property
    def resources(self) -> dict[str, int]:
        """One at a time under the local scheduler, so that decoding goes on beside it."""
        return {"encoder": 1} if luigi_patches.scheduled_locally() else {}


class EmbedFramesShard(EncoderSpec):
    """The features of some videos' frames (E_I of the paper), one row a frame."""

    makes, after = "videocap.extract.features:embed_frames_shard", DecodeShard
    reads = ("encoder", *DecodeShard.reads)
    weights_field, retry_field, keep_field = "encoder.weights", "decode.retry_failed", "decode.keep"
    uses, holds = rendered, ("videos", "rows")

    def largest(self) -> tuple[int, int]:
        return self.config.decode.frames, 2 * WIDEST


class ForeignShard(ImportedSpec):
    """Imported features of some videos (`videocap store import`), in place of embedded frames."""

    reads, holds = ("data.features",), ("videos", "rows")


class FrameFeatures(Gather):
    """The frame features of all videos."""

    specs, lists = (EmbedFramesShard, ForeignShard), "videocap.extract.corpus.table:videos_in"
    reads, most_failures = ("decode.max_failures", "data.features"), "decode.max_failures"

    def kind(self) -> type[Spec]:
        return ForeignShard if self.config.data.features else EmbedFramesShard

    def needs(self) -> dict[str, Need]:
        return {split: (Corpus, f"videos.{split}.json") for split in SPLITS}


class EmbedCaptionsShard(EncoderSpec):
    """The embeddings of some captions (E_T of the paper, eq. 5), one row a caption."""

    makes, weights_field = "videocap.extract.features:embed_captions_shard", "text_encoder.weights"
    reads = ("text_encoder", "encoder.device", "encoder.precision", "encoder.batch_size")
    bulk, holds = 32, ("captions", "rows")  # a caption is one row, where a video has many
    warns: ClassVar = {"cut": extract_words.CUT}

    def largest(self) -> tuple[int, int]:
        return 1, 2 * WIDEST

    def counted(self) -> dict[str, int]:
        known = [manifest["provenance"].get("truncated") for manifest in self.store.manifests().values()]
        cut = {str(source) for listed in known if isinstance(listed, list) for source in listed}
        return {"cut": len(cut & {source for _, source in self.gather.rows.items() or ()})}


class CaptionFeatures(Gather):
    """The embeddings of the training split's captions, each distinct text once."""

    specs, lists = (EmbedCaptionsShard,), "videocap.extract.corpus.table:captions_in"

    def needs(self) -> dict[str, Need]:
        return {"train": (Corpus, "captions.train.json")}


class Vocabulary(Stage):
    """The words of the training split's captions and aspects."""

    makes = "videocap.model.vocabulary:make"
    reads = ("vocabulary", "aspects.use")

    def needs(self) -> dict[str, Need]:
        return {"captions": (Corpus, "captions.train.json"), "aspects": (Corpus, "aspects.train.json")}


class Train(Stage):
    """Trains the captioner on stored features; goes on from its last checkpoint after a kill."""

    makes, identified_by_key = "videocap.model.training.stage:make", True
    reads = ("fusion", "vis2text", "aspects", "decoder", "train")

    def needs(self) -> dict[str, Need]:
        tables = ("videos.train", "captions.train", "aspects.train", "videos.val", "captions.val")
        return {
            **{table.replace(".", "_"): (Corpus, f"{table}.json") for table in tables},
            **{f"rows_{split}": (FrameFeatures, split) for split in ("train", "val")},
            **({"rows_text": (CaptionFeatures, "train")} if self.config.train.distill_weight else {}),
            "vocabulary": (Vocabulary, "vocabulary.json"),
        }

    def inputs(self) -> dict:
        return super().inputs() | {"scratch": self.scratch()}


class Caption(Stage):
    """Writes captions and aspects for the videos of the scored split."""

    makes, trained = "videocap.model.captions.stage:make", Train
    reads = ("generate", "score.split", "train.device")

    def needs(self) -> dict[str, Need]:
        split = self.config.score.split
        return {"model": (self.trained, ""), "videos": (Corpus, f"videos.{split}.json"), "rows": (FrameFeatures, split)}

    def others(self) -> list[Path]:
        """Folders of the models that write with this one: of runs, or as they are."""
        found = [self.artifacts.root / "runs" / name for name in self.field("generate.models")]  # a path stays itself
        for folder in found:
            if missing := [name for name in model_config.MODEL_FILES if not (folder / name).is_file()]:
                raise ConfigError(f"generate.models: {folder} has no {', '.join(missing)}: run it to its end first")
        return found

    def sources(self) -> dict[str, Path]:
        return {f"{n}/{name}": of / name for n, of in enumerate(self.others()) for name in model_config.MODEL_FILES}

    def inputs(self) -> dict:
        return super().inputs() | {"others": self.others()}


class Model(Stage):
    """The captioner as it travels, with all that decides a caption: `videocap export-model` copies this folder."""

    makes = "videocap.model.captioner.folder:make"
    reads = ("generate", "experiment.license", "data.kind", "data.features")

    def needs(self) -> dict[str, Need]:
        tables = [f"{part}.{split}" for part in ("videos", "captions") for split in ("train", "val")]
        made = {} if self.config.data.features else EmbedFramesShard.of(self).needs()
        return {
            "trained": (Train, ""),
            **{table.replace(".", "_"): (Corpus, f"{table}.json") for table in tables},
            **({"encoder": made["checkpoint"]} if made else {}),
        }

    def sources(self) -> dict[str, Path]:
        return Caption.of(self).sources()

    def inputs(self) -> dict:
        more: dict = {"others": Caption.of(self).others(), "frames": None, "weights": None}
        if not self.config.data.features:  # not in the key: the rows that Train has read follow from them
            spec = EmbedFramesShard.of(self)
            made = {manifest["provenance"].get("computed") for manifest in spec.store.manifests().values()}
            more |= {"frames": spec.config, "weights": spec.inputs()["checkpoint"], "computed": made - {None}}
        return super().inputs() | more


def control(name: str) -> tuple[type[Train], type[Caption]]:
    """Train and Caption of a control: of the same experiment, but for the fields that it changes."""
    title = name.title().replace("_", "")
    train = type(Train)(f"Train{title}", (Train,), {"changes": model_config.CONTROLS[name], "__module__": __name__})
    alone = {"trained": train, "others": lambda self: [], "__module__": __name__}
    return train, type(Caption)(f"Caption{title}", (Caption,), alone)


CONTROLS = {name: control(name) for name in model_config.CONTROLS}


class Neighbours(Stage):
    """Captions without a captioner: those of the training videos that look most like a video."""

    makes = "videocap.model.scores.neighbours:make"
    reads = ("score.split",)

    def needs(self) -> dict[str, Need]:
        split = self.config.score.split
        return {
            "videos": (Corpus, f"videos.{split}.json"),
            "rows": (FrameFeatures, split),
            "videos_train": (Corpus, "videos.train.json"),
            "rows_train": (FrameFeatures, "train"),
            "captions_train": (Corpus, "captions.train.json"),
        }


class References(Stage):
    """The scored split's captions and aspects, tokenised."""

    makes = "videocap.model.scores.references:make"
    reads = ("score.protocol", "score.split")

    def needs(self) -> dict[str, Need]:
        split = self.config.score.split
        return {"captions": (Corpus, f"captions.{split}.json"), "aspects": (Corpus, f"aspects.{split}.json")}


class Score(Stage):
    """CIDEr, METEOR, ROUGE-L and BLEU of captions, aspects and controls; in the demo what is told right, too."""

    makes = "videocap.model.scores.stage:make"
    reads = ("score", "data.kind")

    def needs(self) -> dict[str, Need]:
        needs = {
            "captions": (Caption, "captions.json"),
            "references": (References, "references.json"),
            "paraphrases": (References, "paraphrases.gz"),
            "train": (Corpus, "captions.train.json"),
            "vocabulary": (Vocabulary, "vocabulary.json"),
            "neighbours": (Neighbours, "captions.json"),
            **{name: (CONTROLS[name][1], "captions.json") for name in self.config.score.controls},
        }
        return needs | ({"scenes": (ToyWorld, "scenes.jsonl")} if self.config.data.kind == "toyworld" else {})


class Report(Stage):
    """All results of an experiment in one folder: report.html, captions, scores (of each video, too), model."""

    makes, tells = "videocap.model.report.stage:make", "videocap.model.words:warning"
    reads = ("score.split", "data.kind")

    def sources(self) -> dict[str, Path]:
        return {"paper": CONFIGS / "ablations" / "table1.toml"}

    def needs(self) -> dict[str, Need]:
        split = self.config.score.split
        return {
            "scores": (Score, "scores.json"),
            "video_scores": (Score, "video_scores.json"),
            "captions": (Caption, "captions.json"),
            "references": (Corpus, f"captions.{split}.json"),
            "table": (Corpus, f"videos.{split}.json"),
            "counts": (Corpus, "counts.json"),
            "model": (Model, ""),
            "curves": (Train, "curves.csv"),
        }

    def inputs(self) -> dict:
        # not in needs(): which videos failed is in the keys of what was made without them, and neither to name them
        # nor to show frames must bring back what was dropped
        sampling = DecodeShard.of(self).config
        rendered = ToyWorld.of(self).product.payload() if ToyWorld in self.experiment.order else None
        shown = {
            "paper": self.sources()["paper"],
            "videos": sampling.data.videos or (rendered and rendered / "videos"),
            "sampling": sampling,
            "sampler": later("videocap.extract.video.sampler:in_folder"),  # whose code decides none of its results
        }
        return super().inputs() | shown | {"failures": FrameFeatures.of(self).rows.failures()}


class Pipeline(Root):
    """The root: complete when Report is, and `runs/<experiment>` shows it."""

    sections, final = Config, Report
    config = luigi.Parameter(default=str(DEFAULT_CONFIG), description="the experiment's config file")

    def pages(self, payload: Path) -> dict[str, str]:
        from videocap.pipeline import how_made

        return {"report.html": how_made.page(self.experiment, payload / "report.html", Train.of(self.experiment))}

    def results(self) -> str:
        from videocap.extract.json_files import load_json
        from videocap.model.report.text import score_table

        return f"\n{score_table(load_json(self.last.product.payload() / 'scores.json'))}\n\nResults: {self.folder}"


class Table(Sweep):
    """A table of the paper, from configs/ablations: `luigi --module tasks Table --number 4 --seeds 3`.

    Each row is an experiment, with one or several seeds; its files show our figures beside the paper's.
    """

    root, common, seed_field, suffixes = Pipeline, "score.controls=[]", "train.seed", (".md", ".csv")
    config = luigi.Parameter(default=str(DEFAULT_CONFIG), description="the config file that its rows change")
    number = WholeNumber(default=0, description="of the table in the paper: 1 to 5")

    def title(self) -> str:
        return f"table{self.number}"

    @property
    def paper(self):
        from videocap.model.report.tables import Table as Rows

        try:
            return Rows.read(CONFIGS / "ablations" / f"table{self.number}.toml")
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def rows(self, base: Config) -> dict[str, str]:
        if self.number not in range(1, 6):
            raise ConfigError(f"--number is 1 to 5, not {self.number}")
        return {row.name: row.override(base.encoder.weights == "toyclip") for row in self.paper.rows if row.name}

    def texts(self, done: dict[str, Root]) -> dict[str, str]:
        from videocap.extract.json_files import load_json
        from videocap.model.report.tables import as_csv, markdown

        scores = {
            row: [load_json(root.last.product.payload() / "scores.json") for root in roots]
            for row, roots in self.done_rows(done).items()
        }
        data = self.experiments[0].config.data.kind + (f", with {self.override}" if self.override else "")
        return {".md": markdown(self.paper, scores, data), ".csv": as_csv(self.paper, scores)}

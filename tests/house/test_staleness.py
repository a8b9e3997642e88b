"""What a change makes stale: one table of all config fields, held against the keys of the real stages."""

from pathlib import Path

import numpy as np
import pytest
from runs import FOLDER, TINY, foretold, luigi, status

from videocap import tasks
from videocap.extract.shards.exchange import write_shard
from videocap.model.config import MODEL_FILES
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import ConfigError, fields, load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.stage import Stage
from videocap.pipeline.stores import imported

DEMO = tasks.DEFAULT_CONFIG.read_text()
REPORT = {"Report"}
SCORE = {"Score", *REPORT}
CAPTION = {"Caption", "CaptionOneFrame", "CaptionShuffledFrames", *SCORE}
MODEL = {"Model", *REPORT}
TRAIN = {"Train", "TrainOneFrame", "TrainShuffledFrames", *CAPTION, *MODEL}
TEXT = {"EmbedCaptionsShard", "CaptionFeatures", *TRAIN}
FRAMES = {"EmbedFramesShard", "FrameFeatures", "Neighbours", *TRAIN}
DECODE = {"DecodeShard", *FRAMES}
CLIP = {"ToyClip", *FRAMES, *TEXT}
WORDS = {"Vocabulary", *TRAIN}
DATA = {
    "Corpus",
    "FrameFeatures",
    "Neighbours",
    "CaptionFeatures",
    "References",
    *WORDS,
}  # whose items then decide what is computed
CORPUS = {*DATA, *CLIP}
NONE: set[str] = set()

# field: another value, and the stages that it makes stale where nothing comes out the same; in TOML
TABLE = {
    "experiment.name": ('"other"', NONE),
    "experiment.license": ('"mit"', MODEL),
    "pipeline.artifacts": ('"elsewhere"', NONE),
    "pipeline.code": ('"version"', NONE),  # see test_the_code_setting_decides_what_of_the_code_counts
    "pipeline.shard_size": ("7", NONE),
    "data.kind": ('"msrvtt"', DATA),
    "data.videos": ('"moved"', NONE),
    "data.features": ('"i3d"', {"ForeignShard", *DATA}),
    "data.annotations": ('"copy.csv"', NONE),
    "data.commonsense": ('"copy.csv"', DATA),
    "data.split": ('"copy.csv"', DATA),
    "toyworld.clips": ("601", {"ToyWorld", *CORPUS}),
    "toyworld.seed": ("1", {"ToyWorld", *CORPUS}),
    "toyclip.image": ('"vit-8"', CLIP),
    "toyclip.steps": ("7", CLIP),
    "toyclip.seed": ("1", CLIP),
    "decode.sampling": ('"fps"', DECODE),
    "decode.frames": ("5", DECODE),
    "decode.fps": ("3.0", NONE),  # does not matter under uniform sampling
    "decode.placement": ('"ends"', DECODE),
    "decode.square_pixels": ("false", DECODE),
    "decode.keep": ("false", NONE),
    "decode.max_failures": ("0.5", NONE),
    "decode.retry_failed": ("1", NONE),
    "decode.timeout": ("7.0", NONE),
    "decode.max_pixels": ("1000000", NONE),
    "encoder.weights": ('"ViT-B/16"', FRAMES),
    "encoder.pixels": ("128", {*DECODE, *CLIP}),
    "encoder.resize": ("256", DECODE),
    "encoder.interpolation": ('"bilinear"', DECODE),
    "encoder.crop": (None, DECODE),  # has one value so far
    "encoder.device": ('"cuda"', NONE),
    "encoder.precision": ('"fp32"', NONE),
    "encoder.batch_size": ("7", NONE),
    "encoder.compile": ("true", NONE),
    "text_encoder.weights": ('"RN50"', TEXT),
    "vocabulary.min_count": ("2", WORDS),
    "fusion.block": ('"conv1d"', TRAIN),
    "fusion.scales": ("1", TRAIN),
    "fusion.mode": ('"parallel"', TRAIN),
    "fusion.frames": ('"one"', TRAIN),
    "vis2text.activation": ('"relu"', TRAIN),
    "vis2text.target": ('"raw"', TRAIN),
    "vis2text.pooling": ('"broadcast"', TRAIN),
    "aspects.use": ('["effect"]', WORDS),
    "aspects.queries": ("2", TRAIN),
    "decoder.width": ("64", TRAIN),
    "decoder.layers": ("1", TRAIN),
    "decoder.aspect_layers": ("2", TRAIN),
    "decoder.heads": ("2", TRAIN),
    "decoder.inner": ("64", TRAIN),
    "decoder.dropout": ("0.3", TRAIN),
    "decoder.max_tokens": ("10", TRAIN),
    "decoder.max_aspect_tokens": ("10", TRAIN),
    "train.lr": ("0.1", TRAIN),
    "train.epochs": ("1", TRAIN),
    "train.batch_size": ("7", TRAIN),
    "train.epoch": ('"video"', TRAIN),
    "train.distill_weight": ("1.0", TRAIN),
    "train.aspect_weights": ("[1, 1, 2]", TRAIN),
    "train.aspects_per": ('"own"', TRAIN),
    "train.schedule": ('"v2c"', TRAIN),
    "train.warmup": ("0.5", TRAIN),
    "train.weight_decay": ("0.5", TRAIN),
    "train.clip_norm": ("0.5", TRAIN),
    "train.label_smoothing": ("0.5", TRAIN),
    "train.captions_per_video": ("3", TRAIN),
    "train.consensus": ("0.5", TRAIN),
    "train.r_drop": ("2.0", TRAIN),
    "train.feature_noise": ("0.1", TRAIN),
    "train.frame_dropout": ("0.1", TRAIN),
    "train.word_dropout": ("0.3", TRAIN),
    "train.ema": ("0.9", TRAIN),
    "train.scst_epochs": ("2", TRAIN),
    "train.scst_lr": ("0.1", NONE),  # does not matter without such epochs
    "train.scst_samples": ("3", NONE),
    "train.patience": ("1", NONE),  # does not matter under a cosine
    "train.seed": ("1", TRAIN),
    "train.device": ('"cuda"', NONE),
    "train.precision": ('"fp32"', NONE),
    "generate.models": ('["earlier"]', {"Model", *CAPTION} - {"CaptionOneFrame", "CaptionShuffledFrames"}),
    "generate.beam": ("1", {"Model", *CAPTION}),
    "generate.length_penalty": ("0.0", {"Model", *CAPTION}),
    "generate.no_repeat_ngram": ("3", {"Model", *CAPTION}),
    "generate.method": ('"sample"', {"Model", *CAPTION}),
    "generate.temperature": ("0.5", NONE),  # does not matter in a search
    "generate.top_p": ("0.5", NONE),
    "generate.seed": ("1", NONE),
    "generate.batch_size": ("7", NONE),
    "score.protocol": ('"v2c"', {"References", *SCORE}),
    "score.split": ('"val"', {"References", "Neighbours", *CAPTION}),
    "score.controls": ('["one_frame", "shuffled_frames", "no_subdecoders"]', SCORE),
}


def test_every_field_has_a_row():
    assert set(TABLE) == set(fields(tasks.Config))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of files to name in a config; the artifacts are one folder, wherever the config says."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("a")
    (tmp_path / "captions.csv").write_text("video,caption\na.mp4,x\n")
    (tmp_path / "copy.csv").write_text("video,caption\na.mp4,x\n")
    (tmp_path / "clip.pt").write_text("weights")
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path


def recipes(folder: Path, base: str, override: str = "") -> dict[str, object]:
    """What decides each stage's key by itself and through all stages behind it, were nothing cut off."""
    (folder / "experiment.toml").write_text(base)
    experiment = Experiment(load(tasks.Config, folder / "experiment.toml", override), tasks.Report)
    known: dict[type, object] = {}

    def recipe(stage: type) -> object:
        if stage not in known:
            task = stage.of(experiment)
            task.recipe.digests(compute=True)
            behind = [other for other in task.upstream() if other not in {used for used, _ in task.uses().values()}]
            known[stage] = task.recipe.values(), task.recipe.digests(), [recipe(other) for other in behind]
        return known[stage]

    return {stage.__name__: recipe(stage) for stage in experiment.order}


def reading_the_corpus(folder: Path) -> set[str]:
    """The stages that have a table of the corpus among their inputs."""
    experiment = Experiment(load(tasks.Config, folder / "experiment.toml"), tasks.Report)
    return {stage.name for stage in experiment.nodes() if tasks.Corpus in stage.upstream()}


def absent(stages: dict[str, object]) -> set[str]:
    """The stages of controls that an experiment has not."""
    return {kind.__name__ for pair in tasks.CONTROLS.values() for kind in pair} - stages.keys()


@pytest.mark.parametrize("field", TABLE)
def test_a_changed_field_makes_stale_what_the_table_says(field, folder, monkeypatch):
    value, expected = TABLE[field]
    if value is None:
        return
    monkeypatch.chdir(folder)
    base = FOLDER if field.startswith("data.") else DEMO
    if field in ("data.commonsense", "data.split"):
        base = base.replace('kind = "folder"', 'kind = "msrvtt"')
    if field == "data.features":
        base = base.replace('videos = "videos"', 'features = "c3d"')
        for name in ("c3d", "i3d"):
            rows = [("a.mp4", "0" * 64, np.zeros((1, 8), np.float16))]
            imported.publish(
                imported.foreign_store(Artifacts(folder / "artifacts"), name), rows, write_shard, 128, "c3d"
            )
    if field == "generate.models":
        run = folder / "artifacts" / "runs" / "earlier"
        run.mkdir(parents=True)
        for name in MODEL_FILES:
            (run / name).write_text("a model")
    if field == "data.videos":
        (folder / "moved").symlink_to("videos")
    if field == "encoder.weights":
        base = base.replace("pixels = 64", "pixels = 224")
    if field == "fusion.frames":  # what a control changes can't be what the experiment does anyway
        base = base.replace("controls =", "# ")
    before, after = recipes(folder, base), recipes(folder, base, f"{field}={value}")
    if "Corpus" in expected:
        expected = expected | reading_the_corpus(folder)
    assert {stage for stage in before if before[stage] != after[stage]} == expected - absent(before)


def test_what_does_not_matter_under_one_sampling_does_under_the_other(folder):
    base = DEMO + "\n[pipeline]\n"
    fps = base.replace("[decode]\n", '[decode]\nsampling = "fps"\n')
    before = recipes(folder, fps)
    faster, ends = recipes(folder, fps, "decode.fps=3.0"), recipes(folder, fps, "decode.placement=ends")
    assert {stage for stage in before if before[stage] != faster[stage]} == DECODE
    assert before == ends


def test_weights_with_a_name_are_in_keys_before_they_are_downloaded(folder):
    resnet = "encoder.weights=ResNet-152 encoder.pixels=224 encoder.resize=256 encoder.interpolation=bilinear"
    _, digests, _ = recipes(folder, FOLDER, resnet)["EmbedFramesShard"]
    assert digests == {"weights": "torchvision/resnet152-394f9c45"}
    _, digests, _ = recipes(folder, FOLDER, "encoder.weights=ViT-B/16 encoder.pixels=224")["EmbedFramesShard"]
    assert digests["weights"].startswith("5806e77c")


@pytest.mark.parametrize("file", ["videos/a.mp4", "captions.csv", "clip.pt"])
def test_one_byte_of_what_comes_from_outside_counts(folder, file):
    before = recipes(folder, FOLDER)
    content = (folder / file).read_text()
    (folder / file).write_text(content + " ")
    after = recipes(folder, FOLDER)
    first = "EmbedFramesShard" if file == "clip.pt" else "Corpus"
    assert before[first] != after[first]
    assert before["Train"] != after["Train"]
    (folder / file).write_text(content)
    assert recipes(folder, FOLDER) == before, "mtimes don't matter"


def test_the_models_of_other_runs_count_by_their_content_and_must_be_there(folder):
    base = DEMO + '\n[generate]\nmodels = ["earlier"]\n'
    with pytest.raises(ConfigError, match=r"runs/earlier has no config\.json, .*: run it to its end"):
        recipes(folder, base)
    run = folder / "artifacts" / "runs" / "earlier"
    run.mkdir(parents=True)
    for name in MODEL_FILES:
        (run / name).write_text("a model")
    before = recipes(folder, base)
    (folder / "copied").symlink_to(run)
    assert recipes(folder, base.replace("earlier", "./copied")) == before, "a folder in place of a name"
    with pytest.raises(ConfigError, match="'demo' is this experiment itself"):
        recipes(folder, base.replace("earlier", "demo"))
    (run / "model.safetensors").write_text("other weights")
    after = recipes(folder, base)
    assert {stage for stage in before if before[stage] != after[stage]} == {"Caption", *SCORE, *MODEL}


def test_without_distillation_no_caption_is_embedded_and_no_text_encoder_asked_for(folder):
    stages = recipes(folder, DEMO, "train.distill_weight=0")
    assert not {"CaptionFeatures", "EmbedCaptionsShard"} & stages.keys()
    assert {"CaptionFeatures", "EmbedCaptionsShard"} <= recipes(folder, DEMO).keys()
    assert recipes(folder, DEMO, "train.distill_weight=0 text_encoder.weights='RN50'") == stages


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + FOLDER,
        FOLDER.replace("pixels = 64", "pixels = 0x40"),
        FOLDER + "\n[train]\nlr = 3e-4\nepochs = 50\n",
        "\n".join("[" + section for section in reversed(FOLDER.split("\n[")[1:])),
    ],
)
def test_how_a_config_is_written_does_not_matter(folder, text):
    assert recipes(folder, text) == recipes(folder, FOLDER)


def test_the_code_setting_decides_what_of_the_code_counts(folder):
    def stages(setting: str) -> list[Stage]:
        (folder / "experiment.toml").write_text(DEMO + f'\n[pipeline]\ncode = "{setting}"\n')
        experiment = Experiment(load(tasks.Config, folder / "experiment.toml"), tasks.Report)
        return [stage.of(experiment) for stage in experiment.order]

    def hashed(setting: str) -> set[str]:
        return {stage.name for stage in stages(setting) if stage.recipe.counts_code()}

    makers = {stage.name: stage for stage in stages("auto") if stage.makes}
    assert hashed("version") == set()
    assert hashed("strict") == makers.keys()
    assert hashed("auto") == {name for name, stage in makers.items() if not stage.by_version}
    assert hashed("auto") >= {"Vocabulary", "Train", "TrainOneFrame", "Caption", "References", "Score", "Report"}
    extraction = {"ToyWorld", "Corpus", "ToyClip", "DecodeShard", "EmbedFramesShard", "EmbedCaptionsShard"}
    assert not extraction & hashed("auto")


@pytest.fixture(scope="module")
def artifacts(tiny, tmp_path_factory) -> Path:
    """The results of the tiny demo, to which the runs below add."""
    return tiny.copied(tmp_path_factory.mktemp("matrix") / "artifacts").artifacts


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        # nothing
        "experiment.name=other pipeline.shard_size=3 encoder.batch_size=5 train.precision=fp32 decode.timeout=99.0 "
        "decode.fps=3.0",
        # captions and scores
        "generate.beam=1 score.split=val score.protocol=v2c",
        # the vocabulary and what is trained, on the features there are
        "vocabulary.min_count=5 aspects.use=['effect'] fusion.block=conv1d train.distill_weight=1.0",
        # features of the clips there are, and what is trained on them
        "toyclip.steps=4 encoder.pixels=96 decode.placement=ends",
        # all
        "toyworld.seed=1",
    ],
)
def test_what_really_runs_is_what_the_table_says(override, artifacts):
    changed = [part.partition("=")[0] for part in override.split()]
    expected = set().union(*(TABLE[field][1] for field in changed))
    expected |= {"DecodeShard"} if "Corpus" in expected else NONE  # its spec is the same, but there are new items
    arguments = ("--override", f"{TINY} {override}")
    before, foreseen = status(artifacts, "--override", TINY), status(artifacts, *arguments)
    expected = expected - absent(before)
    run = luigi(artifacts, *arguments)
    assert run.status == 0, run.output
    after = status(artifacts, *arguments)
    assert {row["state"] for row in after.values()} == {"fresh"}
    same = {stage for stage in expected if before[stage]["key"] == after[stage]["key"]}
    assert run.ran() <= expected
    assert expected - run.ran() <= same, "only what is behind a result that came out the same is cut off"
    assert foretold(foreseen)[0] <= run.ran() <= foretold(foreseen)[1]

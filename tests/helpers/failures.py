"""Experiments of a person's own videos, of which some failed."""

from pathlib import Path

from runs import FOLDER

from videocap import tasks
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import Experiment

RETRY = 3  # the number under which they failed


def in_folder(folder: Path, names: list[str], override: str = "") -> Experiment:
    """An experiment of a person's own videos, of which nothing was made. The artifacts folder is the environment's."""
    (folder / "videos").mkdir(exist_ok=True)
    for name in names:
        (folder / "videos" / name).write_text(name)
    (folder / "captions.csv").write_text("video,caption\n" + "".join(f"{name},a caption\n" for name in names))
    (folder / "clip.pt").write_text("weights")
    (folder / "mine.toml").write_text(FOLDER)
    return again(folder, override)


def again(folder: Path, override: str = "") -> Experiment:
    """The same experiment, as another run loads it."""
    return Experiment(load(tasks.Config, folder / "mine.toml", override), tasks.Report)


def with_failures(folder: Path, names: list[str], failed: int = 1) -> tuple[tasks.FrameFeatures, Path]:
    """Make the corpus of these videos, and a shard in which the first ones are recorded as failed.

    Returns:
        the gather of the features, and the config's file. The artifacts folder is the environment's.
    """
    experiment = in_folder(folder, names)
    tasks.Corpus.of(experiment).run()
    gather = tasks.FrameFeatures.of(experiment)
    items = sorted(gather.rows.items())
    failures = [{"id": name, "digest": source, "reason": "is damaged"} for name, source in items[:failed]]

    def write(path: Path, key: str) -> dict:
        path.write_bytes(b"rows")
        whole = [source for _, source in items[failed:]]
        return {"digests": whole, "failures": failures, "content": "", "provenance": {}}

    gather.spec.store.publish_shard(items, RETRY, write, {"how": {}})
    return gather, folder / "mine.toml"

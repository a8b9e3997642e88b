"""`VideoCaptioner`: what a trained captioner says of any videos."""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from videocap import tasks
from videocap.extract.corpus.video_files import find_videos, odd_videos
from videocap.pipeline import words
from videocap.pipeline.config import load
from videocap.pipeline.digests import file_digest
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.store import Index

if TYPE_CHECKING:
    from videocap.model.captions.own_videos import Writer

FEW = 8  # videos that need no progress bar


@dataclass(frozen=True)
class CaptionedVideo:
    """What came of one video: either a caption, or an error."""

    video: str
    """Its path, as it was given."""
    caption: str | None = None
    aspects: dict[str, str] = field(default_factory=dict)
    """What each sub-decoder says: {"intention": …}; empty if the model has none."""
    times: tuple[float, ...] = ()
    """Seconds from the first frame of the frames that were looked at."""
    known: bool = False
    """Whether its features were in the store, so that nothing was decoded."""
    error: str | None = None
    """What is wrong with it, in one line."""

    def told(self) -> dict[str, Any]:
        """For a program: {"video", "caption", one entry an aspect, "times", "known"}, or {"video", "error"}."""
        if self.error is not None:
            return {"video": self.video, "error": self.error}
        return {
            "video": self.video,
            "caption": self.caption,
            **self.aspects,
            "times": list(self.times),
            "known": self.known,
        }


class VideoCaptioner:
    """Captions any videos as the stage Caption of an experiment would; results and stores stay as they are.

    Videos whose features are in the experiment's store are not decoded; others are, in child processes with the
    experiment's limits, and embedded with its encoder. Model and encoder are loaded when they are first needed, and
    stay.

    Args:
        config: the config file of a trained experiment.
        override: changes to it: "generate.beam=8".
        warn: is told of what is no error, such as a damaged shard.

    Raises:
        ValueError: if the config is wrong, its features were imported, or it has no trained model.
    """

    def __init__(
        self,
        config: str | os.PathLike = tasks.DEFAULT_CONFIG,
        override: str = "",
        warn: Callable[[str], object] = warnings.warn,
    ):
        loaded = load(tasks.Config, Path(config), override)
        if features := loaded.data.features:
            raise ValueError(
                f"data.features = {features!r} were made by other code, so those of a video can't be made here: "
                "caption with a config that trains on `videos`"
            )
        # not that of the root task: Luigi would give an earlier one of the same arguments
        self.experiment = Experiment(loaded, tasks.Report)
        self.warn = warn
        train = tasks.Train.of(self.experiment)
        if not train.complete():
            command = ["videocap", "run", "--config", os.fspath(config)]
            command += ["--override", override] if override else []
            why = words.reasons(train.product.reasons())
            raise ValueError(
                f"there is no trained model of just this config and its data{f' ({why})' if why else ''}: "
                f"run {shlex.join(command)} first, which reuses what is done"
            )

    def __call__(self, videos: str | os.PathLike | Iterable[str | os.PathLike]) -> list[CaptionedVideo]:
        """Caption videos.

        Args:
            videos: paths of files, and of folders, for all videos below them; or one path.

        Returns:
            one entry a file, in the order given, in a folder by path. A video that can't be captioned has an `error`
            in place of a caption, and so has a path that leads to no video.

        Raises:
            ValueError: if the model or the encoder can't be loaded.
        """
        from videocap.extract.video.probe import VideoError, check_file

        given = [videos] if isinstance(videos, str | os.PathLike) else videos
        found = [one for path in given for one in _files(Path(path))]
        digests: dict[Path, str] = {}
        errors = {file: error for file, error in found if error}
        files = list(dict.fromkeys(file for file, error in found if not error))
        for file in tqdm(files, "read", unit="video", disable=None if len(files) > FEW else True):
            try:
                check_file(file)
                digests[file] = file_digest(file)
            except (VideoError, OSError) as error:
                errors[file] = getattr(error, "strerror", None) or str(error)
        rows, known, failed = self._rows({digest: file for file, digest in reversed(digests.items())})
        written = {}
        if rows:
            names = {digest: str(file) for file, digest in digests.items()}
            texts = self._writer(list(rows.values()), [names[digest] for digest in rows], len(rows) > FEW)
            written = dict(zip(rows, texts, strict=True))

        def captioned(file: Path) -> CaptionedVideo:
            digest = digests.get(file)
            if digest not in written:
                return CaptionedVideo(str(file), error=errors.get(file) or failed[digest])
            aspects = dict(written[digest])
            times = tuple(round(float(time), 3) for time in rows[digest].times)
            return CaptionedVideo(str(file), aspects.pop("caption"), aspects, times, digest in known)

        return [captioned(file) for file, _ in found]

    def picture(self, video: str | os.PathLike) -> bytes | None:
        """A JPEG of the frames of a video that a caption is made of; None if they can't be decoded."""
        from videocap.model.captions.own_videos import picture

        sampling = tasks.DecodeShard.of(self.experiment).config
        return picture(Path(video), file_digest(Path(video)), sampling.decode, sampling.encoder)

    def _rows(self, files: dict[str, Path]) -> tuple[dict, set[str], dict[str, str]]:
        """The rows of videos by digest, which of these a store holds, and why the others have none."""
        from videocap.model.captions.own_videos import make_rows, read_rows

        index = tasks.EmbedFramesShard.of(self.experiment).store.index()
        known = read_rows({digest: index.rows[digest] for digest in files if digest in index.rows}, self.warn)
        unknown = {digest: file for digest, file in files.items() if digest not in known}
        size = self.experiment.config.pipeline.shard_size
        made, failed = make_rows(unknown, self._embed, size) if unknown else ({}, {})
        rows = known | made
        empty = {digest: "has no frames" for digest, of in rows.items() if not len(of.values)}
        kept = {digest: rows[digest] for digest in files if digest in rows and digest not in empty}
        return kept, set(known), failed | empty

    @cached_property
    def _embed(self) -> Callable[..., dict]:
        """The experiment's own function that makes shards of features, for videos that no shard has."""
        from videocap.extract.features import load_encoder

        spec = tasks.EmbedFramesShard.of(self.experiment)
        inputs, encoder = spec.inputs(), spec.config.encoder
        # what is wrong with the encoder is wrong for all videos
        loaded = load_encoder(*inputs["checkpoint"], encoder.device, encoder.precision)
        loaded.geometry.check(encoder, inputs["checkpoint"][0])
        if encoder.compile:
            loaded.compile(encoder.batch_size)
        shard = {"key": spec.recipe.key, "spec": spec.recipe.settled()}

        def embed(path: Path, **how: Any) -> dict:
            return spec.function()(path, spec.config, **inputs | shard | {"before": Index()} | how)

        return embed

    @cached_property
    def _writer(self) -> Writer:
        from videocap.model.captions.own_videos import Writer

        stage = tasks.Caption.of(self.experiment)
        return Writer(tasks.Train.of(self.experiment).product.value(""), stage.config, stage.others())


def _files(path: Path) -> Iterator[tuple[Path, str | None]]:
    """The videos that a path means, each with what is wrong with it if that is plain already."""
    if not os.path.isdir(path):  # which pathlib's raises for what it may not look at
        yield path, None
        return
    found = find_videos(path)
    for name in sorted(found):
        yield found[name], None
    for name in odd_videos(path):
        yield path / name, "is a link that leads nowhere, no regular file, or has a name that is no Unicode"
    if not found:
        yield path, "is a folder without videos"

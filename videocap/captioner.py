"""`VideoCaptioner`: what a trained captioner says of any videos."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError
from tqdm import tqdm

from videocap.captioned import CaptionedVideo
from videocap.extract.ahead import ahead
from videocap.extract.corpus.video_files import files_of
from videocap.hub import folder_of

if TYPE_CHECKING:
    import numpy as np

    from videocap.extract.encoders.encoder import Encoder
    from videocap.model.captioner.captioner import Captioner
    from videocap.model.captioner.saved import About
    from videocap.model.captions.ensemble import Ensemble
    from videocap.model.captions.own_videos import Clip, Rows
    from videocap.model.vocabulary import Vocabulary
    from videocap.pipeline.stores.store import Index

FEW = 8  # videos that need no progress bar
SOON = 16  # videos that are written together: the first are told while others are still looked at


class VideoCaptioner:
    """Captions any videos by a trained captioner; nothing is written, and results and stores stay as they are.

    `VideoCaptioner.from_pretrained` takes a captioner's folder, and needs nothing else. `VideoCaptioner(config)` takes
    the one that `runs/<name>` of a config's artifacts shows, and with it what lies there: videos whose features are in
    the store are not decoded. All others are, in child processes with limits, and embedded by its encoder. Model and
    encoder are loaded when they are first needed, and stay.

    Args:
        config: the config file of a trained experiment.
        override: changes to it; "generate.beam=8" changes how this captioner writes.
        warn: is told of what is no error, such as a damaged shard, or a model that is of an earlier state.

    Raises:
        ValueError: if the config is wrong, or no model has been trained.
    """

    def __init__(
        self,
        config: str | os.PathLike | None = None,
        override: str = "",
        warn: Callable[[str], object] = warnings.warn,
    ):
        from videocap import experiment_model  # which loads the pipeline

        found = experiment_model.find(config, override)
        self._open(found.folder, found.settings, found.device, warn, found.encoder)
        self.write_by(**found.generate)
        self._store = found.store
        for remark in found.remarks:
            warn(remark)

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike,
        *,
        revision: str | None = None,
        device: str = "auto",
        encoder: str | os.PathLike | None = None,
        warn: Callable[[str], object] = warnings.warn,
    ) -> Self:
        """The captioner of a folder that `videocap export-model` or `save_pretrained` wrote, or of a hub's repository.

        Args:
            source: the folder; or "org/name", if there is no such folder, by huggingface_hub and its cache.
            revision: of the repository: a branch, tag or commit.
            device: "auto", "cpu", "cuda", "cuda:1" …
            encoder: the encoder's checkpoint, where it neither came along nor can be downloaded.

        Raises:
            ValueError: if there is no such folder, or it is damaged or not a captioner's.
        """
        captioner = cls.__new__(cls)
        captioner._open(folder_of(source, revision), {"device": device}, device, warn, encoder)
        return captioner

    def _open(
        self,
        folder: Path,
        settings: dict[str, Any],
        device: str,
        warn: Callable[[str], object],
        encoder: str | os.PathLike | None,
    ) -> None:
        from videocap.extract.config import DecodeConfig
        from videocap.model.captioner import saved
        from videocap.model.config import GenerateConfig

        self.folder, self.device, self.warn, self._encoder_file = folder, device, warn, encoder
        self.about: About = saved.read(folder)
        self._store: Index | None = None
        self.generate = self.about.generate or GenerateConfig()
        limits = {name: settings[name] for name in DecodeConfig.model_fields if name in settings}
        self.decode = (self.about.decode or DecodeConfig()).model_copy(update=limits)
        computing = {"device": "auto", "precision": "auto", "batch_size": 32, "compile": False} | settings
        self.encoder: SimpleNamespace | None = None
        if of := self.about.encoder:
            self.encoder = SimpleNamespace(
                pixels=of.pixels, resize=of.resize, interpolation=of.interpolation, crop=of.crop, **computing
            )

    def save_pretrained(self, folder: str | os.PathLike, with_encoder: bool = False) -> None:
        """Write the captioner's folder, as `videocap export-model` does; it writes as this captioner does now.

        Args:
            folder: to be made; it may be empty.
            with_encoder: let the encoder's weights go along, also where they can be downloaded.

        Raises:
            ValueError: if something is there, or weights that can't be downloaded are nowhere to be had.
        """
        from videocap.extract.config import MODELS
        from videocap.model.captions.export import export

        of = self.about.encoder
        along = of is not None and not of.file_sha256 and (with_encoder or of.weights not in MODELS)
        export(self.folder, Path(folder), self._weights() if along else None, self.generate)

    def __call__(
        self, videos: str | os.PathLike | Iterable[str | os.PathLike], every: float | str | None = None, nbest: int = 1
    ) -> list[CaptionedVideo]:
        """Caption videos.

        Args:
            videos: paths of files, and of folders, for all videos and pictures below them; or one path.
            every: seconds: each video is captioned in parts of this length, each from its own frames; or `scenes`.
            nbest: how many captions of each; a search may find fewer.

        Returns:
            one entry a file, or several with `every`, in the order given, in a folder by path. A video that can't be
            captioned has an `error` in place of a caption, and so has a path that leads to no video.

        Raises:
            ValueError: if the model or the encoder can't be loaded.
        """
        return list(self.stream(videos, every, nbest))

    def stream(
        self, videos: str | os.PathLike | Iterable[str | os.PathLike], every: float | str | None = None, nbest: int = 1
    ) -> Iterator[CaptionedVideo]:
        """The same one by one, as they are done: videos are decoded while others are embedded and captioned."""
        if self.encoder is None:
            raise ValueError(
                f"{self.folder}: was trained on features that other code made, so those of a video can't be made here: "
                "give it features (from_features), or caption with a model that was trained on videos"
            )
        if nbest < 1:
            raise ValueError(f"nbest is 1 or more, not {nbest}")
        if every is not None and every != "scenes" and not (isinstance(every, float | int) and every > 0):
            raise ValueError(f"every is a number of seconds, or scenes, not {every!r}")
        given = [videos] if isinstance(videos, str | os.PathLike) else videos
        order = [one for path in given for one in files_of(Path(path))]
        files = list(dict.fromkeys(file for file, error in order if not error))
        ended: dict[Path, tuple[int, str | None]] = {file: (0, error) for file, error in order if error}
        written: dict[Path, list[CaptionedVideo]] = {file: [] for file, _ in order}

        def end(file: Path, clips: int, error: str | None) -> None:
            ended[file] = clips, error

        head, told = 0, 0  # the file to be told next, and how many of its clips have been
        waiting: list[tuple[Clip, Rows, bool]] = []
        size = min(self.generate.batch_size, SOON)
        made = ahead(lambda stopped: self._rows(files, end, every), size)
        with (
            closing(made),
            tqdm(total=len(order), desc="caption", unit="video", disable=None if len(files) > FEW else True) as bar,
        ):
            for one in chain(made, [None]):
                if one is not None:
                    waiting.append(one)
                if waiting and (one is None or len(waiting) == size):
                    for captioned, clip in zip(
                        self._captioned(waiting, nbest, every is not None), waiting, strict=True
                    ):
                        written[clip[0].file].append(captioned)
                    waiting = []
                while head < len(order):
                    file = order[head][0]
                    yield from written[file][told:]
                    told = len(written[file])
                    if file not in ended or told < ended[file][0]:
                        break
                    if ended[file][1]:
                        yield CaptionedVideo(str(file), error=ended[file][1])
                    head, told = head + 1, 0
                    bar.update()

    def write_by(self, **options: Any) -> None:
        """Change how it writes: fields of [generate], such as beam=8, or method="sample", top_p=0.9, seed=1.

        Raises:
            ValueError: for a value that can't be.
        """
        try:
            self.generate = type(self.generate)(**self.generate.model_dump() | options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, not {first['input']!r}") from None

    def picture(self, video: str | os.PathLike) -> bytes | None:
        """A JPEG of the frames of a video that a caption is made of; None if they can't be decoded."""
        from videocap.model.captions.own_videos import picture

        return picture(Path(video), self.decode, self.encoder)

    def from_features(self, features: Iterable[np.ndarray]) -> list[dict[str, str]]:
        """Captions, {"caption": …, "intention": …} each, of features that are there: float (N, d_v) a video."""
        from videocap.model.captions.own_videos import Rows

        rows = [Rows(of.astype("float16"), of[:, 0].astype("float32")) for of in features]
        return self._write(rows, [f"number {number}" for number in range(len(rows))]) if rows else []

    def _rows(
        self, files: list[Path], end: Callable[[Path, int, str | None], object], every: float | str | None
    ) -> Iterator[tuple[Clip, Rows, bool]]:
        """The rows of files, and whether a store had them; `end` as for `make_rows`."""
        from videocap.model.captions.own_videos import Clip, make_rows, read_rows

        known: dict[Path, Rows] = {}
        if self._store is not None and every is None:
            digests = dict(self._digests(files, end))
            held = {digest: self._store.rows[digest] for digest in digests.values() if digest in self._store.rows}
            rows = read_rows(held, self.warn)
            known = {file: rows[digest] for file, digest in digests.items() if digest in rows}
            files = list(digests)
        for file, of in known.items():
            end(file, int(len(of.values) > 0), None if len(of.values) else "has no frames")
            if len(of.values):
                yield Clip(file, 0.0, float(of.times[-1])), of, True
        unknown = [file for file in files if file not in known]
        if unknown:
            for clip, of in make_rows(unknown, self._embed, self.decode, self.encoder, end, every):
                yield clip, of, False

    def _digests(self, files: list[Path], end: Callable[[Path, int, str | None], object]) -> Iterator[tuple[Path, str]]:
        from videocap.extract.files import sha256
        from videocap.extract.video.probe import VideoError, check_file

        for file in tqdm(files, "read", unit="video", disable=None if len(files) > FEW else True):
            try:
                check_file(file)
                yield file, sha256(file)
            except (VideoError, OSError) as error:
                end(file, 0, getattr(error, "strerror", None) or str(error))

    def _captioned(self, waiting: list[tuple[Clip, Rows, bool]], nbest: int, part: bool) -> Iterator[CaptionedVideo]:
        """What is said of clips whose rows are there."""
        texts = self._write([rows for _, rows, _ in waiting], [str(clip.file) for clip, _, _ in waiting], nbest)
        for (clip, rows, known), text in zip(waiting, texts, strict=True):
            times = tuple(round(float(time), 3) for time in rows.times)
            several = tuple((one["caption"], one["log_probability"]) for one in text.pop("nbest", ()))
            span = round(clip.start, 3), round(clip.end, 3)
            yield CaptionedVideo(
                str(clip.file), text.pop("caption"), text, times, known, None, span, None, part, several
            )

    def _write(self, rows: list[Rows], names: list[str], nbest: int = 1) -> list[dict[str, Any]]:
        from videocap.extract.device import resolve
        from videocap.model.captions.own_videos import write

        model, vocabulary = self._model
        options = self.generate.model_dump(exclude={"models"})
        where = resolve(self.device, "fp32").device
        return write(model, vocabulary, rows, names, **options, device=where, nbest=nbest)

    @cached_property
    def _model(self) -> tuple[Captioner | Ensemble, Vocabulary]:
        from videocap.extract.device import resolve
        from videocap.model.captions import ensemble

        return ensemble.load(self.folder, (), resolve(self.device, "fp32").device)

    @cached_property
    def _embed(self) -> Encoder:
        from videocap.model.captions.own_videos import load_encoder

        return load_encoder(self.about, self._weights(), self.encoder)

    def _weights(self) -> str | Path:
        from videocap.model.captions.own_videos import find_weights

        return find_weights(self.folder, self.about.encoder, self._encoder_file)

"""Fills shards: videos to frames, frames to features, captions to embeddings. What fails is listed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from videocap.extract.config import MODELS
from videocap.extract.encoders import load
from videocap.extract.encoders.openai_clip import ClipEncoder
from videocap.extract.shards import shard as shards
from videocap.extract.shards import writer
from videocap.extract.video.sampler import Item, Sampler, SourceChanged, in_folder

MOST_HELD = 512 << 20  # bytes of frames in memory


def decode_shard(
    path: Path,
    config: Any,
    *,
    key: str,
    spec: dict,
    items: Sequence[Item],
    part: str = "",
    videos: Path | None = None,
) -> dict:
    """Write the shard of sampled frames of some videos.

    Of the frames 512 MB are held in memory, and one video's more; the others wait in a file for the shard to be full.

    Args:
        config: holder of the sections decode, encoder and data.
        path, key, spec: of the shard, see `shards.writer.write`.
        items: (id, digest) of each video.
        part: which shard of how many, for the progress bar.
        videos: folder of the videos, if it is not `data.videos`.

    Returns:
        {"digests": of the videos written, "failures": [{"id", "digest", "reason"}], "content": sha256,
        "provenance": {…}}.
    """
    folder = videos or config.data.videos
    done, arrays, times, held = [], [], [], 0
    with in_folder([name for name, _ in items], folder, config.decode, config.encoder) as sampler:
        for item in tqdm(items, f"decode {part}", unit="video", disable=None):
            if read := sampler.read(item):
                done.append(item)
                held += read[0].nbytes
                arrays.append(read[0] if held <= MOST_HELD else on_disk(read[0], path.parent))
                times.append(read[1])
    info = writer.write(path, items=done, arrays=arrays, times=times, spec=spec, key=key)
    return _written(info, done, sampler.failures, ffmpeg=imageio_ffmpeg.get_ffmpeg_version())


def on_disk(array: np.ndarray, folder: Path) -> np.ndarray:
    """A read-only copy of an array in a file of the folder that has no name, and so goes with this process."""
    with tempfile.TemporaryFile(dir=folder) as file:
        array.tofile(file)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)


def embed_frames_shard(
    path: Path,
    config: Any,
    *,
    key: str,
    spec: dict,
    items: Sequence[Item],
    before: Any,
    checkpoint: tuple[str, str | None],
    part: str = "",
    videos: Path | None = None,
) -> dict:
    """Write the shard of frame features of some videos, from their decoded frames.

    Args:
        before: what is decoded: `rows` maps digests to frame shards, `failures` digests to recorded failures.
            A video that is in neither is decoded here.
        checkpoint: a model's name or a path, and the sha256 that the file must have, if that is to be checked.
        (the others as for `decode_shard`)

    Returns:
        as `decode_shard`; failures to decode are copied.
    """
    folder = videos or config.data.videos
    encoder = load_encoder(*checkpoint, config.encoder.device, config.encoder.precision)
    encoder.geometry.check(config.encoder, checkpoint[0])
    if config.encoder.compile:
        encoder.compile(config.encoder.batch_size)
    failures = [before.failures[d] for _, d in items if d not in before.rows and d in before.failures]
    failures = [{name: failure[name] for name in ("id", "digest", "reason")} for failure in failures]
    failed = {failure["digest"] for failure in failures}
    wanted = [item for item in items if item[1] not in failed]
    done, arrays, times = [], [], []
    with in_folder([name for name, _ in wanted], folder, config.decode, config.encoder) as sampler:
        videos_read = read_frames(wanted, before.rows, sampler)
        rows_made = encoded(encoder, videos_read, config.encoder.batch_size)
        for item, frame_times, rows in tqdm(rows_made, f"embed {part}", unit="video", total=len(wanted), disable=None):
            done.append(item)
            arrays.append(rows)
            times.append(frame_times)
    info = writer.write(path, items=done, arrays=arrays, times=times, spec=spec, key=key)
    return _written(info, done, failures + sampler.failures, computed=encoder.computed)


def read_frames(
    items: Sequence[Item], decoded: Mapping[str, Path], sampler: Sampler
) -> Iterator[tuple[Item, np.ndarray, np.ndarray]]:
    """Yield (item, times, frames) of each video, from the frame shards or, where these are gone, from its file."""
    checked: dict[Path, shards.Shard] = {}
    for item in items:
        place = decoded.get(item[1])
        if place and place not in checked:
            try:
                checked[place] = shards.Shard(place)
                checked[place].check()
            except FileNotFoundError:  # dropped meanwhile
                place = None
        if place is None:
            if read := sampler.read(item):
                yield item, read[1], read[0]
            continue
        shard = checked[place]
        number = shard.digests.index(item[1])
        yield item, shard.times[shard.offsets[number] : shard.offsets[number + 1]], shard.read(number)


def encoded(
    encoder: load.Encoder, videos: Iterator[tuple[Item, np.ndarray, np.ndarray]], size: int
) -> Iterator[tuple[Item, np.ndarray, np.ndarray]]:
    """Yield (item, times, features float16 (n, width)); batches of `size` frames cross the borders between videos."""
    waiting: list[tuple[Item, np.ndarray, int]] = []  # videos whose features are not complete
    frames_in: list[np.ndarray] = []
    rows_out: list[np.ndarray] = []

    def embed(least: int) -> None:
        flat = np.concatenate(frames_in)
        while len(flat) >= least and len(flat):
            rows_out.append(encoder.encode(flat[:size]).astype(np.float16))
            flat = flat[size:]
        frames_in[:] = [flat]

    def complete() -> Iterator[tuple[Item, np.ndarray, np.ndarray]]:
        rows = np.concatenate(rows_out) if rows_out else np.empty((0, encoder.width), np.float16)
        while waiting and waiting[0][2] <= len(rows):
            item, times, count = waiting.pop(0)
            yield item, times, rows[:count]
            rows = rows[count:]
        rows_out[:] = [rows]

    for item, times, images in videos:
        waiting.append((item, times, len(images)))
        frames_in.append(images)
        if sum(map(len, frames_in)) >= size:
            embed(least=size)
            yield from complete()
    if frames_in:
        embed(least=1)
    yield from complete()


def embed_captions_shard(
    path: Path,
    config: Any,
    *,
    key: str,
    spec: dict,
    items: Sequence[Item],
    checkpoint: tuple[str, str | None],
    part: str = "",
) -> dict:
    """Write the shard of text embeddings of some captions, whose ids are their texts; as `embed_frames_shard`.

    The provenance gives the digests of captions that were `truncated`.
    """
    encoder = load_encoder(*checkpoint, config.encoder.device, config.encoder.precision)
    if not isinstance(encoder, ClipEncoder):
        raise ValueError(f"{checkpoint[0]} embeds no text: set text_encoder.weights to a CLIP")
    texts = [text for text, _ in items]
    rows = encoder.encode_text(texts, config.encoder.batch_size, f"embed captions {part}")
    info = writer.write(path, items=items, arrays=list(rows[:, None]), times=None, spec=spec, key=key)
    truncated = [digest for (_, digest), cut in zip(items, encoder.cut(texts), strict=True) if cut]
    return _written(info, items, [], computed=str(encoder.where), truncated=truncated)


def _written(
    info: writer.ShardInfo, items: Sequence[Item], failures: list[dict[str, str]], **provenance: str | list[str]
) -> dict[str, Any]:
    digests = [digest for _, digest in items]
    return {"digests": digests, "failures": failures, "content": info.content, "provenance": provenance}


@lru_cache(maxsize=2)  # one for frames, one for captions
def load_encoder(checkpoint: str, sha256: str | None, device: str, precision: str) -> load.Encoder:
    """The encoder, loaded once a process: with one worker it serves all shards.

    Raises:
        SourceChanged: if the checkpoint is a file and not the one with that sha256.
    """
    encoder = load.load(checkpoint, device, precision)
    if sha256 and checkpoint not in MODELS:  # what is downloaded is checked there
        with open(checkpoint, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise SourceChanged(f"{checkpoint} has changed while this ran; run the same command again")
    return encoder

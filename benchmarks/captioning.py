"""Captions of a folder of real clips, against its three parts alone: decoding, embedding, writing.

    python benchmarks/captioning.py [--clips 200] [--frames 8] [--rounds 1] [--minutes 180]

The clips are copies of those in `shared/data`; the captioner is a folder with ViT-B/16 of random weights and a random
decoder of width 512 and 10,000 words, loaded by `VideoCaptioner.from_pretrained`. Each part alone does what it does in
the whole, on what the part before made. Then a long video, made of the clips on end, is captioned in parts of 10 s:
seconds that decoding takes, over that of ffmpeg decoding the file to nothing, and the most memory that both take
beside what the process had. Prints medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import imageio_ffmpeg
import torch
from encoders import random_clip
from frames import CLIPS

from videocap import VideoCaptioner
from videocap.extract.config import DecodeConfig
from videocap.extract.features import encoded
from videocap.extract.files import sha256
from videocap.extract.video.sampler import Sampler
from videocap.model.captioner import folder, saved
from videocap.model.captioner.captioner import Captioner
from videocap.model.captions.own_videos import Rows
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, GenerateConfig, Vis2TextConfig
from videocap.model.vocabulary import SPECIAL, Vocabulary


def captioner(place: Path, frames: int) -> VideoCaptioner:
    """A captioner that knows nothing, in a folder."""
    place.mkdir()
    words = Vocabulary((*SPECIAL, *(f"word{n:05}" for n in range(10_000))))
    sections = SimpleNamespace(
        fusion=FusionConfig(),
        vis2text=Vis2TextConfig(),
        aspects=AspectsConfig(use=()),
        decoder=DecoderConfig(max_tokens=12),
    )
    torch.manual_seed(0)
    model = Captioner(sections, d_in=512, d_text=512, words=len(words))
    saved.save_model(place, sections, model.state_dict(), words, d_in=512, d_text=512)
    checkpoint = place.with_suffix(".pt")
    torch.save(random_clip().half().state_dict(), checkpoint)
    told = {"pixels": 224, "resize": None, "interpolation": "bicubic", "crop": "center", "computed": []}
    about = saved.read(place).model_copy(
        update={
            "decode": DecodeConfig(frames=frames),
            "generate": GenerateConfig(),
            "encoder": saved.Encoder(weights="clip.pt", sha256=sha256(checkpoint), **told),
        }
    )
    saved.write(place, folder.add_encoder(place, about, checkpoint))
    made = VideoCaptioner.from_pretrained(place)
    _ = made._embed, made._model  # what is loaded once is no part of a rate
    return made


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """Bytes that this process and its children have at most, beside what it has at the start."""
    found, stop = [0], threading.Event()

    def resident(pid: int) -> int:
        total = 0
        try:
            total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += sum(resident(int(child)) for child in (task / "children").read_text().split())
        except (OSError, IndexError):
            pass
        return total

    before = resident(os.getpid())

    def watch() -> None:
        while not stop.wait(0.1):
            found[0] = max(found[0], resident(os.getpid()) - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield found
    stop.set()
    thread.join()


def alone(made: VideoCaptioner, files: list[Path]) -> dict[str, float]:
    """Seconds of each part."""
    seconds, items = {}, [(str(file), "") for file in files]
    started = time.perf_counter()
    with Sampler({str(file): file for file in files}, made.decode, made.encoder) as sampler:
        read = [(item, *reversed(sampler.read(item))) for item in items]
    seconds["decoding"] = time.perf_counter() - started
    started = time.perf_counter()
    rows = [Rows(values, times) for _, times, values in encoded(made._embed, iter(read), made.encoder.batch_size)]
    seconds["embedding"] = time.perf_counter() - started
    started = time.perf_counter()
    for start in range(0, len(rows), made.generate.batch_size):
        part = rows[start : start + made.generate.batch_size]
        made._write(part, [str(number) for number in range(len(part))])
    seconds["writing"] = time.perf_counter() - started
    return seconds


def long_video(clips: list[Path], place: Path, minutes: float) -> None:
    """The clips on end, again and again, in a file of so many minutes."""
    listed = place.with_suffix(".txt")
    run = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    unit = place.with_name("unit.mp4")
    joined = "".join(f"[{n}:v]scale=320:240,setsar=1,fps=25[v{n}];" for n in range(len(clips)))
    joined += "".join(f"[v{n}]" for n in range(len(clips))) + f"concat=n={len(clips)}"
    inputs = [part for clip in clips for part in ("-i", clip)]
    subprocess.run([*run, *inputs, "-filter_complex", joined, "-preset", "veryfast", unit], check=True)
    listed.write_text(f"file '{unit}'\n" * 10_000)
    source = ["-f", "concat", "-safe", "0", "-i", listed, "-t", str(60 * minutes)]
    subprocess.run([*run, *source, "-c", "copy", place], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=8, help="of a video")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=180, help="of the long video")
    chosen = parser.parse_args()
    clips = sorted(CLIPS.glob("*.mp4"))
    with tempfile.TemporaryDirectory() as place:
        made = captioner(Path(place, "captioner"), chosen.frames)
        Path(place, "clips").mkdir()
        files = [Path(place, "clips", f"{n:04}.mp4") for n in range(chosen.clips)]
        for number, file in enumerate(files):
            shutil.copy(clips[number % len(clips)], file)
        parts, whole = [], []
        for _ in range(chosen.rounds):
            parts.append(alone(made, files))
            started = time.perf_counter()
            assert all(one.caption for one in made(files))
            whole.append(time.perf_counter() - started)
        seconds = {name: median(of[name] for of in parts) for name in parts[0]}
        print(f"{len(files)} clips, {chosen.frames} frames each, {torch.get_num_threads()} threads")
        for name, of in (seconds | {"all of it": median(whole)}).items():
            print(f"{name:<12} {len(files) / of:7.2f} videos/s")
        print(f"all of it over its slowest part: {median(whole) / max(seconds.values()):.2f}")
        print(f"all of it over the sum of its parts: {median(whole) / sum(seconds.values()):.2f}")
        if not chosen.minutes:
            return
        film = Path(place, "film.mp4")
        long_video(clips, film, chosen.minutes)
        nothing = ["-nostdin", "-loglevel", "error", "-threads", "1", "-i", film, "-f", "null", "-"]
        started = time.perf_counter()
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *nothing], check=True)
        plain = time.perf_counter() - started
        with most_memory() as most, Sampler({"film": film}, made.decode, made.encoder) as sampler:
            started = time.perf_counter()
            count = sum(1 for _ in sampler.parts(("film", ""), 10.0))
            ours = time.perf_counter() - started
        print(f"{chosen.minutes:g} minutes in parts of 10 s: {count} parts, {chosen.frames} frames each")
        print(f"decoding over ffmpeg decoding it to nothing: {ours / plain:.2f}; memory {most[0] >> 20} MB")


if __name__ == "__main__":
    main()

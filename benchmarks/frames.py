"""20 frames a clip, against ffmpeg decoding the whole file to nothing, and against PyAV in process.

    python benchmarks/frames.py [--videos 64] [--rounds 5] [CLIP …]

Of copies of the clips, by default those of MSR-VTT in the tests. One thread each; CPU seconds of this process and its
children, which a busy machine disturbs less than the clock; 2 workers against 1 by the clock. Prints medians over the
rounds and ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import av
import imageio_ffmpeg

from videocap.extract import features
from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.video import frames
from videocap.extract.video.decode import decode
from videocap.extract.video.probe import Prober
from videocap.extract.video.resize import resize_crop

CLIPS = Path(__file__).parents[1].parent / "shared" / "data" / "msrvtt" / "videos"
COUNT = 20


def to_nothing(clips: list[Path]) -> None:
    """ffmpeg decodes the whole video stream and throws it away."""
    for clip in clips:
        command = (imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "quiet", "-threads", "1", "-i", clip)
        subprocess.run([*command, "-map", "0:v:0", "-f", "null", "-"], check=True)


def before_resizing(clips: list[Path]) -> None:
    """Probe, choose and decode, as `extract.video.frames.read` does."""
    with Prober(60, 1 << 26) as prober:
        for clip in clips:
            stream = prober(clip)
            indices = frames.choose(stream.times, "uniform", COUNT)
            assert sum(1 for _ in decode(clip, stream, indices, timeout=60, max_pixels=1 << 26)) == COUNT


def in_a_shard(clips: list[Path]) -> None:
    """The whole way, into an HDF5 shard."""
    items = [(clip.name, digest_of(clip)) for clip in clips]
    config = SimpleNamespace(decode=DecodeConfig(frames=COUNT), encoder=EncoderConfig())
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "frames.h5"
        made = features.decode_shard(shard, config, key="0" * 64, spec={}, items=items, videos=clips[0].parent)
    assert len(made["digests"]) == len(clips)


@cache
def digest_of(clip: Path) -> str:
    """A clip's sha256, which Corpus has found before anything is decoded."""
    return hashlib.sha256(clip.read_bytes()).hexdigest()


def resized(clips: list[Path]) -> None:
    """`extract.video.frames.read`: decoded, resized and cropped."""
    settings = {"sampling": "uniform", "frames": COUNT, "fps": 1.0, "placement": "centres", "square_pixels": True}
    with Prober(60, 1 << 26) as prober:
        for clip in clips:
            frames.read(clip, prober, **settings, geometry={"pixels": 224})


def by_pyav(clips: list[Path]) -> None:
    """PyAV decodes in this process up to the last frame that is wanted; the same frames, the same resize."""
    for clip in clips:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.thread_count, stream.thread_type = 1, "NONE"
            wanted, sar = frames.choose(range(stream.frames), "uniform", COUNT), float(stream.sample_aspect_ratio or 1)
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    resize_crop(frame.to_ndarray(format="rgb24"), 224, sar=sar)
                if number == wanted[-1]:
                    break


def cpu_seconds(work: Callable[[list[Path]], None], clips: list[Path]) -> float:
    """CPU time of this process and its children."""
    started = _used()
    work(clips)
    return _used() - started


def _used() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def clock(workers: int, clips: list[Path]) -> float:
    """Wall time for `workers` processes, each with its children on a processor of its own, to read the clips."""
    processors = multiprocessing.Queue()
    for number in sorted(os.sched_getaffinity(0))[:workers]:
        processors.put(number)
    with ProcessPoolExecutor(workers, initializer=pin, initargs=(processors,)) as pool:
        list(pool.map(resized, [clips[:1]] * workers))  # imports
        started = time.perf_counter()
        list(pool.map(resized, [clips[n::8] for n in range(8)]))
        return time.perf_counter() - started


def pin(processors: multiprocessing.Queue) -> None:
    """Keep this process on one of the processors; else a single worker, beside its ffmpeg, would use two as well."""
    os.sched_setaffinity(0, {processors.get()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, default=sorted(CLIPS.glob("*.mp4")))
    parser.add_argument("--videos", type=int, default=64, help="at least")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not options.clips:
        parser.error(f"no clips at {CLIPS}: name some")
    with tempfile.TemporaryDirectory() as folder:
        measure(copies(options.clips, Path(folder), options.videos), options.rounds)


def copies(clips: list[Path], folder: Path, least: int) -> list[Path]:
    """So many clips, or some more, each of other bytes: an empty atom at its end."""
    made = []
    for number in range(-(-least // len(clips))):
        for clip in clips:
            made.append(folder / f"{number}-{clip.name}")
            made[-1].write_bytes(clip.read_bytes() + b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
    return made


def measure(clips: list[Path], rounds: int) -> None:
    """Time all sides in turn and print."""
    sides = (to_nothing, before_resizing, resized, in_a_shard, by_pyav)
    times = {side: [cpu_seconds(side, clips)] for side in sides}  # the first warms up
    for _ in range(rounds):
        for side in sides:
            times[side].append(cpu_seconds(side, clips))
    median = {side: statistics.median(values[1:]) for side, values in times.items()}
    one, two = (statistics.median(clock(n, clips) for _ in range(3)) for n in (1, 2))
    print(f"{len(clips)} clips, {COUNT} frames each, CPU ms a clip, median of {rounds}")
    for side, seconds in median.items():
        print(f"{side.__name__:<16} {1000 * seconds / len(clips):7.1f}")
    print(f"ffmpeg to nothing / before resizing    {median[to_nothing] / median[before_resizing]:.2f}")
    print(f"ffmpeg to nothing / in a shard         {median[to_nothing] / median[in_a_shard]:.2f}")
    print(f"PyAV, resized / ours, resized          {median[by_pyav] / median[resized]:.2f}")
    print(f"1 worker / 2 workers, by the clock     {one / two:.2f}")


if __name__ == "__main__":
    main()

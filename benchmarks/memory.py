"""Memory of making a shard, by how many videos it holds: peak over what imports and the encoder take, in MB.

    python benchmarks/memory.py [VIDEOS …]

Each in a process of its own: the sampled frames of that many (copies of) MSR-VTT clips, 20 of 224 pixels each, and
then their features by a CLIP with a small transformer, so that it is the frames that count.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

CLIPS = Path(__file__).parents[1].parent / "shared" / "data" / "msrvtt" / "videos"


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(folder: Path, stage: str, count: int) -> None:
    """Write one shard and print its peak."""
    import torch

    from videocap.extract import features
    from videocap.extract.config import DecodeConfig, EncoderConfig
    from videocap.extract.encoders import openai_clip

    clips = sorted(CLIPS.glob("*.mp4"))
    videos = folder / f"videos{count}"
    if not videos.exists():
        videos.mkdir()
        for number in range(count):
            (videos / f"{number}.mp4").symlink_to(clips[number % len(clips)])
    digests = [hashlib.sha256(clip.read_bytes()).hexdigest() for clip in clips]
    items = [(f"{number}.mp4", digests[number % len(clips)]) for number in range(count)]
    weights = folder / "clip.pt"
    if not weights.exists():
        model = openai_clip.clip.model.CLIP(64, 224, 1, 64, 32, 77, 49408, 64, 1, 1)
        torch.save(model.state_dict(), weights)
    config = SimpleNamespace(decode=DecodeConfig(), encoder=EncoderConfig(weights=str(weights), device="cpu"))
    frames = folder / f"frames{count}.h5"
    shard = {"key": "0" * 64, "spec": {}, "items": items, "videos": videos}
    features.load_encoder(str(weights), None, "cpu", "auto").encode_text(["warm up"])
    before = peak()
    if stage == "decode":
        features.decode_shard(frames, config, **shard)
    else:
        have = SimpleNamespace(rows=dict.fromkeys(digests, frames), failures={})
        place = folder / f"features{count}.h5"
        features.embed_frames_shard(place, config, before=have, checkpoint=(str(weights), None), **shard)
    print(f"{stage} {count} videos: {peak() - before:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", nargs="*", type=int, default=[32, 128, 512])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(Path(options.one[0]), options.one[1], int(options.one[2]))
    with tempfile.TemporaryDirectory() as folder:
        for count in options.videos:
            for stage in ("decode", "embed"):
                subprocess.run([sys.executable, __file__, "--one", folder, stage, str(count)], check=True)


if __name__ == "__main__":
    main()

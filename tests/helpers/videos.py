"""Small videos of every kind, made by ffmpeg, and what is in them by an independent full decode."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

LIMITS: Mapping[str, Any] = {"timeout": 60.0, "max_pixels": 1 << 26}
SETTINGS: Mapping[str, Any] = {
    "sampling": "uniform",
    "frames": 20,
    "fps": 2.0,
    "placement": "centres",
    "square_pixels": True,
    "geometry": {"pixels": 224},
}


def run_ffmpeg(*arguments: object) -> bytes:
    """Run the ffmpeg command; what it wrote to standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-loglevel", "error", *map(os.fspath, arguments)]
    # svt-av1 talks much
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def synthetic(path: Path, options: str, seconds: float = 2, size: str = "160x120") -> Path:
    """ffmpeg's moving test picture at 25 frames a second, encoded as the options say."""
    source = f"testsrc2=size={size}:rate=25:duration={seconds}"
    run_ffmpeg("-f", "lavfi", "-i", source, *options.split(), path)
    return path


def full_decode(path: Path) -> tuple[list[int], list[np.ndarray]]:
    """Every frame by PyAV: its pts, and its pixels as upright RGB."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    pixels = [np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) for frame in frames]
    return [frame.pts for frame in frames], pixels


def full_decode_by_ffmpeg(path: Path) -> list[np.ndarray]:
    """Every frame by the ffmpeg command, where PyAV converts colours in another way, or stops at an empty packet."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shape = stream.height, stream.width, 3
    options = ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", path, *options]
    return list(
        np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8).reshape(-1, *shape)
    )


H264 = "-c:v libx264 -preset veryfast"

B_FRAMES = f"{H264} -bf 3 -g 25"

HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none"


def patched(path: Path, box: bytes, offset: int, new: bytes) -> Path:
    """`path` with bytes replaced, so many behind the name of an mp4 box."""
    data = bytearray(path.read_bytes())
    start = data.index(box) + len(box) + offset
    data[start : start + len(new)] = new
    path.write_bytes(data)
    return path

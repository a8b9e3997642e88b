"""The demo's own data: short H.264 clips of coloured shapes that act, in the format of "your own videos".

Every clip shows one coloured actor and one grey block, on a plain ground; above them, in grey, a sign in the sky (a
ring, a disc or a flat cloud) and a lamp (bright with a dark rim, or dark), which may be switched halfway. What happened
before or after a frame should not show in it: places, sizes, angles and the mirror image are random, movement to the
left and growth are as frequent as to the right and shrinking (`toyscene` says how far this makes a clip the same
backwards), the block is there whether it is pushed or not, and clips of one event are as long as those of two, the
event at any time.

What a single frame still gives away: `vanish` while the actor is gone and `jump` while it is above the block, though
not when. Actor and block are close in nearly every frame of a `push`, else in about half. Who knows *which* two events
a clip has can tell the order from a frame between them if one is `grow` or `shrink`, by the actor's size, and guess it
if one is `push`, by the room that is left ahead of the block: the whole movement always fits in.
"""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from videocap.extract.toy.scene import Scene, describe, scenes

PIXELS = 64
_BLOCK = (7.0, 12.0)  # width and height in pixels
_RGB = {
    "red": (205, 40, 45),
    "green": (40, 150, 60),
    "blue": (45, 80, 200),
    "yellow": (235, 185, 30),
    "purple": (130, 50, 170),
    "orange": (240, 130, 30),
}
_GREY, _DARK, _BRIGHT = (110, 110, 115), (55, 55, 60), (252, 252, 250)


def make(folder: Path, config: Any) -> None:
    """`render` as section [toyworld] says."""
    render(folder, config.toyworld.clips, config.toyworld.seed)


def render(folder: Path, clips: int, seed: int) -> None:
    """Write a toy world: `videos/*.mp4`, `captions.jsonl` (five lines a clip) and `scenes.jsonl` (the truth).

    The same arguments give the same bytes with the same ffmpeg.

    Args:
        folder: made where it is absent.
        clips: how many, at least 20.
        seed: of everything random.
    """
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    drawn = scenes(clips, seed)

    def film(scene: Scene) -> None:
        rng = random.Random(f"pixels {seed} {scene['video']}")
        fps = rng.choice((8, 10, 12))
        frames = draw(scene, round(fps * rng.uniform(2.5, 3.5)), rng)
        write_video(folder / "videos" / scene["video"], frames, fps)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # most of the time ffmpeg is waited for
        list(tqdm(pool.map(film, drawn), total=len(drawn), desc="render", unit="clip", disable=None))
    _write_lines(folder / "scenes.jsonl", drawn)
    _write_lines(folder / "captions.jsonl", [line for scene in drawn for line in describe(scene, seed)])


def draw(scene: Scene, frames: int, rng: random.Random) -> np.ndarray:
    """The pictures of a scene, uint8 (frames, PIXELS, PIXELS, 3)."""
    times = (np.arange(frames) + 0.5) / frames
    pushes = "push" in scene["events"]
    # Near the block or far from it at the start: as a push needs it, else either; a roll leads from one to the other.
    near = scene["events"][0] != "roll" if pushes else rng.random() < 0.5
    touch = rng.uniform(0.5, 1.5)
    far = touch + rng.uniform(12, 14)
    small = rng.uniform(5, 6)
    large = small * rng.uniform(1.6, 1.7)
    starts_large = "shrink" in scene["events"] or ("grow" not in scene["events"] and rng.random() < 0.5)
    height, shift = rng.uniform(14, 18), rng.uniform(15, 18)

    # The block is to the right; x is 0 at its left edge at the start. Sizes change about the actor's edge towards it.
    edge = np.full(frames, -touch if near else -far)
    block = np.zeros(frames)
    radius = np.full(frames, large if starts_large else small)
    angle = np.full(frames, rng.uniform(0, 2 * np.pi))
    lift, opacity = np.zeros(frames), np.ones(frames)
    for event, (start, end) in zip(scene["events"], _timing(len(scene["events"]), rng), strict=True):
        linear = np.clip((times - start) / (end - start), 0, 1)
        eased = linear**2 * (3 - 2 * linear)
        if event == "roll":
            step = (touch - far if near else far - touch) * eased
            edge, angle, near = edge + step, angle + step / radius, not near
        elif event == "push":
            edge, block = edge + shift * eased, block + shift * eased
        elif event in ("grow", "shrink"):
            radius = radius + (large - small) * (eased if event == "grow" else -eased)
        elif event == "jump":
            lift = lift + height * 4 * linear * (1 - linear)
        elif event == "vanish":
            opacity = opacity * np.clip(1 - 4 * np.minimum(linear, 1 - linear), 0, 1)
        else:
            raise ValueError(f"clip {scene['video']}: no such event: {event!r}")

    # Anywhere that the whole movement fits in.
    x = edge - radius
    origin = rng.uniform(1 - (x - radius).min(), PIXELS - 1 - (block.max() + _BLOCK[0]))
    y = rng.uniform(40, 49)
    block_y = y + rng.uniform(-1, 1)

    picture = np.full((frames, PIXELS, PIXELS, 3), rng.uniform(205, 245))
    grid = np.arange(PIXELS) + 0.5
    across = np.abs(grid - (block + origin + _BLOCK[0] / 2)[:, None]) - _BLOCK[0] / 2  # (frames, W)
    down = np.abs(grid - block_y) - _BLOCK[1] / 2  # (H,)
    _paint(picture, np.maximum(across[:, None, :], down[:, None]), np.array(_GREY), 1.0)
    _paint_above(picture, grid, scene, times > rng.uniform(0.3, 0.7), rng)
    dx = grid[None, None, :] - (x + origin)[:, None, None]
    dy = grid[None, :, None] - (y - lift)[:, None, None]
    colour = np.array(_RGB[scene["colour"]]) * rng.uniform(0.85, 1.05)
    _paint(picture, _distance(scene["shape"], dx, dy, radius, angle), colour, opacity[:, None, None, None])
    if rng.random() < 0.5:
        picture = picture[:, :, ::-1]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def write_video(path: Path, frames: np.ndarray, fps: int) -> None:
    """Encode uint8 (N, H, W, 3) frames as H.264 (yuv420p), on one thread and without dates, so that bytes repeat.

    Raises:
        RuntimeError: ffmpeg failed, with its last words.
    """
    _, height, width, _ = frames.shape
    stream = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=fps)
    options = {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 18, "threads": 1}
    options |= {"flags:v": "+bitexact", "fflags": "+bitexact", "map_metadata": -1}
    stream = ffmpeg.output(stream, str(path), **options)
    try:
        stream.run(imageio_ffmpeg.get_ffmpeg_exe(), input=frames.tobytes(), quiet=True, overwrite_output=True)
    except ffmpeg.Error as error:
        raise RuntimeError(f"ffmpeg could not write {path}: {error.stderr.decode(errors='replace')[-500:]}") from error


def _timing(events: int, rng: random.Random) -> list[tuple[float, float]]:
    """Start and end of each event, as shares of the clip; what is left is rest, before, between and after."""
    lengths = [rng.uniform(0.30, 0.38) for _ in range(events)]
    rest = 1 - sum(lengths)
    cuts = sorted(rng.uniform(0.03, rest - 0.03) for _ in range(events))
    return [(cut + sum(lengths[:i]), cut + sum(lengths[: i + 1])) for i, cut in enumerate(cuts)]


def _distance(shape: str, dx: np.ndarray, dy: np.ndarray, radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Pixels from each point to the shape's border, negative inside: (frames, H, W). `radius`, `angle`: (frames,)."""
    radius, angle = radius[:, None, None], angle[:, None, None]
    away = np.hypot(dx, dy)
    if shape == "ball":
        return away - radius
    if shape == "ring":
        return np.abs(away - 0.78 * radius) - 0.22 * radius
    if shape == "star":
        point = (1 + np.cos(5 * (np.arctan2(dy, dx) - angle))) / 2  # 1 at its five points, 0 between them
        return away - radius * (0.4 + 0.75 * point**2)
    raise ValueError(f"no such shape: {shape!r}")


def _paint_above(picture: np.ndarray, grid: np.ndarray, scene: Scene, switched: np.ndarray, rng: random.Random) -> None:
    """The sign in the sky, and the lamp as it is before and after it is `switched` (frames,)."""
    (left, right), y = (rng.uniform(7, 25), rng.uniform(39, 57)), rng.uniform(4.5, 5)
    dx, dy = grid[None, :] - left, grid[:, None] - y
    away = np.hypot(dx, dy)
    sign = {"sun": np.abs(away - 3) - 1, "moon": away - 4, "cloud": np.hypot(dx / 2.5, dy) * 1.6 - 4}[scene["sky"]]
    colour = _GREY if scene["sky"] == "cloud" else _DARK
    _paint(picture, np.broadcast_to(sign, picture.shape[:3]), np.array(colour), 1.0)
    box = np.maximum(np.abs(grid[None, :] - right), np.abs(dy))
    rim, inside = np.abs(box - 3.3) - 0.7, box - 3
    dark = np.array([state == "off" for state in scene["lamp"]])[switched.astype(int)]
    _paint(picture, np.broadcast_to(inside, picture.shape[:3]), np.array(_BRIGHT), 1.0)
    _paint(picture, np.broadcast_to(inside, picture.shape[:3]), np.array(_DARK), dark[:, None, None, None])
    _paint(picture, np.broadcast_to(rim, picture.shape[:3]), np.array(_DARK), 1.0)


def _paint(picture: np.ndarray, distance: np.ndarray, colour: np.ndarray, opacity: np.ndarray | float) -> None:
    """Blend a colour into `picture` (frames, H, W, 3) where `distance` (frames, H, W) is negative, smoothly."""
    cover = np.clip(0.5 - distance, 0, 1)[..., None] * opacity
    picture += cover * (colour - picture)


def _write_lines(path: Path, rows: list) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

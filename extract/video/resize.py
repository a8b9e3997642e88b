"""Resize and crop a frame to an encoder's input, to the bit as OpenAI CLIP's preprocessing does, without torch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_ASPECT = 64  # a thinner frame would be resized to something enormous before it is cropped


def resize_crop(
    image: Image.Image | np.ndarray,
    pixels: int,
    interpolation: Literal["bicubic", "bilinear"] = "bicubic",
    crop: Literal["center"] = "center",
    resize: int | None = None,
    sar: float = 1.0,
) -> np.ndarray:
    """Scale the shorter side to `resize` and cut the square in the middle.

    The sizes are rounded as torchvision's `Resize` and `CenterCrop` round them on PIL images.

    Args:
        image: a PIL image, or uint8 RGB of shape (H, W, 3).
        pixels: height and width of the result.
        interpolation: Pillow's filter.
        crop: what is cut out.
        resize: pixels of the shorter side before the cut; None for `pixels`.
        sar: how wide a pixel of the image is shown over its height; the shape after scaling is the one shown.

    Returns:
        uint8 RGB, (pixels, pixels, 3).

    Raises:
        ValueError: for an unknown crop, or a frame more than 64 times as long as wide.
    """
    if crop != "center":
        raise ValueError(f"unknown crop {crop!r}: only 'center' is known")
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    size = scaled_size(image.width, image.height, resize or pixels, sar)
    if image.size != size:
        image = image.resize(size, FILTERS[interpolation])
    left, top = (round((side - pixels) / 2) for side in size)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)).convert("RGB"))


def scaled_size(width: int, height: int, shorter: int, sar: float = 1.0) -> tuple[int, int]:
    """Width and height of a frame scaled to have a shorter side of `shorter` pixels, in the shape in which it is shown.

    Raises ValueError for one that is shown more than 64 times as long as wide.
    """
    short, long = sorted((width * sar, height))
    if long > MAX_ASPECT * short:
        raise ValueError(f"a frame of {width} x {height} pixels, shown {sar:g} as wide, is too narrow to be resized")
    longer = int(shorter * long / short)
    return (shorter, longer) if width * sar <= height else (longer, shorter)

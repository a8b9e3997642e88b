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
) -> np.ndarray:
    """Scale the shorter side to `pixels` and cut the square in the middle.

    The sizes are rounded as torchvision's `Resize` and `CenterCrop` round them on PIL images.

    Args:
        image: a PIL image, or uint8 RGB of shape (H, W, 3).
        pixels: height and width of the result.
        interpolation: Pillow's filter.
        crop: what is cut out.

    Returns:
        uint8 RGB, (pixels, pixels, 3).

    Raises:
        ValueError: for an unknown crop, or a frame more than 64 times as long as wide.
    """
    if crop != "center":
        raise ValueError(f"unknown crop {crop!r}: only 'center' is known")
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    short, long = sorted(image.size)
    if long > MAX_ASPECT * short:
        raise ValueError(f"a frame of {image.width} x {image.height} pixels is too narrow to be resized")
    scaled = int(pixels * long / short)
    size = (pixels, scaled) if image.width <= image.height else (scaled, pixels)
    if image.size != size:
        image = image.resize(size, FILTERS[interpolation])
    left, top = (round((side - pixels) / 2) for side in size)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)).convert("RGB"))

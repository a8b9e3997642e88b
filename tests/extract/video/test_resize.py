"""Preprocessing is OpenAI CLIP's, to the bit."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.openai_clip import MEAN, STD, clip
from videocap.extract.video.resize import resize_crop, scaled_size

NAMES = ["123_456", "208_495", "321_421", "389_535"]


@pytest.mark.parametrize("name", NAMES)
def test_known_answers(data, name):
    with Image.open(data / "clip_preprocess" / f"{name}.jpg") as image:
        tensor = normalize(torch.from_numpy(resize_crop(image, 224)[None].copy()), MEAN, STD)[0]
    np.testing.assert_allclose(tensor.numpy(), np.load(data / "clip_preprocess" / f"{name}.npy"), atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(16, 300), st.integers(0, 2**32 - 1))
def test_equal_to_clips_transform(height, width, pixels, seed):
    if max(height, width) > 64 * min(height, width):
        return
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    ours = torch.from_numpy(resize_crop(image, pixels).copy())
    expected = clip.clip._transform(pixels)(Image.fromarray(image))
    assert ours.shape == (pixels, pixels, 3)
    assert torch.equal(normalize(ours[None], MEAN, STD)[0], expected)


@pytest.mark.parametrize(("resize", "crop"), [(64, 64), (232, 224), (256, 224)])
def test_bilinear_is_torchvisions(resize, crop):
    """As its weights of ResNet-152 want it: V1 resizes to 256, V2 to 232."""
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

    image = np.random.default_rng(0).integers(0, 256, (323, 277, 3), np.uint8)
    steps = [Resize(resize, interpolation=InterpolationMode.BILINEAR), CenterCrop(crop), PILToTensor()]
    expected = Compose(steps)(Image.fromarray(image)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(resize_crop(image, crop, "bilinear", resize=resize), expected)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(16, 300), st.floats(0.01, 100))
def test_a_frame_is_scaled_to_the_shape_in_which_it_is_shown(width, height, shorter, sar):
    if max(width * sar, height) > 64 * min(width * sar, height):
        with pytest.raises(ValueError, match=f"{width} x {height}"):
            scaled_size(width, height, shorter, sar)
        return
    scaled = scaled_size(width, height, shorter, sar)
    assert min(scaled) == shorter
    assert scaled[0] / scaled[1] == pytest.approx(width * sar / height, rel=1.01 / shorter)


def test_a_frame_that_would_grow_enormous_is_refused():
    with pytest.raises(ValueError, match="2 x 2000"):
        resize_crop(np.zeros((2000, 2, 3), np.uint8), 224)


def test_decoding_needs_no_torch():
    code = (
        "import sys, videocap.extract.video.frames, videocap.extract.video.resize; "
        "print(*{'torch', 'h5py', 'clip', 'av'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == []

"""What an encoder takes of a frame is held against the section [encoder]."""

import re

import pytest
from pydantic import ValidationError
from weights import save_random

from videocap.extract.config import EncoderConfig
from videocap.extract.encoders.load import load


@pytest.mark.parametrize(
    ("weights", "given", "says"),
    [
        ("ViT-B/16", {"pixels": 256}, "ViT-B/16 takes 224 pixels, not 256: set encoder.pixels=224"),
        (
            "ResNet-152",
            {},
            "256 pixels before the crop, not 224; bilinear interpolation, not bicubic: "
            "set encoder.resize=256 encoder.interpolation=bilinear",
        ),
    ],
)
def test_a_named_model_wants_its_own_preprocessing(weights, given, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        EncoderConfig(weights=weights, **given)
    EncoderConfig(weights="ViT-L/14@336px", pixels=336, resize=336)
    EncoderConfig(weights="ResNet-152", resize=256, interpolation="bilinear")


def test_a_checkpoint_is_held_against_the_config(tmp_path):
    encoder = load(save_random(tmp_path / "clip.pt", "tiny"), "cpu", "fp32")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32), "clip.pt")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32, resize=32), "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt takes 32 pixels, not 64: set encoder\.pixels=32"):
        encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=64), "clip.pt")
    encoder.geometry.check(EncoderConfig(weights="toyclip", pixels=32, resize=40), "clip.pt")  # others' choice

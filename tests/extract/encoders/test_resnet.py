"""ResNets give the numbers of torchvision's module in front of its classifier."""

import hashlib

import numpy as np
import pytest
import torch
from frames import cosine, some_frames
from PIL import Image
from torchvision.models.resnet import Bottleneck as Block
from torchvision.models.resnet import ResNet, ResNet152_Weights, resnet18, resnext50_32x4d
from weights import random_resnet

from videocap.extract.config import MODELS, RESNET_GEOMETRY, TextEncoderConfig
from videocap.extract.encoders import resnet
from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.load import load
from videocap.extract.encoders.openai_clip import ClipEncoder
from videocap.extract.video.resize import resize_crop

SMALL, FULL = (1, 2, 3, 1), pytest.param((3, 8, 36, 3), marks=pytest.mark.slow)
BOUNDS = [("fp32", 0.99999), ("bf16", 0.9999), ("fp16", 0.9999)]


def saved(path, state):
    torch.save(state, path)
    return path


def torchvisions(state, layers, frames):
    """Pooled features as torchvision computes them, of frames that its own preprocessing has normalised."""
    model = ResNet(Block, list(layers))
    model.load_state_dict(state)
    model.fc = torch.nn.Identity()
    preprocess = ResNet152_Weights.IMAGENET1K_V1.transforms()
    # the frames are smaller than it would have them, so that it would enlarge and cut them again
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    images = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        return model.eval()((images - mean) / std).numpy()


@pytest.mark.parametrize("layers", [SMALL, FULL])
def test_frames_agree_with_torchvisions_module(tmp_path, layers):
    state, frames = random_resnet(layers), some_frames(4, 224)
    expected = torchvisions(state, layers, frames)
    assert cosine(expected[:1], expected[1:]).max() < 0.9999, "the test would notice"
    for precision, least in BOUNDS:
        ours = load(saved(tmp_path / "resnet.pth", state), "cpu", precision).encode(frames)
        assert (ours.dtype, ours.shape) == (np.float32, (4, 2048))
        assert cosine(ours, expected).min() >= least
        # all features are positive: what frames have in common would hide what tells them apart
        mean = expected.mean(0)
        assert cosine(ours - mean, expected - mean).min() >= (0.99999 if precision == "fp32" else 0.9)


def test_a_checkpoint_may_lack_the_classifier_and_counts_of_batches_and_be_in_fp16(tmp_path):
    state, frames = random_resnet(SMALL), some_frames(2, 224)
    rounded = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    least = {key: value for key, value in rounded.items() if not key.startswith("fc.") and "num_batches" not in key}
    expected = torchvisions({key: value.float() for key, value in rounded.items()}, SMALL, frames)
    encoder = load(saved(tmp_path / "resnet.pth", least), "cpu", "fp32")
    np.testing.assert_allclose(encoder.encode(frames), expected, atol=1e-4)
    assert not isinstance(encoder, ClipEncoder)


def test_basic_blocks_give_narrower_features(tmp_path):
    model, frames = resnet18().eval(), some_frames(2, 224)
    encoder = load(saved(tmp_path / "resnet.pth", model.state_dict()), "cpu", "fp32")
    model.fc = torch.nn.Identity()
    with torch.inference_mode():
        expected = model(normalize(torch.from_numpy(frames), resnet.MEAN, resnet.STD)).numpy()
    assert expected.shape == (2, encoder.width) == (2, 512)
    np.testing.assert_allclose(encoder.encode(frames), expected, atol=1e-4)


def test_the_geometry_is_torchvisions():
    preprocess = ResNet152_Weights.IMAGENET1K_V1.transforms()
    assert (tuple(preprocess.mean), tuple(preprocess.std)) == (resnet.MEAN, resnet.STD)
    pixels, resize, interpolation = RESNET_GEOMETRY
    assert ([pixels], [resize], interpolation) == (
        preprocess.crop_size,
        preprocess.resize_size,
        preprocess.interpolation.value,
    )
    picture = Image.fromarray(some_frames(1, 300)[0][:240])
    ours = resnet_input(resize_crop(picture, pixels, interpolation, resize=resize))
    np.testing.assert_allclose(ours, preprocess(picture).numpy(), atol=1e-5)


def resnet_input(frame):
    return ((frame / 255 - resnet.MEAN) / resnet.STD).transpose(2, 0, 1)


def test_the_name_of_the_weights_in_keys_is_the_downloads():
    for name, url in resnet.NAMES.items():
        assert f"https://download.pytorch.org/models/{MODELS[name][0].rpartition('/')[2]}.pth" == url


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("ResNeXt", "size mismatch for layer1.0.conv"),
        ("no layer4", "four layers have"),
        ("a tensor missing", "bn1.running_var"),
        ("a tensor more", "layer1.0.se"),
    ],
)
def test_another_architecture_is_refused_by_name(tmp_path, kind, says):
    if kind == "ResNeXt":
        state = resnext50_32x4d().state_dict()
    else:
        state = ResNet(Block, [1, 1, 1, 1]).state_dict()
        if kind == "no layer4":
            state = {key: value for key, value in state.items() if not key.startswith("layer4")}
        elif kind == "a tensor missing":
            del state["bn1.running_var"]
        else:
            state["layer1.0.se"] = torch.zeros(2)
    with pytest.raises(ValueError, match=rf"other\.pth is not a ResNet-18, .* format: .*{says}"):
        load(saved(tmp_path / "other.pth", state), "cpu", "fp32")


def test_a_download_is_checked_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "there").mkdir()
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()[:8]
    good, bad = (tmp_path / "there" / f"resnet-{end}.pth" for end in (digest, "0123abcd"))
    good.write_bytes(content)
    bad.write_bytes(content)
    place = resnet.fetch(good.as_uri())
    assert place == tmp_path / "home" / "hub" / "checkpoints" / good.name
    assert place.read_bytes() == content
    good.unlink()
    assert resnet.fetch(good.as_uri()) == place, "it is there already"
    place.write_bytes(b"other")
    with pytest.raises(ValueError, match=rf"{place} is damaged.* {digest}"):
        resnet.fetch(good.as_uri())
    with pytest.raises(RuntimeError, match="0123abcd"):
        resnet.fetch(bad.as_uri())


def test_resnets_embed_no_text():
    with pytest.raises(ValueError, match="ResNet-152 embeds no text: name a CLIP"):
        TextEncoderConfig(weights="ResNet-152")

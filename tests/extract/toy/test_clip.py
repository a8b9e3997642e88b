"""The demo's small CLIP: loads as OpenAI's checkpoints do, repeats, and learns."""

import json
from collections import defaultdict
from pathlib import Path

import clip
import pytest
import torch
from clip.model import build_model

from videocap.extract.toy import clip as toyclip
from videocap.extract.toy.scene import COLOURS
from videocap.extract.toy.world import render

Clips = tuple[dict[str, Path], dict[str, list[str]]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Clips:
    folder = tmp_path_factory.mktemp("world")
    render(folder, 20, seed=0)
    captions = defaultdict(list)
    for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        captions[json.loads(line)["video"]].append(json.loads(line)["caption"])
    return {video: folder / "videos" / video for video in captions}, captions


def test_same_seed_gives_the_same_bytes_and_another_seed_others(clips, tmp_path):
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        toyclip.train(*clips, tmp_path / name, steps=3, seed=seed, threads=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_checkpoint_loads_as_openai_s(clips, tmp_path):
    path = tmp_path / "toy.pt"
    toyclip.train(*clips, path, pixels=32, steps=2, seed=0)
    state = torch.load(path, weights_only=True)
    sizes = {name: int(state[name]) for name in ("input_resolution", "context_length", "vocab_size")}
    assert sizes == {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    model, preprocess = clip.load(str(path), device="cpu")
    assert model.visual.input_resolution == 32
    assert preprocess.transforms[0].size == 32
    with torch.no_grad():
        image = model.encode_image(torch.zeros(2, 3, 32, 32))
        text = model.encode_text(clip.tokenize(["a red ball jumps", "something else altogether"]))
    assert image.shape == text.shape == (2, toyclip.EMBED)
    assert torch.isfinite(image).all()
    assert torch.isfinite(text).all()


@pytest.mark.slow
def test_it_learns_the_colours_of_its_clips(clips, tmp_path):
    videos, captions = clips
    toyclip.train(videos, captions, tmp_path / "toy.pt", steps=60, seed=0)
    model = build_model(torch.load(tmp_path / "toy.pt", weights_only=True)).float().eval()
    images = torch.stack([toyclip._read(path, 64)[0] for path in videos.values()])
    images = ((images / 255 - toyclip._MEAN) / toyclip._STD).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits, _ = model(images, clip.tokenize([captions[video][0] for video in videos]))
    told = [captions[list(videos)[int(i)]][0].split() for i in logits.argmax(1)]
    right = sum(
        any(word in caption for word in COLOURS if word in captions[video][0].split())
        for video, caption in zip(videos, told, strict=True)
    )
    assert right >= 0.8 * len(videos)  # by chance 0.17


def test_what_cannot_be_trained_on_is_refused(clips, tmp_path):
    videos, captions = clips
    with pytest.raises(ValueError, match="multiple of 32 pixels, not 40"):
        toyclip.train(videos, captions, tmp_path / "toy.pt", pixels=40, steps=1, seed=0)
    with pytest.raises(ValueError, match=r"1 of 20 videos have no caption, such as 'clip0000\.mp4'"):
        toyclip.train(videos, captions | {"clip0000.mp4": []}, tmp_path / "toy.pt", steps=1, seed=0)
    with pytest.raises(ValueError, match="two videos or more"):
        toyclip.train({}, {}, tmp_path / "toy.pt", steps=1, seed=0)

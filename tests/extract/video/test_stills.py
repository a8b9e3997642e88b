"""Pictures are videos of one frame: upright, whole, and by what is in them whatever they are called."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from videocap.extract.video.demux import VideoError
from videocap.extract.video.frames import parts, read
from videocap.extract.video.probe import Prober

SETTINGS = {"sampling": "uniform", "frames": 5, "fps": 2.0, "placement": "centres", "square_pixels": True}
SETTINGS |= {"geometry": {"pixels": 64, "interpolation": "bicubic", "crop": "center", "resize": None}}


@pytest.fixture(scope="module")
def prober():
    with Prober(30, 10**7) as prober:
        yield prober


@pytest.fixture
def picture():
    noise = np.random.default_rng(0).integers(0, 255, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def expected(path) -> np.ndarray:
    """As Pillow reads, turns, resizes and cuts it."""
    whole = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    small = whole.resize([round(side * 64 / min(whole.size)) for side in whole.size], Image.Resampling.BICUBIC)
    left, top = ((side - 64) // 2 for side in small.size)
    return np.asarray(small.crop((left, top, left + 64, top + 64))).astype(int)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.jpg", "RGB", {}),
        ("a.jpeg", "L", {"progressive": True}),
        ("turned.jpg", "RGB", {"turn": 6}),
        ("a.png", "RGB", {}),
        ("a.png", "RGBA", {}),
        ("a.png", "P", {}),
        ("a.webp", "RGB", {}),
        ("called.mp4", "RGB", {"format": "PNG"}),
        ("called.png", "RGB", {"format": "JPEG"}),
    ],
)
def test_a_picture_is_one_frame(prober, picture, tmp_path, name, mode, options):
    options = dict(options)
    if turn := options.pop("turn", None):
        exif = Image.Exif()
        exif[0x0112] = turn
        options["exif"] = exif
    picture.convert(mode).save(tmp_path / name, **options)
    images, times = read(tmp_path / name, prober, **SETTINGS)
    assert (images.shape, times.tolist()) == ((1, 64, 64, 3), [0.0])
    assert np.abs(images[0] - expected(tmp_path / name)).mean() < 2
    (part,) = parts(tmp_path / name, prober, 10.0, **SETTINGS)
    assert np.array_equal(part.images, images)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_half_a_picture_is_damaged(prober, picture, tmp_path, name, share):
    picture.save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VideoError):
        read(tmp_path / name, prober, **SETTINGS)


def test_a_preview_inside_is_not_the_end_of_a_picture(prober, picture, tmp_path):
    picture.save(tmp_path / "small.jpg")
    preview = (tmp_path / "small.jpg").read_bytes()
    whole = tmp_path / "a.jpg"
    picture.resize((640, 480)).save(whole, exif=b"Exif\0\0" + preview[:60000])
    assert read(whole, prober, **SETTINGS)[0].shape == (1, 64, 64, 3)
    whole.write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(VideoError, match="is cut short"):
        read(whole, prober, **SETTINGS)


def test_large_pictures_are_refused(prober, tmp_path):
    Image.new("L", (4000, 4000)).save(tmp_path / "a.png")
    with pytest.raises(VideoError, match="4000 x 4000 pixels; 10000000 are allowed"):
        read(tmp_path / "a.png", prober, **SETTINGS)

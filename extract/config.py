"""Config sections of extraction, as frozen pydantic models that need neither torch nor numpy.

Every field says what it is to a stage's key: `What` decides values and is in keys, `Where` is a path
(in keys by the digest of what lies there), `How` changes how values are computed, not which (never in keys).

The tables of models stand here, too, and not with the encoders: the code of modules called `config` counts nowhere, so
that a new name makes no result stale, and none is said to be of other code; what it means is in keys by value.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from videocap.extract.paths import ExistingFiles, ExistingPath, readable, resolved

T = TypeVar("T")
What = Annotated[T, "what"]
Where = Annotated[T, "where"]
How = Annotated[T, "how"]


class Section(BaseModel):
    """Base of every config section: immutable, unknown keys refused, field docstrings kept as descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    def unused(self) -> tuple[str, ...]:
        """Fields that can't matter beside the values of the others, and so are in no key."""
        return ()

    def deciding(self) -> Self:
        """Only the fields that decide values as they are here; all others have their defaults."""
        fields = type(self).model_fields.items()
        return type(self)(**{name: getattr(self, name) for name, field in fields if "what" in field.metadata})


NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of imported features

# sha256 of OpenAI's checkpoints as their download addresses give it, and the input size in pixels: with these
# a key needs neither the download nor torch. tests/extract/encoders/test_load.py compares them with the clip package.
OPENAI_MODELS = {
    "RN50": ("afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", 224),
    "RN101": ("8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599", 224),
    "RN50x4": ("7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd", 288),
    "RN50x16": ("52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa", 384),
    "RN50x64": ("be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c", 448),
    "ViT-B/32": ("40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 224),
    "ViT-B/16": ("5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 224),
    "ViT-L/14": ("b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 224),
    "ViT-L/14@336px": ("3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", 336),
}


class Geometry(NamedTuple):
    """What an encoder takes of a frame, in the words of [encoder]; where it gives None, the config decides."""

    pixels: int
    resize: int | None = None
    interpolation: str | None = None

    def check(self, encoder: Any, name: str) -> None:
        """Raise ValueError, with what to set, unless the section `encoder` gives the encoder `name` what it takes."""
        given = Geometry(encoder.pixels, encoder.resize or encoder.pixels, encoder.interpolation)
        units = Geometry("pixels", "pixels before the crop", "interpolation")
        fields = zip(self._fields, self, given, units, strict=True)
        wrong = [one for one in fields if one[1] is not None and one[1] != one[2]]
        if wrong:
            differ = [f"{takes} {unit}, not {other}" for _, takes, other, unit in wrong]
            cure = [f"encoder.{field}={takes}" for field, takes, _, _ in wrong]
            raise ValueError(f"{name} takes {'; '.join(differ)}: set {' '.join(cure)}")


# Every model that has a name: what keys call its weights, and what it takes. Of torchvision's weights only the first
# digits of the sha256 are published, in the file's name.
MODELS = {name: (sha256, Geometry(pixels)) for name, (sha256, pixels) in OPENAI_MODELS.items()}
RESNET_GEOMETRY = Geometry(224, 256, "bilinear")  # torchvision's preprocessing for its first ImageNet weights
TOYCLIP_STRIDE = 32  # pixels of the frame a pixel of the demo's small CLIP's last layer
MODELS["ResNet-152"] = ("torchvision/resnet152-394f9c45", RESNET_GEOMETRY)


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise ValueError(f"{path} is a file: name the folder of the videos")
    return path


def _weights(value: str, info: ValidationInfo) -> str:
    if value == "toyclip" or value in MODELS:
        return value
    path = resolved(value, info)
    if not os.path.isfile(path):
        near = difflib.get_close_matches(value, MODELS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"is neither 'toyclip', nor a known model ({', '.join(MODELS)}), nor the file {path}{hint}")
    return str(readable(path))


def _has_text(value: str) -> str:
    if value in MODELS and value not in OPENAI_MODELS:
        raise ValueError(f"{value} embeds no text: name a CLIP")
    return value


Weights = Annotated[str, AfterValidator(_weights)]


class DataConfig(Section):
    """[data]: which videos and captions."""

    kind: What[Literal["toyworld", "msrvtt", "folder"]] = "toyworld"
    """`toyworld` renders its own clips; `msrvtt` reads the official JSON; `folder` files of captions of any videos."""
    videos: Where[Annotated[ExistingPath | None, AfterValidator(_folder)]] = None
    """Folder of the video files. Not used by `toyworld`."""
    features: What[Annotated[str, Field(pattern=NAME)] | None] = None
    """Instead of `videos`: the name under which features made elsewhere were imported (`videocap store import`)."""
    annotations: Where[ExistingFiles] = ()
    """A file or a list of files. `msrvtt`: `videodatainfo.json`, or 2016's two. `folder`: a `.csv` or `.jsonl` of a row
    a caption, a `.json` {video: [caption, …]} or {video: {id: caption}}, or MSVD's `.txt`, a line a caption."""
    commonsense: Where[ExistingPath | None] = None
    """V2C's `V2C_MSR-VTT_caption.json`, for `msrvtt` with commonsense aspects."""
    split: Where[ExistingFiles] = ()
    """Instead of the split that the annotations give: V2C's `v2c_info.json`, or a list of ids or several, as
    `MSRVTT_train.full.csv` or `test_list.txt`, whose names tell the split. What is in none is left out, or, if none
    is for training (1k-A alone), is for training."""

    @model_validator(mode="after")
    def _complete(self) -> DataConfig:
        if self.kind != "toyworld" and (not self.annotations or not (self.videos or self.features)):
            raise ValueError(f"kind {self.kind!r} needs `annotations`, and `videos` or imported `features`")
        if self.videos and self.features:
            raise ValueError("frames are embedded from `videos`, or `features` are imported: one of these only")
        if self.kind != "msrvtt" and self.commonsense:
            raise ValueError(f"`commonsense` is V2C's file, for kind 'msrvtt', not {self.kind!r}")
        if self.kind == "toyworld" and self.split:
            raise ValueError("kind 'toyworld' has its own `split`: lists are for 'folder' or 'msrvtt'")
        if self.kind == "toyworld" and (self.videos or self.features):
            raise ValueError("kind 'toyworld' renders its own `videos`: for yours use 'folder' or 'msrvtt'")
        return self

    def unused(self) -> tuple[str, ...]:
        return () if self.features else ("features",)


class ToyWorldConfig(Section):
    """[toyworld]: the demo's own videos."""

    clips: What[Annotated[int, Field(ge=20)]] = 900
    """How many clips to render."""
    seed: What[int] = 0
    """Seed of scenes, captions and split."""


class ToyClipConfig(Section):
    """[toyclip]: the small CLIP that the demo trains for itself."""

    image: What[Literal["resnet", "vit-8", "vit-16"]] = "resnet"
    """Its image encoder: one of CLIP's ResNets, or a vision transformer with patches of so many pixels."""
    steps: What[Annotated[int, Field(ge=1)]] = 650
    """Optimizer steps."""
    seed: What[int] = 0
    """Seed of initial weights and batches."""


class DecodeConfig(Section):
    """[decode]: which frames of a video, and what happens to videos that do not decode."""

    sampling: What[Literal["uniform", "fps"]] = "uniform"
    """`uniform`: a fixed number of frames over the whole video; `fps`: at a fixed rate, up to `frames`."""
    frames: What[Annotated[int, Field(ge=1, le=4096)]] = 20
    """Frames a video (`uniform`), or the most (`fps`)."""
    fps: What[Annotated[float, Field(gt=0)]] = 2.0
    """Frames a second, for `fps` sampling only."""
    placement: What[Literal["centres", "ends"]] = "centres"
    """`uniform` frames at the centres of equal segments, or from the first frame to the last (as V2C)."""
    square_pixels: What[bool] = True
    """Resize frames whose pixels are not square to the shape in which they are shown. `false` takes pixels as they are
    stored, as most published features of MSR-VTT did, though most of its clips are shown 4/3 as wide."""
    keep: How[bool] = True
    """Keep decoded frames once they are embedded, so that another encoder needs no decoding."""
    max_failures: How[Annotated[float, Field(ge=0, le=1)]] = 0.2
    """Share of videos that may fail to decode before the run is stopped with an error."""
    retry_failed: How[Annotated[int, Field(ge=0)]] = 0
    """A number: failures recorded under a lower one are tried again."""
    timeout: How[Annotated[float, Field(gt=0)]] = 120.0
    """Seconds that the demuxer or ffmpeg may take for one video."""
    max_pixels: How[Annotated[int, Field(gt=0)]] = 8192 * 8192
    """Pixels that one frame of a video may have, before resizing."""

    def unused(self) -> tuple[str, ...]:
        return ("fps",) if self.sampling == "uniform" else ("placement",)


class EncoderConfig(Section):
    """[encoder]: the frozen image encoder, and the geometry of its input."""

    weights: Where[Weights] = "ViT-B/16"
    """`toyclip`, the name of an OpenAI model or `ResNet-152` (downloaded when first needed), or a checkpoint's path."""
    pixels: What[Annotated[int, Field(ge=16, le=1024)]] = 224
    """Height and width of the encoder's input."""
    resize: What[Annotated[int, Field(ge=16, le=2048)] | None] = None
    """Pixels of the frame's shorter side before the crop, where these are not `pixels` (torchvision's ResNets)."""
    interpolation: What[Literal["bicubic", "bilinear"]] = "bicubic"
    """Pillow's filter that resizes the frame."""
    crop: What[Literal["center"]] = "center"
    """What is cut from the resized frame."""
    device: How[str] = "auto"
    """`auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1` …"""
    precision: How[Literal["auto", "fp32", "bf16", "fp16"]] = "auto"
    """`auto`: fp16 on CUDA; on the CPU bf16 where the processor multiplies it, else fp32."""
    batch_size: How[Annotated[int, Field(ge=1)]] = 32
    """Frames (or captions) a batch."""
    compile: How[bool] = False
    """Compile the image encoder by `torch.compile`. Needs a C++ compiler; on the CPU measured it was no faster."""

    @model_validator(mode="after")
    def _fits(self) -> EncoderConfig:
        if self.weights in MODELS:
            MODELS[self.weights][1].check(self, self.weights)
        if self.resize is not None and self.resize < self.pixels:
            raise ValueError(f"resize = {self.resize} leaves nothing to cut {self.pixels} pixels from")
        return self

    def unused(self) -> tuple[str, ...]:
        return ("resize",) if self.resize in (None, self.pixels) else ()


class TextEncoderConfig(Section):
    """[text_encoder]: the frozen text encoder whose caption embeddings Vis2Text learns to predict (eq. 5)."""

    weights: Where[Annotated[Weights, AfterValidator(_has_text)]] = "ViT-B/16"
    """As `encoder.weights`, but a CLIP."""


def _toyclip_is_for_toyworld(config: Any) -> None:
    """Raises ValueError where the demo's weights are asked for other data, or for frames that they don't take."""
    if "toyclip" not in (config.encoder.weights, config.text_encoder.weights):
        return
    if config.data.kind != "toyworld":
        raise ValueError(f"weights 'toyclip' are the demo's, for data.kind 'toyworld', not {config.data.kind!r}")
    if config.encoder.pixels % TOYCLIP_STRIDE:
        raise ValueError(
            f"weights 'toyclip' take encoder.pixels of a multiple of {TOYCLIP_STRIDE}, not {config.encoder.pixels}"
        )


SECTIONS = {
    "data": DataConfig,
    "toyworld": ToyWorldConfig,
    "toyclip": ToyClipConfig,
    "decode": DecodeConfig,
    "encoder": EncoderConfig,
    "text_encoder": TextEncoderConfig,
}
CHECKS = (_toyclip_is_for_toyworld,)

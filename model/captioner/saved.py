"""A captioner's folder: config.json (what its captions depend on, but for the video), weights and vocabulary.

Whoever wrote it may be a stranger: nothing in it is executed, and what it claims is compared with what the files have
before any memory is taken for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from videocap.extract.config import DecodeConfig
from videocap.extract.files import check_regular, sha256
from videocap.model.captioner.captioner import Captioner, CaptionerConfig
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, GenerateConfig, Vis2TextConfig
from videocap.model.vocabulary import Vocabulary

CONFIG, VOCABULARY, ENCODER = "config.json", "vocabulary.json", "encoder.safetensors"
MOST_BYTES = {CONFIG: 1 << 20, VOCABULARY: 64 << 20}
MOST_FRAMES = 1 << 30  # bytes of a video's frames
MOST = {"width": 16384, "heads": 1024, "layers": 128, "aspect_layers": 128, "inner": 131072, "max_tokens": 1000}
MOST |= {"max_aspect_tokens": 1000, "queries": 4096, "d_in": 1 << 20, "d_text": 1 << 20}
MOST |= {"beam": 100, "length_penalty": 10, "temperature": 100, "no_repeat_ngram": 1000, "fps": 1000}
"""What no captioner needs more of: larger numbers in a stranger's config.json are refused."""


def _shown(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has letters that can't be shown")
    return text


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=200), AfterValidator(_shown)]


class Part(BaseModel):
    """Base of what stands in config.json."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Network(Part):
    """One network: what it is rebuilt from, and where its weights are."""

    file: Annotated[str, Field(pattern=r"^model(-\d{1,3})?\.safetensors$")]
    sha256: Sha256
    fusion: FusionConfig
    vis2text: Vis2TextConfig
    aspects: AspectsConfig
    decoder: DecoderConfig
    d_in: Annotated[int, Field(ge=1)]
    d_text: Annotated[int, Field(ge=1)]


class Encoder(Part):
    """The frozen image encoder that its features are of."""

    weights: Text
    """The name of a model, or what the file was called where it was trained."""
    sha256: Text
    """Of that file; of torchvision's, the name that tells it."""
    file_sha256: Sha256 | None = None
    """Of encoder.safetensors, if the weights come along."""
    pixels: Annotated[int, Field(ge=16, le=1024)]
    resize: Annotated[int, Field(ge=16, le=2048)] | None
    interpolation: Literal["bicubic", "bilinear"]
    crop: Literal["center"]
    computed: Annotated[list[Text], Field(max_length=20)]
    """On what, and how precisely, the features were computed: "cpu bf16"."""


class Split(Part):
    """How much of a corpus a split has."""

    videos: int
    captions: int


class TrainedOn(Part):
    """The corpus, of which nothing else goes along."""

    kind: Text
    """data.kind."""
    splits: Annotated[dict[Literal["train", "val", "test"], Split], Field(max_length=3)]
    sha256: Annotated[dict[Text, Sha256], Field(max_length=20)]
    """Of the corpus' tables: who has the same has the same videos and captions."""


class About(Part):
    """config.json. What Train leaves lacks what stands behind the vocabulary."""

    format: Literal[1] = 1
    """Of this file. A later one that older code can't read right has another number."""
    made_by: Text
    """clip4videocap and its version."""
    networks: Annotated[list[Network], Field(min_length=1, max_length=100)]
    """Several write together, each word by the mean of their probabilities; aspects by the first alone."""
    vocabulary_sha256: Sha256
    license: Text = ""
    """Of the trained model; empty if nobody has said."""
    trained_on: TrainedOn | None = None
    decode: DecodeConfig | None = None
    """Which frames it looks at."""
    encoder: Encoder | None = None
    """None if it was trained on features made by other code, so that nobody here can make those of a video."""
    generate: GenerateConfig | None = None
    """How it writes unless it is told otherwise."""


_SECTIONS = {"fusion": FusionConfig, "vis2text": Vis2TextConfig, "aspects": AspectsConfig, "decoder": DecoderConfig}


def save_model(
    folder: Path, config: CaptionerConfig, weights: Mapping[str, torch.Tensor], vocabulary: Vocabulary, **sizes: int
) -> None:
    """Write a trained captioner to a folder; `sizes` are its d_in and d_text."""
    file = folder / "model.safetensors"
    # not save_file: its file could be read by nobody else, whatever the umask says
    file.write_bytes(save({name: value.contiguous() for name, value in weights.items()}))
    vocabulary.save(folder / VOCABULARY)
    sections = {
        section: kind(**{field: getattr(getattr(config, section), field) for field in kind.model_fields})
        for section, kind in _SECTIONS.items()
    }
    network = Network(file=file.name, sha256=sha256(file), **sections, **sizes)
    write(folder, About(made_by=made_by(), networks=[network], vocabulary_sha256=sha256(folder / VOCABULARY)))


def write(folder: Path, about: About) -> None:
    """Write config.json."""
    (folder / CONFIG).write_text(about.model_dump_json(indent=1) + "\n", encoding="utf-8")


def made_by() -> str:
    """The name and version of this package."""
    from importlib.metadata import version

    return f"clip4videocap {version('clip4videocap')}"


def read(folder: Path) -> About:
    """What config.json of a folder says.

    Raises:
        ValueError: if it is not there, is damaged, or asks for what no captioner needs.
    """
    path = folder / CONFIG
    try:
        about = About.model_validate_json(_small(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = repr(".".join(map(str, first["loc"]))[:100]).strip("'") or "it"
        raise ValueError(f"{path}: is not the config of a captioner: {where}: {first['msg'][:200]}") from None
    for section in ("decode", "generate"):  # how long ffmpeg may take, for one, is not for a stranger to say
        if given := getattr(about, section):
            setattr(about, section, given.deciding())
    for name, value in _numbers(about.model_dump()):
        if value > MOST.get(name, value):
            raise ValueError(f"{path}: {name} = {value} is more than any captioner needs ({MOST[name]}): it is refused")
    if len({network.file for network in about.networks}) < len(about.networks):
        raise ValueError(f"{path}: names a file of weights twice")
    if len({network.d_in for network in about.networks}) > 1:
        raise ValueError(f"{path}: its networks see features of different widths, so they can't write together")
    if about.encoder and about.decode and 3 * about.encoder.pixels**2 * about.decode.frames > MOST_FRAMES:
        raise ValueError(f"{path}: {about.decode.frames} frames of {about.encoder.pixels} pixels are more than 1 GB")
    return about


def load(folder: Path, device: torch.device | str = "cpu") -> tuple[list[Captioner], Vocabulary]:
    """The trained networks of a folder, in evaluation mode on `device`, and their vocabulary.

    Raises:
        ValueError: if the folder's files are damaged or do not belong together.
    """
    about = read(folder)
    path = folder / VOCABULARY
    _check(path, about.vocabulary_sha256, _small(path))
    vocabulary = Vocabulary.load(path)
    return [_network(folder, one, len(vocabulary), device) for one in about.networks], vocabulary


def _network(folder: Path, one: Network, words: int, device: torch.device | str) -> Captioner:
    path = folder / one.file
    sections = SimpleNamespace(**{section: getattr(one, section) for section in _SECTIONS})
    with torch.device("meta"):  # takes no memory
        model = Captioner(sections, d_in=one.d_in, d_text=one.d_text, words=words)
    wanted = {name: (list(value.shape), value.dtype) for name, value in model.state_dict().items()}
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: of.get_shape() for name, of in found.items()}
            if shapes != {name: shape for name, (shape, _) in wanted.items()}:
                odd = sorted(n for n in shapes.keys() | wanted.keys() if shapes.get(n) != wanted.get(n, (None,))[0])
                raise ValueError(f"{path} does not fit {CONFIG} and {VOCABULARY}: {', '.join(odd[:3])}")
        _check(path, one.sha256)
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    for name, value in weights.items():
        if value.dtype != wanted[name][1]:
            raise ValueError(f"{path} does not fit {CONFIG}: {name} is {value.dtype}")
    model.load_state_dict(weights, assign=True)
    return model.to(device).eval()


def _check(path: Path, expected: str, content: bytes | None = None) -> None:
    found = sha256(path) if content is None else hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"{path} is not the file that {CONFIG} names (its sha256 is another): copy the folder again")


def _small(path: Path) -> bytes:
    """A JSON file's bytes."""
    most = MOST_BYTES[path.name]
    try:
        check_regular(path)
        if path.stat().st_size > most:
            raise ValueError(f"{path} has more than {most >> 20} MB, which no captioner needs")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path.parent} is no captioner's folder: {path.name}: {error.strerror}") from error


def _numbers(value: Any, name: str = "") -> list[tuple[str, float]]:
    """All numbers in JSON, with the names of their fields."""
    if isinstance(value, Mapping):
        return [found for key, inside in value.items() for found in _numbers(inside, key)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [found for inside in value for found in _numbers(inside, name)]
    return [(name, value)] if isinstance(value, int | float) and not isinstance(value, bool) else []

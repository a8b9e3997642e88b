"""Config: mistakes are refused with file, key and nearest valid key."""

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from videocap import tasks
from videocap.pipeline import config
from videocap.pipeline.config import BaseConfig, ConfigError, compose, fields, load
from videocap.tasks import Config

CONFIGS = Path(tasks.__file__).parent / "configs"


def write(folder: Path, text: str) -> Path:
    file = folder / "experiment.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train]\nlrr = 1", "train.lrr: unknown key; did you mean train.lr?"),
        ("[trian]\nlr = 1", "trian: unknown section; did you mean train?"),
        ('[train]\nlr = "fast"', "train.lr: should be a valid number (it is 'fast')"),
        ("[train]\nlr = -1", "train.lr: should be greater than 0"),
        ("train = 3", "train: "),
        ('[data]\nkind = "msrvtt"', "data: kind 'msrvtt' needs `annotations`, and `videos` or imported"),
        ('[data]\nkind = "folder"\nvideos = "nowhere"', "data.videos: there is no file or folder"),
        ('[encoder]\nweights = "ViT-B/17"', "encoder.weights: is neither 'toyclip', nor a known model"),
        ('[encoder]\nweights = "RN50x4"', "RN50x4 takes 288 pixels, not 224"),
        ('[encoder]\nweights = "toyclip"\npixels = 80', "'toyclip' take encoder.pixels of a multiple of 32, not 80"),
        ("[decoder]\nheads = 7", "must be even and divisible by heads 7"),
        ('[experiment]\nname = "../x"', "experiment.name: "),
        ("[train\n", "experiment.toml: "),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path, text, says):
    with pytest.raises(ConfigError) as error:
        load(Config, write(tmp_path, text))
    assert says in str(error.value)
    assert "experiment.toml" in str(error.value)


def test_all_mistakes_are_named_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        load(Config, write(tmp_path, "[train]\nlrr = 1\nepochs = 0\n[fusion]\nblock = 'gru'"))
    assert len(str(error.value).splitlines()) == 3


def test_overrides_go_before_the_file_and_need_no_quotes(tmp_path):
    file = write(tmp_path, '[train]\nlr = 1e-4\n[experiment]\nname = "a"')
    loaded = load(Config, file, 'train.lr=2e-3 fusion.block=conv1d aspects.use=["effect"] experiment.name=my-run')
    assert loaded.train.lr == 2e-3
    assert loaded.fusion.block == "conv1d"
    assert loaded.aspects.use == ("effect",)
    assert loaded.experiment.name == "my-run"


@pytest.mark.parametrize("override", ["train.lr", "lr=3", "train.lrr=3", "train.lr=slow"])
def test_a_wrong_override_is_named(tmp_path, override):
    with pytest.raises(ConfigError, match="--override"):
        load(Config, write(tmp_path, ""), override)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.name)
def test_shipped_configs_name_only_known_fields(file):
    mistakes = ""
    try:
        load(Config, file)
    except ConfigError as error:
        mistakes = str(error)
    assert all("there is no file or folder" in line for line in mistakes.splitlines())  # the user's own videos


def test_every_field_is_marked_and_described():
    assert set(fields(Config).values()) == {"what", "where", "how"}
    for section in Config.model_fields.values():
        assert all(field.description for field in section.annotation.model_fields.values())


def test_a_dumped_config_loads_as_the_same(tmp_path):
    loaded = load(Config, CONFIGS / "demo.toml", "train.lr=0.001 aspects.use=[]")
    assert load(Config, write(tmp_path, config.dump(loaded))) == loaded


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_survives_dumping(text):
    import tomllib

    assert tomllib.loads(f"value = {config._toml(text)}")["value"] == text


class Camera(BaseModel):
    """[camera]: a section of one package."""

    model_config = ConfigDict(extra="forbid")
    pixels: Annotated[int, "what"] = 32
    device: Annotated[str, "how"] = "cpu"


class Film(BaseModel):
    """[film]: a section of another one."""

    model_config = ConfigDict(extra="forbid")
    frames: Annotated[int, "what"] = 20


def film_fits(config: BaseConfig) -> None:
    if config.film.frames > config.camera.pixels:
        raise ValueError(f"film.frames: at most camera.pixels, {config.camera.pixels}")


def camera_is_there(config: BaseConfig) -> None:
    if config.camera.device == "none":
        raise ValueError("camera.device: name one")


COMPOSED = compose(
    SimpleNamespace(SECTIONS={"camera": Camera}, CHECKS=[camera_is_there]),
    SimpleNamespace(SECTIONS={"film": Film}, CHECKS=[film_fits]),
)


def test_a_config_has_the_sections_of_all_packages_by_default_as_they_say(tmp_path):
    assert list(COMPOSED.model_fields) == ["experiment", "pipeline", "camera", "film"]
    assert {"camera.pixels": "what", "camera.device": "how", "film.frames": "what"}.items() <= fields(COMPOSED).items()
    loaded = load(COMPOSED, write(tmp_path, "[film]\nframes = 7"))
    assert (loaded.camera, loaded.film.frames, loaded.experiment.name) == (Camera(), 7, "demo")
    assert COMPOSED() == load(COMPOSED, write(tmp_path, ""))
    assert config.dump(loaded).count("[") == 4


@pytest.mark.parametrize(
    ("text", "override", "says"),
    [
        ("[film]\nframes = 33", "", "film.frames: at most camera.pixels, 32"),
        ("", "camera.pixels=16", "film.frames: at most camera.pixels, 16"),
        ('[camera]\ndevice = "none"', "", "camera.device: name one"),
        ("[film]\nframe = 3", "", "film.frame: unknown key; did you mean film.frames?"),
        ("[flim]", "", "flim: unknown section; did you mean film?"),
    ],
)
def test_values_that_do_not_go_together_are_one_line(tmp_path, text, override, says):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(COMPOSED, file, override)
    assert str(error.value) == f"{file}: {says}"


def test_a_field_that_is_not_marked_is_named():
    class Unmarked(BaseModel):
        size: int = 1

    with pytest.raises(TypeError, match=r"odd\.size must be marked as one of what, where, how"):
        fields(compose(SimpleNamespace(SECTIONS={"odd": Unmarked}, CHECKS=[])))

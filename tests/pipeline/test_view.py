"""A view of the config shows what is declared, and nothing else."""

from pathlib import Path

import pytest

from videocap import tasks
from videocap.pipeline.config import load
from videocap.pipeline.view import View
from videocap.tasks import Config

CONFIGS = Path(tasks.__file__).parent / "configs"


def test_a_view_shows_declared_fields_and_refuses_others():
    view = View(load(Config, CONFIGS / "demo.toml"), ("train.lr", "fusion"), "Train")
    assert view.train.lr == 2e-3
    assert view.fusion.scales == 3
    for read in (lambda: view.train.epochs, lambda: view.decoder, lambda: view.train.model_dump()):
        with pytest.raises(AttributeError, match="does not declare"):
            read()
    with pytest.raises(AttributeError, match="frozen"):
        view.train.lr = 1.0
    with pytest.raises(TypeError, match="no field"):
        View(load(Config, CONFIGS / "demo.toml"), ("train.lrr",), "Train")

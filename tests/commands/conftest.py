"""A demo that was trained some steps more, and its artifacts."""

from pathlib import Path

import pytest
from captioned import SOME
from runs import Run, luigi


@pytest.fixture(scope="session")
def demo(tiny, tmp_path_factory) -> Run:
    run = luigi(tiny.copied(tmp_path_factory.mktemp("caption") / "artifacts").artifacts, "--override", SOME)
    assert run.status == 0, run.output
    return run


@pytest.fixture
def artifacts(demo, monkeypatch) -> Path:
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(demo.artifacts))
    return demo.artifacts

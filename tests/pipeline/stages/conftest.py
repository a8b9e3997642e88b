"""An artifacts folder of a test's own."""

from pathlib import Path

import pytest


@pytest.fixture
def artifacts(tmp_path, monkeypatch) -> Path:
    """The environment's artifacts folder."""
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"

"""An artifacts folder that is empty."""

import pytest

from videocap.pipeline.artifacts.results import Artifacts


@pytest.fixture
def artifacts(tmp_path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")

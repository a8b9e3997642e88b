"""A child that demuxes, for all tests of a file."""

import pytest
from videos import LIMITS

from videocap.extract.video.probe import Prober


@pytest.fixture(scope="module")
def prober():
    with Prober(**LIMITS) as prober:
        yield prober

"""Fixtures shared by all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# before torch is loaded: threads that wait spin, so on a processor that others use, too, they would take many times as
# long; here they sleep
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import settings
from runs import ROOT, TINY, Run, luigi

from videocap.model.scores.meteor import Meteor

settings.register_profile("patient", deadline=None)  # machines are noisy: an example may take long
settings.load_profile("patient")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real videos, captions and known answers: skip where it is absent, fail under CI."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the test data is not at {folder}")
        pytest.skip(f"the test data is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def meteor():
    """One METEOR process for all tests: its start takes 6 s."""
    with Meteor() as process:
        yield process


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Run:
    """The tiny demo after one run. Who runs or changes anything in its artifacts does so in a copy (`Run.copied`)."""
    run = luigi(tmp_path_factory.mktemp("tiny") / "artifacts", "--override", TINY)
    assert run.status == 0, run.output
    return run


@pytest.fixture(scope="session")
def extracted(tmp_path_factory) -> Path:
    """Three videos and their features (see `extracted.extract`). Who changes anything does so in a copy (`copied`)."""
    from extracted import extract  # which loads torch

    return extract(tmp_path_factory.mktemp("extracted"))


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT interrupts, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

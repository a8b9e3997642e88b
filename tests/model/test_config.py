"""Sections that do not go together are refused, by the real command."""

import pytest
from runs import TINY, luigi


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("score.controls=['no_subdecoders'] aspects.use=[]", "'no_subdecoders' is what this config trains anyway"),
        ("score.controls=['one_frame'] fusion.frames=shuffled", "'one_frame' is a control of fusion.frames = \"all\""),
        ("score.controls=['one_frame'] decode.frames=1", "'one_frame' changes nothing where decode.frames is 1"),
    ],
)
def test_a_control_that_is_none_is_refused(tmp_path, override, says):
    run = luigi(tmp_path / "artifacts", "--override", f"{TINY} {override}")
    assert run.status == 2
    assert f"score.controls: {says}" in run.output

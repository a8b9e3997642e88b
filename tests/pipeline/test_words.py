"""What is known is told in words: durations, reasons, failures and the events of a run."""

import pytest

from videocap.pipeline import words


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5_000, "83 min"), (9_000, "2 h 30 min")]
)
def test_times_are_as_precise_as_a_person_needs(seconds, said):
    assert words.duration(seconds) == said

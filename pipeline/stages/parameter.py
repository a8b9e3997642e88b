"""The Luigi parameter that hands an experiment from task to task."""

from __future__ import annotations

from typing import Any

import luigi

from videocap.pipeline.stages.experiment import Experiment


class ExperimentParameter(luigi.Parameter):
    """Hands the experiment from task to task; no part of a task's id.

    Luigi sends tasks that are yielded by a run to its scheduler as strings, and makes them anew from these in
    the same process: so an experiment goes as a token that this process, or the one that forked it, knows.
    """

    def __init__(self):
        super().__init__(significant=False, description="set by the task that requires this one")

    def serialize(self, value: Experiment) -> str:
        return value.token

    def parse(self, text: str) -> Experiment:
        return Experiment.called(text)

    def _warn_on_wrong_param_type(self, name: str, value: Any) -> None:
        """Luigi expects strings."""

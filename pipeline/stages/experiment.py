"""Experiment: what the stages of one run share, and which of them its results still need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import BaseConfig, fields
from videocap.pipeline.digests import digest
from videocap.pipeline.stages import graph
from videocap.pipeline.stages.graph import Kind


class Experiment:
    """The config, the artifacts folder, and the stages made so far.

    Args:
        config: of the experiment.
        last: the stage that a run is for. It and all that its result is made of are the experiment's stages (`order`).

    Attributes:
        moment: a number that rises whenever something may have been made: what was derived at another may be out of
            date.
    """

    _known: ClassVar[dict[str, Experiment]] = {}

    def __init__(self, config: BaseConfig, last: Kind):
        self.config = config
        self.roles = fields(type(config))
        self.artifacts = artifacts_of(config)
        self.token = digest([config.model_dump(mode="json"), str(self.artifacts.root)])
        self.moment = 0
        self._nodes: dict[Kind, Any] = {}
        Experiment._known[self.token] = self
        # drafts: the stages themselves would look at the files outside
        self.order = graph.order(last, lambda kind: kind.draft(self))

    @classmethod
    def known(cls) -> Sequence[Experiment]:
        """All experiments of this process."""
        return tuple(cls._known.values())

    @classmethod
    def called(cls, token: str) -> Experiment:
        """The experiment of this process, or the one that it was forked from, that has a token."""
        return cls._known[token]

    def node(self, kind: Kind) -> Any:
        """The stage of a class."""
        if kind not in self._nodes:
            self._nodes[kind] = kind.within(self)
        return self._nodes[kind]

    def nodes(self) -> list[Any]:
        """All its stages, in order."""
        return [self.node(kind) for kind in self.order]

    def named(self, name: str) -> Any:
        """The stage of a name. Raises ValueError if it has none."""
        kinds = {kind.__name__: kind for kind in self.order}
        if name not in kinds:
            raise ValueError(f"this experiment has no stage {name}; it has {', '.join(kinds)}")
        return self.node(kinds[name])

    def look_again(self) -> None:
        """Derive anew what is asked from here on: what ran since may have changed the identity of an input."""
        self.moment += 1

    def needed(self) -> dict[Kind, bool]:
        """The incomplete stages that the last one needs, see `graph.needed`."""
        return graph.needed(self.order[-1], self.node)

    def needs(self, node: Any) -> bool:
        """Whether a stage must be complete for the last one to be."""
        return type(node) in self.needed()

    def needs_of_any(self, node: Any) -> bool:
        """Whether this experiment, or another of this process that has just this stage, needs it."""
        if self.needs(node):
            return True
        for other in Experiment.known():
            mine = other._nodes.get(type(node))
            if other is not self and mine is not None and mine.id == node.id:
                other.look_again()
                if other.needs(mine):
                    return True
        return False

    def made_of(self) -> dict[str, str | None]:
        """Where everything lies that the results consist of, see `graph.made_of`."""
        return graph.made_of(self.nodes())


def artifacts_of(config: BaseConfig) -> Artifacts:
    """The artifacts folder that the environment or a config names."""
    configured = os.environ.get("VIDEOCAP_ARTIFACTS") or config.pipeline.artifacts or "artifacts"
    return Artifacts(Path(configured).expanduser())

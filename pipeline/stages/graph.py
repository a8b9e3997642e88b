"""The graph of an experiment's stages: their order, which of them a run needs, and where all lies that they made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

Kind = type
"""A class of stages."""


class Made(Protocol):
    """What is asked here of a stage's product."""

    @property
    def key(self) -> str | None: ...

    @property
    def done(self) -> bool: ...

    @property
    def place(self) -> str | None: ...


class Recorded(Protocol):
    """What is asked here of a stage's recipe."""

    def record(self) -> str | None: ...


class Node(Protocol):
    """What is asked here of a stage in an experiment."""

    @property
    def name(self) -> str: ...

    @property
    def recipe(self) -> Recorded: ...

    @property
    def product(self) -> Made: ...

    def upstream(self) -> list[Kind]: ...

    def before(self) -> list[Kind]: ...

    def waits_for(self) -> set[Kind]: ...


Find = Callable[[Kind], Node]
"""The stage of a class in an experiment."""


def order(last: Kind, find: Find) -> tuple[Kind, ...]:
    """The stages that go into the last one, itself included, each behind all that go into it."""
    found: dict[Kind, None] = {}

    def append(kind: Kind) -> None:
        if kind not in found:
            for other in find(kind).upstream():
                append(other)
            found[kind] = None

    append(last)
    return tuple(found)


def needed(last: Kind, find: Find) -> dict[Kind, bool]:
    """The incomplete stages that the last one needs, each with whether it will surely have something to do.

    Luigi never visits the inputs of a complete task. A stage whose key is known only when an input has run may turn
    out to be complete then; of what it needs, sure is only what its key waits for.
    """
    found: dict[Kind, bool] = {}
    todo = [(last, True)]
    while todo:
        kind, sure = todo.pop()
        node = find(kind)
        if found.get(kind, False) or found.get(kind) == sure or node.product.done:
            continue
        found[kind] = sure
        unknown = node.waits_for() if node.product.key is None else None
        todo += [(other, sure and (unknown is None or other in unknown)) for other in node.before()]
    return found


def made_of(nodes: Iterable[Node]) -> dict[str, str | None]:
    """Where everything lies that the results consist of, from the artifacts folder: {stage: place}.

    None for a stage whose key is not known yet. "… files" are the records of the files outside that it read.
    """
    nodes = list(nodes)
    places = {node.name: node.product.place for node in nodes}
    return places | {f"{node.name} files": place for node in nodes if (place := node.recipe.record())}

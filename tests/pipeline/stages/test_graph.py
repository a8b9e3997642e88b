"""The graph of stages: what goes before what, what a run needs, and where all lies that it is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from videocap.pipeline.stages.graph import made_of, needed, order


@dataclass
class Node:
    """A stage as a graph sees it: its product and its recipe, too."""

    name: str
    upstream_of: list[type] = field(default_factory=list)
    done: bool = False
    key: str | None = "key"
    unknown: list[type] = field(default_factory=list)
    files: str | None = None

    @property
    def product(self) -> "Node":
        return self

    recipe = product

    @property
    def place(self) -> str | None:
        return self.key and f"{self.name}/{self.key}"

    def record(self) -> str | None:
        return self.files

    def upstream(self) -> list[type]:
        return self.upstream_of

    def before(self) -> list[type]:
        assert not self.done, "nobody asks what was needed to make what is there"
        return self.upstream_of

    def waits_for(self) -> set[type]:
        return set(self.unknown)


Graph = dict[type, Node]


@st.composite
def graphs(draw: Callable) -> Graph:
    """Stages, each of which needs some of those before it; the key of some is not known, for want of what is not made.

    The last class is the stage that all is for.
    """
    found: Graph = {}
    for number in range(draw(st.integers(1, 8))):
        others = draw(st.lists(st.sampled_from(list(found)), unique=True)) if found else []
        open_ones = [kind for kind in others if not found[kind].done]
        unknown = draw(st.lists(st.sampled_from(open_ones), unique=True)) if open_ones else []
        done = not unknown and draw(st.booleans())
        name = f"Stage{number}"
        found[type(name, (), {})] = Node(name, others, done, None if unknown else "key", unknown)
    return found


@given(graphs())
def test_each_stage_stands_once_behind_all_that_go_into_it(graph):
    last = list(graph)[-1]
    found = order(last, graph.__getitem__)
    assert found[-1] is last
    assert len(set(found)) == len(found)
    for place, kind in enumerate(found):
        assert set(graph[kind].upstream_of) <= set(found[:place])
    into = {other for kind in found for other in graph[kind].upstream_of}
    assert set(found) == into | {last}, "and nothing else"


def spread(start: set, step: Callable[[type], set]) -> set:
    """All that is reached from the start, one step after another."""
    found, new = set(start), set(start)
    while new:
        new = {other for kind in new for other in step(kind)} - found
        found |= new
    return found


@given(graphs())
def test_needed_is_what_is_reached_through_what_is_not_done(graph):
    last = list(graph)[-1]
    found = needed(last, graph.__getitem__)
    assert (last in found) == (not graph[last].done)

    def open_before(kind: type) -> set:
        return {other for other in graph[kind].upstream_of if not graph[other].done}

    start = {last} - {kind for kind in graph if graph[kind].done}
    assert set(found) == spread(start, open_before)

    def sure(kind: type) -> set:
        node = graph[kind]
        return open_before(kind) & (set(node.unknown) if node.key is None else set(graph))

    assert {kind for kind, will in found.items() if will} == spread(start, sure)


@given(graphs())
def test_of_what_is_done_nothing_behind_is_visited(graph):
    visited = []

    def find(kind: type) -> Node:
        visited.append(kind)
        return graph[kind]

    last = list(graph)[-1]
    found = needed(last, find)
    assert set(visited) <= {last}.union(*(graph[kind].upstream_of for kind in found))


def chain(*nodes: Node) -> tuple[type, Graph]:
    """Stages of which each goes into the next."""
    graph: Graph = {}
    for node in nodes:
        node.upstream_of = list(graph)[-1:]
        node.unknown = node.upstream_of if node.key is None else []
        graph[type(node.name, (), {})] = node
    return list(graph)[-1], graph


def names(found: dict[type, bool]) -> dict[str, bool]:
    return {kind.__name__: sure for kind, sure in found.items()}


def test_behind_a_stage_whose_key_waits_only_what_it_waits_for_is_sure():
    last, graph = chain(Node("Corpus", done=True), Node("Train"), Node("Caption", key=None), Node("Score", key=None))
    assert names(needed(last, graph.__getitem__)) == {"Score": True, "Caption": True, "Train": True}
    weights = type("Weights", (), {})
    graph[weights] = Node("Weights")
    graph[last].upstream_of = [*graph[last].upstream_of, weights]  # it may turn out that the score is there
    assert names(needed(last, graph.__getitem__)) == {"Score": True, "Caption": True, "Train": True, "Weights": False}


def test_what_two_stages_need_is_sure_if_one_of_them_is():
    last, graph = chain(Node("Corpus"), Node("Train"), Node("Score", key=None))
    corpus, train, _ = graph
    graph[last].upstream_of = [corpus, train]
    assert names(needed(last, graph.__getitem__)) == {"Score": True, "Train": True, "Corpus": True}
    graph[last].unknown = [corpus]
    assert names(needed(last, graph.__getitem__)) == {"Score": True, "Train": False, "Corpus": True}


def test_results_are_told_by_place_and_files_outside_by_their_record():
    nodes = [Node("Corpus", files="sources/Corpus-1.json"), Node("Train"), Node("Score", key=None)]
    assert made_of(iter(nodes)) == {
        "Corpus": "Corpus/key",
        "Train": "Train/key",
        "Score": None,
        "Corpus files": "sources/Corpus-1.json",
    }

"""Keys: one text for one value; code counts without comments, docstrings and layout, helpers included."""

import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.pipeline import digests

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


@given(st.dictionaries(st.text(), json_values))
def test_key_order_does_not_matter(value):
    assert digests.canonical(value) == digests.canonical(dict(reversed(value.items())))


@given(json_values, json_values)
def test_different_values_have_different_texts(one, other):
    same = digests.canonical(one) == digests.canonical(other)
    assert same == (repr(_tagged(one)) == repr(_tagged(other)))


def _tagged(value):
    """Order-free and type-exact form of a JSON value."""
    if isinstance(value, dict):
        return "object", sorted((key, repr(_tagged(item))) for key, item in value.items())
    return [_tagged(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_does_not_know_is_no_key(value):
    with pytest.raises((ValueError, TypeError)):
        digests.digest(value)


SOURCE = '''"""A module."""
from shapes import sizes
from shapes.words import say


def area(side):
    """Square it."""
    # a comment
    return say(sizes.square(side))
'''
SQUARE = "def square(x):\n    return x * x\n"


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """Writes the modules of a package of shapes, and gives the digest of one; each in a folder of its own."""
    roots = []

    def digest_of(module: str = "areas", **modules: str) -> str:
        root = tmp_path / str(len(roots))
        roots.append(root)
        modules = {"areas": SOURCE, "sizes": SQUARE, "words": "def say(x):\n    return str(x)\n"} | modules
        for name, source in modules.items():
            file = root / "shapes" / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / "__init__.py").write_text('"""A package."""')
            file.write_text(source)
        (root / "shapes" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
        code = "import sys; sys.path.insert(0, sys.argv[1]); from videocap.pipeline import digests; "
        code += "print(digests.code_digest(f'shapes.{sys.argv[2]}'))"
        return subprocess.check_output([sys.executable, "-c", code, str(root), module], text=True).strip()

    return digest_of


def test_only_what_the_code_does_counts(shapes):
    before = shapes()
    assert shapes(areas=SOURCE.replace("Square it.", "Other words.").replace("a comment", "")) == before
    assert shapes(areas=SOURCE.replace('    """Square it."""\n', "")) == before
    assert shapes(areas=SOURCE.replace("(side)", "(\n    side,\n)")) == before
    assert shapes(areas=SOURCE.replace("sizes.square(side)", "sizes.square(side) + 1")) != before
    assert shapes(areas=SOURCE.replace("sizes.square(side)", "'sizes.square(side)'")) != before


def test_a_helpers_change_counts(shapes):
    before = shapes()
    assert shapes(sizes="def square(x):\n    return x ** 2\n") != before
    helped = SQUARE.replace("x * x", "times(x)")
    times = "def times(x):\n    return x * x\n"
    deep = shapes(sizes=f"from shapes.deep import times\n{helped}", deep=times)
    assert shapes(sizes=f"from shapes.deep import times\n{helped}", deep=times.replace("* x", "* 2")) != deep


def test_where_a_module_lies_and_what_it_is_called_does_not_count(shapes):
    before = shapes()
    moved = SOURCE.replace("from shapes import sizes", "from shapes.lengths import squares").replace(
        "sizes.", "squares."
    )
    moved = moved.replace("shapes.words", "shapes.a.said")
    said = "def say(x):\n    return str(x)\n"
    assert shapes("surfaces", surfaces=moved, **{"lengths.squares": SQUARE, "a.said": said}) == before
    relative = SOURCE.replace("from shapes import", "from . import").replace("from shapes.words", "from .words")
    assert shapes(areas=relative) == before
    assert shapes(areas=moved, **{"lengths.squares": SQUARE + "print()", "a.said": said}) != before


def test_which_module_a_name_means_counts(shapes):
    other = "def square(x):\n    return 4 * x\n"
    source = "from shapes import sizes, others\n\n\ndef area(x):\n    return sizes.square(x) - others.square(x)\n"
    before = shapes(areas=source, others=other)
    assert shapes(areas=source.replace("sizes, others", "others, sizes"), others=other) == before
    swapped = source.replace("sizes.square(x) - others.square(x)", "others.square(x) - sizes.square(x)")
    assert shapes(areas=swapped, others=other) != before
    assert shapes(areas=source, sizes=other, others=SQUARE) != before


@pytest.mark.parametrize(
    "use",
    [
        "def area(sizes):\n    return NAME.square(2)",
        "sizes = None\nprint(NAME)",
        "def area():\n    from math import pi as sizes\n    return NAME",
    ],
)
def test_a_name_that_means_something_else_too_stays(shapes, use):
    head = "from shapes import sizes\nfrom shapes import sizes as squares\n"
    assert shapes(areas=head + use.replace("NAME", "sizes")) != shapes(areas=head + use.replace("NAME", "squares"))


def test_a_circle_of_modules_has_digests_too(shapes):
    circle = {"sizes": "from shapes import areas\n" + SQUARE}
    before = shapes(**circle)
    assert shapes(**circle) == before
    assert shapes(sizes=circle["sizes"].replace("x * x", "x + x")) != before
    assert shapes("sizes", **circle) != shapes("sizes", areas=SOURCE + "NEW = 1\n", **circle)


def test_in_a_circle_it_does_not_matter_what_was_digested_before(shapes, tmp_path):
    circle = {"sizes": "from shapes import areas\n" + SQUARE, "other": "from shapes.sizes import square\n"}
    alone = {module: shapes(module, **circle) for module in ("areas", "sizes", "other")}
    code = "import sys; sys.path.insert(0, sys.argv[1]); from videocap.pipeline import digests\n"
    code += "print(*(digests.code_digest(f'shapes.{name}') for name in sys.argv[2:]))"
    for order in itertools.permutations(alone):
        command = [sys.executable, "-c", code, str(tmp_path / "0"), *order]
        found = subprocess.check_output(command, text=True).split()
        assert dict(zip(order, found, strict=True)) == alone


OTHER = "def square(x):\n    return 4 * x\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # which of two modules is meant by its whole name
        ("import shapes.sizes\nimport shapes.others\nprint(shapes.sizes.square(2))", None),
        # of two of one name the last one counts
        (
            "from shapes.sizes import square\nfrom shapes.others import square\n",
            "from shapes.others import square\nfrom shapes.sizes import square\n",
        ),
        (
            "from shapes.sizes import *\nfrom shapes.others import *\n",
            "from shapes.others import *\nfrom shapes.sizes import *\n",
        ),
    ],
)
def test_which_of_two_imports_counts(shapes, one, other):
    before = shapes(areas=one, others=OTHER)
    after = shapes(areas=other, others=OTHER) if other else shapes(areas=one, sizes=OTHER, others=SQUARE)
    assert before != after


def test_a_name_that_a_package_defines_itself_counts_though_a_module_is_called_so(shapes):
    source = "from shapes.flat import side\nprint(side)\n"
    modules = {"flat.side": "LENGTH = 1\n", "flat.__init__": "side = 1\n"}
    before = shapes(areas=source, **modules)
    assert shapes(areas=source, **modules | {"flat.__init__": "side = 2\n"}) != before
    assert shapes(areas=source, **modules | {"flat.side": "LENGTH = 2\n"}) != before


def test_what_a_package_imports_from_its_own_modules_counts(shapes):
    source, package = (
        "from shapes.flat import side\nprint(side)\n",
        {"flat.__init__": "from .sides import length as side\n"},
    )
    before = shapes(areas=source, **{"flat.sides": "length = 1\n"}, **package)
    assert shapes(areas=source, **{"flat.sides": "length = 2\n"}, **package) != before


def test_classes_of_config_do_not_count(shapes):
    source = "from shapes.config import SIDE\n" + SOURCE
    before = shapes(areas=source, config="SIDE = 1\n")
    assert shapes(areas=source, config="SIDE = 1\nNEW = 2\n") == before
    moved = source.replace("shapes.config", "shapes.flat.config")
    assert shapes(areas=moved, **{"flat.config": "SIDE = 1\n"}) == before


def test_what_a_package_itself_defines_counts_where_it_is_imported(shapes):
    source = "from shapes.flat import SIDE\n" + SOURCE
    before = shapes(areas=source, **{"flat.__init__": "SIDE = 1\n"})
    assert shapes(areas=source, **{"flat.__init__": "SIDE = 2\n"}) != before


def test_code_that_gives_the_same_results_goes_on_being_known(shapes, monkeypatch):
    monkeypatch.setitem(digests.SAME_RESULTS, "a" * 64, "b" * 64)
    monkeypatch.setattr(digests, "_code_digest", lambda module, above: ("a" * 64, 0))
    assert digests.code_digest("shapes.areas") == "b" * 64

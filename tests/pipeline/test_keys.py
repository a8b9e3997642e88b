"""Keys: one text for one value; code counts without comments, docstrings and layout, helpers included."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import keys

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


@given(st.dictionaries(st.text(), json_values))
def test_key_order_does_not_matter(value):
    assert keys.canonical(value) == keys.canonical(dict(reversed(value.items())))


@given(json_values, json_values)
def test_different_values_have_different_texts(one, other):
    same = keys.canonical(one) == keys.canonical(other)
    assert same == (repr(_tagged(one)) == repr(_tagged(other)))


def _tagged(value):
    """Order-free and type-exact form of a JSON value."""
    if isinstance(value, dict):
        return "object", sorted((key, repr(_tagged(item))) for key, item in value.items())
    return [_tagged(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_does_not_know_is_no_key(value):
    with pytest.raises((ValueError, TypeError)):
        keys.digest(value)


SOURCE = '''"""A module."""
from shapes import sizes


def area(side):
    """Square it."""
    # a comment
    return sizes.square(side)
'''


def digest_of(folder, source: str, helper: str = "def square(x):\n    return x * x\n") -> str:
    package = folder / "shapes"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "areas.py").write_text(source)
    (package / "sizes.py").write_text(helper)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pipeline import keys; "
    code += "print(keys.code_digest('shapes.areas'))"
    return subprocess.check_output([sys.executable, "-c", code, str(folder)], text=True).strip()


def test_only_what_the_code_does_counts(tmp_path):
    before = digest_of(tmp_path, SOURCE)
    assert digest_of(tmp_path, SOURCE.replace("Square it.", "Other words.").replace("a comment", "")) == before
    assert digest_of(tmp_path, SOURCE.replace('    """Square it."""\n', "")) == before
    assert digest_of(tmp_path, SOURCE.replace("(side)", "(\n    side,\n)")) == before
    assert digest_of(tmp_path, SOURCE.replace("sizes.square(side)", "sizes.square(side) + 1")) != before


def test_a_helpers_change_counts(tmp_path):
    before = digest_of(tmp_path, SOURCE)
    assert digest_of(tmp_path, SOURCE, "def square(x):\n    return x ** 2\n") != before


def test_classes_of_config_do_not_count(tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "config.py").write_text("SIDE = 1\n")
    before = digest_of(tmp_path, "from shapes.config import SIDE\n" + SOURCE)
    (tmp_path / "shapes" / "config.py").write_text("SIDE = 1\nNEW = 2\n")
    assert digest_of(tmp_path, "from shapes.config import SIDE\n" + SOURCE) == before

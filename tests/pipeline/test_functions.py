"""Functions by name are imported when they are asked for, and not before."""

import json
import sys

import pytest

from videocap.pipeline.functions import named


def test_a_function_is_found_by_its_module_and_name():
    assert named("json:dumps") is json.dumps
    assert named("videocap.pipeline.functions:named") is named


def test_its_module_is_imported_when_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "imported_late.py").write_text("def made():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "imported_late" not in sys.modules
    assert named("imported_late:made")() == 7
    monkeypatch.delitem(sys.modules, "imported_late")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("videocap.pipeline.nowhere:made", ModuleNotFoundError, "videocap.pipeline.nowhere"),
        ("json:dumpz", AttributeError, "dumpz"),
    ],
)
def test_what_is_not_there_is_named(name, error, says):
    with pytest.raises(error, match=says):
        named(name)

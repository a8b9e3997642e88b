"""Imports run one way: videocap → tasks → pipeline, extract, model; model → extract."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "extract": {"extract"},
    "model": {"model", "extract"},
    "tasks": {"pipeline", "extract", "model"},
    "videocap": {"tasks", "pipeline", "extract", "model"},
}
FILES = sorted(
    [*ROOT.glob("*.py"), *(path for name in ("pipeline", "extract", "model") for path in (ROOT / name).glob("*.py"))]
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path):
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add(node.module.split(".")[0])
    assert imported & set(MAY_IMPORT) <= MAY_IMPORT[package]
    if package in ("extract", "model"):
        assert "luigi" not in imported

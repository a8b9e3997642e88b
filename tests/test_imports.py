"""Imports run one way: videocap… → tasks → its config and table → pipeline, extract, model; model → extract."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "extract": {"extract"},
    "model": {"model", "extract"},
    "tasks": {"pipeline", "extract", "model"},
    "videocap": {"", "tasks", "pipeline", "extract", "model"},
}
FILES = sorted(
    [ROOT / "tasks.py", *(path for name in ("pipeline", "extract", "model") for path in (ROOT / name).rglob("*.py"))]
    + [path for path in (ROOT / "videocap").glob("*.py") if not path.is_symlink()]
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path):
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    tops = {name.split(".")[0] for name in imported}
    assert not tops & {"pipeline", "extract", "model", "tasks"}, "they are called videocap.…"
    ours = {name.split(".")[1] for name in imported if name.startswith("videocap.")}
    packages = {name if name in MAY_IMPORT else "" for name in ours}
    assert packages <= MAY_IMPORT[package], ours
    if package in ("extract", "model"):
        assert "luigi" not in tops


def test_a_fork_of_a_process_that_has_imported_all_stages_computes():
    """With `--workers`, tasks are forks of a process that has imported what they need, and done nothing with it."""
    code = """
import os, sys
from importlib import import_module
from videocap import tasks
for stage in tasks.Pipeline().experiment.order:
    if stage.makes:
        import_module(stage.makes.split(":")[0])
import torch
child = os.fork()
if child == 0:
    layer = torch.nn.Linear(500, 500)
    layer(torch.randn(500, 500) @ torch.randn(500, 500)).sum().backward()
    os._exit(7)
print(torch.cuda.is_initialized(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False 7\n", done.stderr

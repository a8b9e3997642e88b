"""Rules of the house that a machine can hold: imports run one way, at every level, and files stay small.

videocap/ → tasks.py → pipeline/, extract/, model/; model/ → extract/; inside of these as LAYERS says.
"""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from runs import ROOT

MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "extract": {"extract"},
    "model": {"model", "extract"},
    "tasks": {"pipeline", "extract", "model"},
    "videocap": {"", "tasks", "pipeline", "extract", "model"},
}
# What lies in a package, each row above those that it may import from.
LAYERS = {
    "pipeline": (
        "functions same_results",
        "config digests versions words",
        "view artifacts",
        "stores",
        "stages",
        "sharing run",
        "status how_made garbage recompute",
    ),
    "extract": ("paths device files json_files words", "config", "corpus", "video encoders shards", "toy features"),
    "model": ("config vocabulary frames words", "captioner scores report", "captions", "training"),
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


def modules(package: str) -> dict[str, set[str]]:
    """The modules of a package, each with those of the package that it imports, be it for types or in a function."""
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] == package and path.stem != "__init__"]
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in files}
    files = {".".join(("videocap", *(part for part in parts[path] if part != "videocap"))): path for path in files}
    imported = {}
    for name, path in files.items():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        imported[name] = names & files.keys()
    return imported


@pytest.mark.parametrize("package", LAYERS)
def test_folders_of_a_package_import_one_way(package):
    layers = [layer.split() for layer in LAYERS[package]]
    level = {name: number for number, layer in enumerate(layers) for name in layer}
    found = modules(package)
    # a module that lies in no folder and is not listed, such as that of a new stage, may import from all of them
    level |= {
        name.split(".")[2]: len(layers) for name in found if name.count(".") == 2 and name.split(".")[2] not in level
    }
    assert {name.split(".")[2] for name in found} == level.keys()
    for name, imported in found.items():
        mine = name.split(".")[2]
        others = {other.split(".")[2] for other in imported} - {mine}
        assert not {other for other in others if level[other] >= level[mine]}, name


@pytest.mark.parametrize("package", ["videocap", *LAYERS])
def test_no_modules_of_a_package_import_each_other_in_a_circle(package):
    TopologicalSorter(modules(package)).prepare()  # which raises CycleError


@pytest.mark.parametrize("package", LAYERS)
def test_folders_re_export_nothing_which_would_put_a_whole_folder_into_keys(package):
    for path in (ROOT / package).rglob("__init__.py"):
        (docstring,) = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_long_unless_it_says_why(path):
    """A longer one has a comment that begins with "long: " and gives the reason."""
    text = path.read_text()
    assert len(text.splitlines()) <= 300 or re.search(r"^# long: \w+ \w+ ", text, re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in FILES if "pipeline" in path.parts], ids=lambda path: path.stem)
def test_no_class_of_the_pipeline_has_many_roles(path):
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    methods = {one.name: sum(isinstance(part, ast.FunctionDef) for part in one.body) for one in classes}
    assert not {name: count for name, count in methods.items() if count > 20}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_asks_of_what_kind_a_stage_is(path):
    kinds = {"Stage", "Spec", "Pack", "Gather", "Declared", "ImportedSpec", "Result", "Shards", "Gathered"}
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            assert not kinds & {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)}


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

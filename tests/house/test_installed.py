"""One installed name: what is imported is `videocap`, from a wheel, too, and importing it changes nothing."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from project import Project
from runs import ROOT, TINY, environment

THEIRS = ("model", "tasks", "pipeline", "extract", "config")  # modules that a user may have, too


@pytest.fixture
def theirs(tmp_path) -> Path:
    """A folder of a user's own modules, which are called as ours are in a checkout."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in THEIRS:
        (folder / f"{name}.py").write_text("MINE = True\n")
    return folder


def open_to_all(folder: Path) -> bool:
    """Whether everybody may look into a folder and what this Python runs from."""
    places = {folder, *folder.parents, ROOT, *ROOT.parents, *(Path(path) for path in sys.path if path)}
    return all(place.stat().st_mode & 0o005 == 0o005 for place in places if place.is_dir())


def prints(python: Path | str, code: str, folder: Path, **env: str) -> str:
    command = [python, "-c", code]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


OURS = f"""
import {", ".join(THEIRS)}
assert all(module.MINE for module in ({", ".join(THEIRS)},))
from videocap import VideoCaptioner, open_store
from videocap.tasks import Pipeline
assert {{Pipeline.__module__, VideoCaptioner.__module__}} == {{"videocap.tasks", "videocap.captioner"}}
print(open_store.__module__)
"""


def test_a_users_own_modules_of_the_same_names_are_theirs_and_ours_are_found(theirs):
    assert prints(sys.executable, OURS, theirs) == "videocap\n"


def test_importing_it_changes_nothing_in_the_process():
    code = """
import logging, sys, warnings
import luigi, luigi.interface, luigi.worker
from luigi.setup_logging import InterfaceLogging

def state():
    loggers = {name: logging.getLogger(name).handlers[:] for name in ("", "videocap", "luigi", "luigi-interface")}
    levels = {name: logging.getLogger(name).level for name in loggers}
    options = {s: dict(luigi.configuration.get_config().items(s)) for s in luigi.configuration.get_config().sections()}
    worker = {name: value for name, value in vars(luigi.worker.Worker).items() if callable(value)}
    return [loggers, levels, options, worker, sys.excepthook, warnings.showwarning, vars(InterfaceLogging).copy()]

before = state()
import videocap
import videocap.tasks
from videocap import VideoCaptioner, main
assert state() == before
videocap.tasks.Pipeline()
assert state() == before
"""
    prints(sys.executable, code, ROOT)


@pytest.mark.parametrize("code", ["import videocap", "import videocap; videocap.main(['--help'])"])
def test_it_is_there_at_once(code):
    """Neither the package nor the command's help loads what takes long to load; benchmarks/start.py measures it."""
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(sorted(sys.modules))"
    loaded = set(eval(prints(sys.executable, code, ROOT).splitlines()[-1]))
    assert "videocap" in loaded
    assert not loaded & {"luigi", "pydantic", "rich", "jinja2", "tqdm", "numpy", "torch", "h5py"}


@pytest.mark.slow
def test_a_wheel_in_an_empty_environment_runs_all_of_it_from_anywhere(theirs, tmp_path):
    project = Project(tmp_path)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, "."]
    subprocess.run(build, cwd=project.folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"videocap", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    assert {"videocap/pipeline/stages/stage.py", "videocap/tasks.py", "videocap/configs/demo.toml"} <= set(names)
    tracked = subprocess.check_output(["git", "ls-files", "configs"], cwd=ROOT, text=True).split()
    assert {f"videocap/{name}" for name in tracked} <= set(names)

    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = (tmp_path / "empty" / "lib").glob("python*/site-packages")
    # what it requires, as it is installed here; where this checkout lies tells a .pth file, which does not count there
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")

    place = "import videocap.pipeline.digests as module; print(module.__file__)"
    assert prints(python, place, theirs).startswith(str(packages))
    assert prints(python, OURS, theirs) == "videocap\n"
    artifacts = tmp_path / "artifacts"

    def command(*arguments: str) -> subprocess.CompletedProcess:
        whole = [python.with_name("videocap"), *arguments]
        env = environment(artifacts)
        return subprocess.run(whole, cwd=theirs, env=env, capture_output=True, text=True, check=False)

    ran = command("run", "--override", TINY, "--workers", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith(f"\nResults: {artifacts / 'runs' / 'demo'}\n")
    rows = json.loads(command("status", "--json", "--override", TINY).stdout)
    assert {row["state"] for row in rows} == {"fresh"}
    luigi = [python, "-m", "luigi", "--module", "videocap.tasks", "Pipeline", "--override", TINY]
    again = subprocess.run(luigi, cwd="/", env=environment(artifacts), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert " ran " not in again.stdout
    wrong = command("run", "--override", "train.lrr=1")
    assert (wrong.returncode, wrong.stderr) == (2, "--override: train.lrr: unknown key; did you mean train.lr?\n")
    clip = next(artifacts.glob("ToyWorld/*/*/videos/*.mp4"))
    told = json.loads(command("caption", str(clip), "--json", "--override", TINY).stdout)
    assert told[0]["known"]
    # what a friend has: the folder, the wheel, a home without anything, and if possible another name
    given = tmp_path / "to a friend"
    assert command("export-model", str(given), "--override", TINY).returncode == 0
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    whole = [python.with_name("videocap"), "caption", "--model", given, clip, "--format", "jsonl"]
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 and open_to_all(tmp_path) else {}
    if other:
        os.chown(home, 65534, 65534)
    done = subprocess.run(whole, cwd=home, env=env, capture_output=True, text=True, check=False, **other)
    assert done.returncode == 0, done.stderr
    friends = json.loads(done.stdout)
    assert {name: friends[name] for name in ("caption", "effect")} == {n: told[0][n] for n in ("caption", "effect")}
    assert not friends["known"]
    for arguments in (["why", "Train", "--override", TINY], ["store", "ls"], ["store", "verify"], ["store", "gc"]):
        assert command(*arguments).returncode == 0, arguments
    assert sorted(path.name for path in theirs.iterdir() if path.name != "__pycache__") == sorted(
        f"{name}.py" for name in THEIRS
    )

"""A copy of the project, to be edited and run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from runs import ROOT, TINY, Run, environment


class Project:
    """A copy of the code, and what it made; or what the code here made, which is the same."""

    def __init__(self, folder: Path, made: Run | None = None):
        self.folder, self.artifacts = folder / "project", folder / "artifacts"
        if made:
            made.copied(self.artifacts)
        never = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")

        def left_out(place: str, names: list[str]) -> set[str]:
            return never(place, names) | ({"artifacts", "tests"} if Path(place) == ROOT else set())

        shutil.copytree(ROOT, self.folder, ignore=left_out, symlinks=True)

    def command(self, *arguments: str) -> tuple[int, str]:
        env = {**environment(self.artifacts), "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            env=env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def run(self, override: str = "") -> Run:
        done = self.command("luigi", "--module", "tasks", "Pipeline", "--override", f"{TINY} {override}")
        run = Run(*done, self.artifacts)
        assert run.status == 0, run.output
        return run

    def status(self) -> str:
        return self.command("videocap", "status", "--override", TINY)[1]

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new, 1))

    def move(self, old: str, new: str) -> None:
        """Move a module to another folder, or give it another name, and change all imports and names of it."""
        place = self.folder / new
        place.parent.mkdir(exist_ok=True)
        (place.parent / "__init__.py").touch()
        (self.folder / old).rename(place)
        (before, name), (after, other) = (self._dotted(one) for one in (old, new))
        line = re.compile(rf"^( *)from {re.escape(before)} import (.*\b{name}\b.*)$", re.MULTILINE)

        def moved(found: re.Match) -> str:
            names = [one for one in found[2].split(", ") if one != name]
            rest = f"{found[1]}from {before} import {', '.join(names)}\n" if names else ""
            return f"{rest}{found[1]}from {after} import {other}"

        for file in self.folder.rglob("*.py"):
            if not any(folder.is_symlink() for folder in (file, *file.parents)):
                text = file.read_text().replace(f"{before}.{name}", f"{after}.{other}")
                if line.search(text):
                    text = re.sub(rf"(?<![\w.]){name}\.(?=\w)", f"{other}.", line.sub(moved, text))
                file.write_text(text)

    @staticmethod
    def _dotted(file: str) -> tuple[str, str]:
        """The package of a module, and its name in that."""
        package, _, name = f"videocap.{file.removesuffix('.py').replace('/', '.')}".rpartition(".")
        return package, name

"""What `runs/<experiment>` shows: links to an experiment's newest results, replaced as a whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from videocap.pipeline.artifacts import publish
from videocap.pipeline.digests import digest


class Shown:
    """What one experiment shows in an artifacts folder.

    Args:
        root: the artifacts folder.
        name: of the experiment.
        payload: the folder of the results.
        texts: files beside them, by name.
    """

    def __init__(self, root: Path, name: str, payload: Path, texts: dict[str, str]):
        self.place, self.payload, self.texts = root / "runs" / name, payload, texts
        about = digest([payload.relative_to(root).as_posix(), texts])
        self.folder = self.place.with_name(f".{name}-{about[:16]}")

    def is_linked(self) -> bool:
        """Whether `runs/<name>` shows just this."""
        try:
            return os.readlink(self.place) == self.folder.name and self._is_there()
        except OSError:
            return False

    def link(self, pages: dict[str, str]) -> None:
        """Let `runs/<name>` show it.

        Args:
            pages: texts of files in place of the payload's; as they are when a run is first shown.
        """
        if not self._is_there():
            work = self.folder.with_name(f"{self.folder.name}.{publish.unique()}")
            work.mkdir(parents=True)
            for file in sorted(self.payload.iterdir()):
                if file.name not in pages:
                    (work / file.name).symlink_to(os.path.relpath(file, work))
            for file, text in (self.texts | pages).items():
                (work / file).write_text(text, encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)
            try:
                os.rename(work, self.folder)
            except OSError:  # another process was first
                shutil.rmtree(work)
        aside = self.place.with_name(f".{self.place.name}.{publish.unique()}")
        aside.symlink_to(self.folder.name)
        os.replace(aside, self.place)

    def _is_there(self) -> bool:
        try:
            return all((self.folder / name).read_text(encoding="utf-8") == text for name, text in self.texts.items())
        except (OSError, UnicodeDecodeError):
            return False

"""What a run says, in a file that a person can read: all of it, with tracebacks."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

from videocap.pipeline.artifacts import events

# How begins what Luigi says of what goes wrong outside of stages' own work.
WRONG = ("Uncaught exception", "Luigi unexpected framework error", "Will not run")


class LogFile(logging.Handler):
    """Lines in `logs/<process>.log` of the artifacts folder, once the run does something or something goes wrong.

    Forked workers append to the same file, each line in one write.
    """

    def __init__(self):
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.folder: Path | None = None
        """The artifacts folder."""
        self.waiting: list[str] = []
        self.process = os.getpid()

    @property
    def place(self) -> Path | None:
        """The file, if it is there."""
        place = self.folder and events.log_path(self.folder).with_suffix(".log")
        return place if place and place.exists() else None

    def emit(self, record: logging.LogRecord) -> None:
        self.waiting.append(self.format(record) + "\n")
        if os.getpid() != self.process:  # what waited is for the process that this one was forked from
            self.waiting, self.process = self.waiting[-1:], os.getpid()
        told = self.folder and events.log_path(self.folder)
        if told and (told.exists() or record.exc_info or record.getMessage().startswith(WRONG)):
            self._append(told.with_suffix(".log"))

    def _append(self, place: Path) -> None:
        lines, self.waiting = "".join(self.waiting), []
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, lines.encode(errors="backslashreplace"))
            finally:
                os.close(file)
        except OSError:  # a full disk is told by what needs it
            pass


@cache
def log_file() -> LogFile:
    return LogFile()

"""What a run says while it goes on: lines for a person on stderr, and all of it in a file that a person can read."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from luigi.setup_logging import InterfaceLogging
from tqdm import tqdm

from pipeline.artifacts import events as runlog

LOGGERS = ("videocap", "luigi", "luigi-interface")
# How begins what Luigi says of a luigid that does not answer, and of what goes wrong outside of stages' own work.
CONNECTING = "Failed connecting to remote scheduler"
WRONG = ("Uncaught exception", "Luigi unexpected framework error", "Will not run")


class Terminal(logging.Handler):
    """Lines on stderr: ours, and Luigi's from the level of its option `--log-level` on, with their tracebacks.

    Progress bars of this process make way. Where stderr is no terminal, each line begins with the time.
    """

    def __init__(self):
        super().__init__()
        self.least = logging.CRITICAL
        """Of Luigi's lines."""
        self.unexpected: list[str] = []
        """What went wrong outside of stages."""

    def emit(self, record: logging.LogRecord) -> None:
        text, error = record.getMessage(), record.exc_info and record.exc_info[1]
        if record.name == "videocap":
            shown = record.levelno >= logging.INFO
        else:
            shown = record.levelno >= self.least
            if shown and error:
                text = self.format(record)
            elif text.startswith((CONNECTING, *WRONG)):
                shown, text = True, _in_short(text, error)
                if text not in self.unexpected:
                    self.unexpected.append(text)
        if shown:
            try:
                plain = not sys.stderr.isatty()
                # another process may have a bar on the terminal's last line
                tqdm.write(f"{time.strftime('%H:%M:%S')} {text}" if plain else f"\r\033[K{text}", file=sys.stderr)
                sys.stderr.flush()
            except (OSError, ValueError):  # nobody listens any more
                pass


def _in_short(text: str, error: BaseException | None) -> str:
    if text.startswith(CONNECTING):
        return f"{text.replace(CONNECTING, 'no luigid answers at')}: see that it runs, and where; trying again"
    if error is None:  # of an error in `complete` or `requires` there is a traceback in the text
        return f"failed: {text.strip().splitlines()[-1]}"
    return f"failed: {' '.join(str(error).split()) or type(error).__name__}"


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
        place = self.folder and runlog.log_path(self.folder).with_suffix(".log")
        return place if place and place.exists() else None

    def emit(self, record: logging.LogRecord) -> None:
        self.waiting.append(self.format(record) + "\n")
        if os.getpid() != self.process:  # what waited is for the process that this one was forked from
            self.waiting, self.process = self.waiting[-1:], os.getpid()
        events = self.folder and runlog.log_path(self.folder)
        if events and (events.exists() or record.exc_info or record.getMessage().startswith(WRONG)):
            self._append(events.with_suffix(".log"))

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
def terminal() -> Terminal:
    return Terminal()


@cache
def log_file() -> LogFile:
    return LogFile()


def listen() -> None:
    """Let what this project says be heard, and what Python's warnings say in one line each."""
    _attach("videocap", logging.DEBUG)
    warnings.showwarning = _warn


def _warn(message: Warning | str, category: type[Warning], *_place: object) -> None:
    level = logging.WARNING if issubclass(category, UserWarning) else logging.DEBUG
    runlog.LOG.log(level, "warning: %s", " ".join(str(message).split()))


def _attach(name: str, level: int) -> None:
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.propagate = False
    for handler in (terminal(), log_file()):
        if handler not in logger.handlers:
            logger.addHandler(handler)


def _configure(cls: type, options: Any) -> bool:
    """In place of Luigi's own, where no file and no section of a luigi.cfg configures logging."""
    terminal().least = getattr(logging, options.log_level, logging.CRITICAL)
    for name in LOGGERS:
        _attach(name, logging.DEBUG if name == "videocap" else min(logging.WARNING, terminal().least))
    return True


def replace_luigis() -> None:
    """Have Luigi set up logging this way."""
    InterfaceLogging._default = classmethod(_configure)


def duration(seconds: float) -> str:
    """A time in words, as precise as a person needs."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"

"""What a run says while it goes on: lines for a person on stderr."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from functools import cache
from typing import Any

from luigi.setup_logging import InterfaceLogging
from tqdm import tqdm

from videocap.pipeline.artifacts import events
from videocap.pipeline.run.log_file import WRONG, log_file

LOGGERS = ("videocap", "luigi", "luigi-interface")
CONNECTING = "Failed connecting to remote scheduler"  # how begins what Luigi says of a luigid that does not answer


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


@cache
def terminal() -> Terminal:
    return Terminal()


def listen() -> None:
    """Let what this project says be heard, and what Python's warnings say in one line each."""
    _attach("videocap", logging.DEBUG)
    warnings.showwarning = _warn


def _warn(message: Warning | str, category: type[Warning], *_place: object) -> None:
    level = logging.WARNING if issubclass(category, UserWarning) else logging.DEBUG
    events.LOG.log(level, "warning: %s", " ".join(str(message).split()))


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

"""How a `luigi` command begins and ends: what it is registered as, its last lines, and its status."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import luigi
import luigi.interface
import luigi.worker
from luigi.cmdline_parser import CmdlineParser

from videocap.pipeline import words
from videocap.pipeline.artifacts import events, jobs
from videocap.pipeline.config import ConfigError
from videocap.pipeline.run import log_file, terminal
from videocap.pipeline.run.summary import summary
from videocap.pipeline.stages.declared import code_changed
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.failures import described

UNEXPLAINED = "failed: no stage says why; a process may have been stopped, or have run out of memory"


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


def is_asked_for(root: luigi.Task) -> bool:
    """Whether the `luigi` command names this task: it is no part of another, and no notebook or test made it."""
    parser = CmdlineParser.get_instance()
    return parser is not None and parser.known_args.root_task == root.task_family


def refuse(root: luigi.Task, error: ConfigError | OSError) -> NoReturn:
    """If the `luigi` command asks for this task, say what is wrong with it and end with status 2; else raise."""
    if is_asked_for(root):
        print(error, file=sys.stderr)
        sys.exit(2)
    raise error


def begin(
    root: luigi.Task,
    experiments: Sequence[Experiment],
    results: Callable[[], str],
    partial: Callable[[], str] = lambda: "",
) -> None:
    """If the `luigi` command asks for this task, register its experiments, and report at the end of the command.

    Args:
        results: what a person sees if all is done.
        partial: what, if not.
    """
    if not is_asked_for(root):
        return
    terminal.listen()
    log_file.log_file().folder = experiments[0].artifacts.root
    events.LOG.debug("luigi %s", shlex.join(sys.argv[1:]))
    share_cores()
    try:
        for experiment in experiments:
            jobs.enter(experiment.artifacts, experiment.token, experiment.made_of)
    except OSError as error:
        if not root.complete():  # a folder that can't be written may hold all that is asked for
            refuse(root, error)
    report_at_exit(experiments, root.complete, results, partial)


def log_failure(experiment: Experiment, task: str, exception: Exception) -> None:
    """Let the last lines say that a task which only shows results has failed."""
    events.write_failure(experiment.artifacts.root, task, described(exception), showing=True, batch_sizes=[])


def share_cores() -> None:
    """Threads for this process: all cores with one worker, an equal share in each of several."""
    workers = luigi.interface.core().workers
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // workers)))


def report_at_exit(
    experiments: Sequence[Experiment], done: Callable[[], bool], results: Callable[[], str], partial: Callable[[], str]
) -> None:
    """At the end of a `luigi` command say what ran, what failed and where the results lie, and set its status.

    The status is 0 only if all asked for is `done` and nothing failed; Luigi alone ends good runs on a luigid with 10
    or 25. It is 130 after Ctrl-C, 143 after SIGTERM. Forked workers don't come here: multiprocessing ends them without
    exit handlers.
    """
    process, interrupts, hook = os.getpid(), [], sys.excepthook

    def note_interrupt(kind: type[BaseException], *rest: Any) -> None:
        if issubclass(kind, KeyboardInterrupt) and os.getpid() == process:
            interrupts.append(kind)
        else:
            hook(kind, *rest)

    def stop(number: int, _frame: object) -> None:
        if os.getpid() == process:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def last_words() -> None:
        if os.getpid() != process:
            return
        good, by = False, interrupts and ("SIGTERM" if interrupts[0] is Terminated else "Ctrl-C")
        try:
            for child in multiprocessing.active_children() if interrupts else ():
                child.join(5)  # what it has to say comes first
            for experiment in experiments:
                experiment.look_again()
            told = events.read(experiments[0].artifacts.root)
            good = done() and not any(event["event"] == "failed" for event in told)
            if good:
                for experiment in experiments:
                    jobs.leave(experiment.artifacts, experiment.token)
            reached, warnings, changed = {}, [], {}
            for experiment in experiments:
                warnings += _warnings(experiment)
                changed[_code_changed(experiment)] = True
                for stage, complete in _reached(experiment, good).items():
                    reached[stage] = reached.get(stage, True) and complete
            lines = summary([*told, *warnings], reached, filter(None, changed))
            if interrupts:
                lines = [line for line in lines if not line.endswith(words.DIED)]
            elif not good and not any(line.startswith("failed: ") for line in lines):
                lines += terminal.terminal().unexpected or [UNEXPLAINED]
            undone = f"{f'Stopped by {by}' if by else 'Not done'}. The same command goes on where this run stopped."
            end = results() if good else partial() + undone
            events.LOG.debug("%s", "\n".join(["", *lines, end]))
            log = log_file.log_file().place
            print("\n".join(["", *lines, end if good or by or not log else f"{end} Its log: {log}"]))
        except Exception as error:  # as of artifacts that have become unreadable
            events.LOG.debug("no last words", exc_info=True)
            print(f"failed: {type(error).__name__}: {error}. Its log: {log_file.log_file().place}")
            good = False
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if good else 143 if by == "SIGTERM" else 130 if by else 1)

    sys.excepthook = note_interrupt
    signal.signal(signal.SIGTERM, stop)
    atexit.register(last_words)


def _code_changed(experiment: Experiment) -> str:
    """A line that names the stages whose code has changed since their results were made, if there are any."""
    return words.code_changed([stage.name for stage in experiment.nodes() if code_changed(stage)])


def _warnings(experiment: Experiment) -> list[dict]:
    """What each stage has to say in every run, also in one in which it did nothing."""
    told = [(stage.name, text) for stage in experiment.nodes() for text in stage.product.warnings()]
    return [{"event": "warning", "stage": stage, "warning": text} for stage, text in told]


def _reached(experiment: Experiment, done: bool) -> dict[str, bool]:
    """Whether each stage is complete; shards are if the stage is that gathers them."""
    return {stage.name: done or experiment.node(stage.asked()).product.done for stage in experiment.nodes()}

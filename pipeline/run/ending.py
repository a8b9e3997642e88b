"""What a person at the terminal sees of a `luigi` run: options that are absent set well, and its last lines."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import luigi
import luigi.interface
import luigi.worker
from luigi.cmdline_parser import CmdlineParser
from luigi.scheduler import FAILED
from luigi.task_register import TaskClassNotFoundException

from pipeline.artifacts import events as runlog
from pipeline.artifacts import jobs
from pipeline.config import ConfigError
from pipeline.run import terminal
from pipeline.stages.experiment import Experiment
from pipeline.stages.pack import Pack
from pipeline.stages.stage import Stage

DEFAULTS = {
    # luigi.cfg is found only in the current folder, and Luigi's own lock refuses a second run of one command line
    "core": {"no_lock": "true", "log_level": "CRITICAL"},
    # an embed pack that finds its frames gone decodes them itself; who waits on a luigid asks it every 1 to 2 seconds,
    # not 1 to 6: within configs/luigid.cfg's delays a pack must be taken over from a process that died
    "worker": {"check_unfulfilled_deps": "false", "wait_jitter": "1"},
    "retcode": {
        "already_running": "10",
        "missing_data": "20",
        "not_run": "25",
        "task_failed": "30",
        "scheduling_error": "35",
        "unhandled_exception": "40",
    },
}


UNEXPLAINED = "failed: no stage says why; a process may have been stopped, or have run out of memory"


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


def set_luigi_defaults() -> None:
    """Set the Luigi options that neither a luigi.cfg nor the command line gives."""
    config = luigi.configuration.get_config()
    for section, options in DEFAULTS.items():
        for option, value in options.items():
            if not config.has_option(section, option):
                config.set(section, option, value)
    remote = any(argument.startswith("--scheduler-") for argument in sys.argv)
    named = any(
        config.has_option("core", name) for name in ("scheduler_host", "scheduler_url", "default-scheduler-host")
    )
    if not remote and not named and not config.has_option("core", "local_scheduler"):
        config.set("core", "local_scheduler", "true")
    terminal.replace_luigis()
    sys.excepthook = _end_quietly
    luigi.worker.Worker._keep_alive = _stay
    luigi.worker.Worker._get_work = _get_work
    luigi.worker.Worker._create_task_process = _create_task_process


_HOOK = sys.excepthook


def _end_quietly(kind: type[BaseException], error: BaseException, *rest: Any) -> None:
    """In place of a traceback that is nobody's business."""
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped by Ctrl-C.", file=sys.stderr)
    elif issubclass(kind, TaskClassNotFoundException):
        told = str(error).partition("Did you mean")[0].partition("Candidates")[0].strip()
        print(f"{told} What there is to ask for: Pipeline, Table", file=sys.stderr)
    else:
        _HOOK(kind, error, *rest)


def _stay(worker: luigi.worker.Worker, response: luigi.worker.GetWorkResponse) -> bool:
    """Whether a worker that gets no task now waits for one: on a luigid while another process works for it, too.

    Luigi would leave at once, with features half done, or with its option `keep_alive` wait for what has failed.
    """
    stays = not scheduled_locally() and worker.run_succeeded and response.n_pending_tasks > 0
    if stays and not response.running_tasks and not hasattr(worker, "told"):
        worker.told = True
        runlog.LOG.warning(
            "waiting for what failed in another process, until the luigid hands it out again (its retry_delay)"
        )
    return stays


_GET_WORK = luigi.worker.Worker._get_work


def _get_work(worker: luigi.worker.Worker) -> luigi.worker.GetWorkResponse:
    """The next task, but none that has failed in this process: that goes back, for others to try.

    A luigid hands out what failed again after its retry_delay. Where that is short, a process in which many packs fail
    would be handed the first of them again before the last one had failed, without end.
    """
    returned = set()
    while True:
        response = _GET_WORK(worker)
        task = response.task_id
        last = {} if worker.run_succeeded else {known.task_id: status for known, status, _ in worker._add_task_history}
        if task is None or last.get(task) != FAILED:
            return response
        worker._scheduler.add_task(worker=worker._id, task_id=task, status=FAILED, runnable=False)
        if task in returned:  # nothing else is left
            return response._replace(task_id=None)
        returned.add(task)


_CREATE = luigi.worker.Worker._create_task_process


def _create_task_process(worker: luigi.worker.Worker, task: luigi.Task) -> luigi.worker.TaskProcess:
    """Import what a task that is to be forked (with `--workers`) needs: each fork would import torch anew, in 2 s.

    Importing is all that this process does with it. The only threads that starts are NumPy's, which survive forks.
    """
    process = _CREATE(worker, task)
    if process.use_multiprocessing and isinstance(task, Stage) and task.makes:
        with suppress(Exception):  # the fork meets it, too, and reports it
            task.function()
    return process


def scheduled_locally() -> bool:
    return luigi.interface.core().local_scheduler


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
    terminal.log_file().folder = experiments[0].artifacts.root
    runlog.LOG.debug("luigi %s", shlex.join(sys.argv[1:]))
    share_cores()
    try:
        for experiment in experiments:
            jobs.enter(experiment)
    except OSError as error:
        if not root.complete():  # a folder that can't be written may hold all that is asked for
            refuse(root, error)
    report_at_exit(experiments, root.complete, results, partial)


def log_failure(experiment: Experiment, task: str, exception: Exception) -> None:
    """Let the last lines say that a task which only shows results has failed."""
    if isinstance(exception, IsADirectoryError | FileExistsError):
        place = exception.filename2 or exception.filename
        reason = f"the results can't be shown: {place} is in the way, which no run made; move it away and run again"
    elif isinstance(exception, OSError):
        reason = f"the results can't be shown ({exception}): see whether there is room, and who may write"
    else:
        reason = str(exception) if isinstance(exception, ValueError) else f"{type(exception).__name__}: {exception}"
    runlog.write_failure(experiment.artifacts.root, task, reason)


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
                experiment.forget()
            events = runlog.read(experiments[0].artifacts.root)
            good = done() and not any(event["event"] == "failed" for event in events)
            if good:
                for experiment in experiments:
                    jobs.leave(experiment)
            reached, warnings, changed = {}, [], {}
            for experiment in experiments:
                warnings += _warnings(experiment)
                changed[code_changed(experiment)] = True
                for stage, complete in _reached(experiment, good).items():
                    reached[stage] = reached.get(stage, True) and complete
            lines = runlog.summary([*events, *warnings], reached, filter(None, changed))
            if interrupts:
                lines = [line for line in lines if not line.endswith(runlog.DIED)]
            elif not good and not any(line.startswith("failed: ") for line in lines):
                lines += terminal.terminal().unexpected or [UNEXPLAINED]
            undone = f"{f'Stopped by {by}' if by else 'Not done'}. The same command goes on where this run stopped."
            end = results() if good else partial() + undone
            runlog.LOG.debug("%s", "\n".join(["", *lines, end]))
            log = terminal.log_file().place
            print("\n".join(["", *lines, end if good or by or not log else f"{end} Its log: {log}"]))
        except Exception as error:  # as of artifacts that have become unreadable
            runlog.LOG.debug("no last words", exc_info=True)
            print(f"failed: {type(error).__name__}: {error}. Its log: {terminal.log_file().place}")
            good = False
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if good else 143 if by == "SIGTERM" else 130 if by else 1)

    sys.excepthook = note_interrupt
    signal.signal(signal.SIGTERM, stop)
    atexit.register(last_words)


def code_changed(experiment: Experiment) -> str:
    """A line that names the stages whose code has changed since their results were made, if there are any."""
    changed = [stage.__name__ for stage in experiment.order if stage.of(experiment).code_changed()]
    cure = "raise their `version` in tasks.py if the results are to change"
    return f"code changed since, not rerun: {', '.join(changed)} ({cure})" if changed else ""


def _warnings(experiment: Experiment) -> list[dict]:
    """What each stage has to say in every run, also in one in which it did nothing."""
    stages = [stage.of(experiment) for stage in experiment.order]
    return [{"event": "warning", "stage": s.name, "reason": text} for s in stages for text in s.warnings()]


def _reached(experiment: Experiment, done: bool) -> dict[str, bool]:
    """Whether each stage is complete; packs are if the stage behind them, which gathers them, is."""
    reached, behind = {}, done
    for stage in reversed(experiment.order):
        if not issubclass(stage, Pack):
            behind = done or stage.of(experiment).complete()
        reached[stage.__name__] = behind
    return dict(reversed(reached.items()))

"""What is changed of Luigi within a `luigi` command: options that are absent, its worker, its messages, last words.

Importing this changes nothing: `prepare` does, in a process that is a `luigi` command.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import luigi
import luigi.interface
import luigi.worker
from luigi.scheduler import FAILED
from luigi.task_register import TaskClassNotFoundException

from videocap.pipeline.artifacts import events
from videocap.pipeline.run import terminal

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


def prepare() -> None:
    """If this process is a `luigi` command, set what its configuration leaves open, and let it end in few words.

    To be called where the root tasks are defined: Luigi reads its options once it has imported them. A notebook or a
    program that imports them is left as it is.
    """
    if "luigi.cmdline" not in sys.modules:
        return
    _set_defaults()
    terminal.replace_luigis()
    sys.excepthook = _end_quietly
    luigi.worker.Worker._keep_alive = _stay
    luigi.worker.Worker._get_work = _get_work
    luigi.worker.Worker._create_task_process = _create_task_process


def _set_defaults() -> None:
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
        events.LOG.warning(
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
    if process.use_multiprocessing and hasattr(task, "preload"):
        with suppress(Exception):  # the fork meets it, too, and reports it
            task.preload()
    return process


def scheduled_locally() -> bool:
    return luigi.interface.core().local_scheduler

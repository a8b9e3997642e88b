"""What a run would do and why, from the same keys and completeness checks that the scheduler uses."""

from __future__ import annotations

from typing import Any

from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.gather import Gather
from videocap.pipeline.stages.pack import Pack
from videocap.pipeline.stages.reasons import UNREAD, Reason
from videocap.pipeline.stages.stage import Stage


def status(experiment: Experiment) -> list[dict[str, Any]]:
    """The state of each stage, in order.

    Returns:
        [{"stage", "state", "will_run", "may_run", "reasons", "key", "made", "size", "code_changed", "warnings"}], for
        packs with "ahead" (see `Pack.amount`), for gathers with "failures" (see `Gather.failures`). States: `fresh`;
        `missing`, never made; `stale`, made under another key; `dropped`, gone but not needed. A stage behind one that
        runs `may_run`: its key is known only then, and may turn out to be that of a result there is. `made` is when
        the result, or else the nearest earlier one, was made (seconds since 1970), `size` its bytes.
    """
    needed = experiment.needed()
    return [_row(kind.of(experiment), needed) for kind in experiment.order]


def _row(stage: Stage, needed: dict[type[Stage], bool]) -> dict[str, Any]:
    todo = stage.todo()
    asked = needed.get(stage.gather if isinstance(stage, Pack) else type(stage))
    may = asked is not None and todo is not False
    nearest = stage.nearest() if may else None
    if may:
        state = "stale" if nearest else "missing"
    else:
        state = "dropped" if todo is not False or stage.dropped() else "fresh"
    row = {
        "stage": stage.name,
        "state": state,
        "will_run": may and bool(asked and todo),
        "may_run": may,
        "reasons": stage.reasons() if may else [],
        "key": stage.key(),
        "made": stage.made() or (nearest and nearest.created),
        "size": stage.size(),
        "code_changed": stage.code_changed(),
        "warnings": stage.warnings(),
    }
    if isinstance(stage, Pack):
        row["ahead"] = stage.amount(stage.ahead() or [])
    if isinstance(stage, Gather):  # tables and manifests are read only if something failed
        row["failures"] = stage.failures() if row["warnings"] and stage.ready() else []
    return row


def why(experiment: Experiment, stage: Stage) -> list[Reason]:
    """The reasons of a stage; behind an input that changed or is waited for, as "because", those of its stage.

    Each cause is told once, where it is met first.
    """
    kinds = {kind.__name__: kind for kind in experiment.order}
    told: set[tuple] = set()

    def behind(found: list[Reason]) -> list[Reason]:
        deeper = []
        for reason in found:
            name, _, part = reason["field"].partition(":")
            because: list[Reason] = []
            if reason["what"] == "input" and name in kinds:
                cause = (name, reason["new"] and reason["old"])
                if cause in told:
                    continue
                told.add(cause)
                other = kinds[name].of(experiment)
                if reason["new"] is None:
                    because = other.reasons()
                elif reason["old"] is not None and reason["new"] != UNREAD:
                    because = other.since(part, reason["old"])
            deeper.append(reason | ({"because": behind(because)} if because else {}))
        return deeper

    return behind(stage.reasons())

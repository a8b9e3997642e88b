"""What a run would do and why, from the same keys and completeness checks that the scheduler uses."""

from __future__ import annotations

from typing import Any

from videocap.pipeline.stages.declared import Declared, code_changed
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.reasons import UNREAD, Reason


def status(experiment: Experiment) -> list[dict[str, Any]]:
    """The state of each stage, in order.

    Returns:
        [{"stage", "state", "will_run", "may_run", "reasons", "key", "made", "size", "code_changed", "warnings"}], of
        specs with "ahead" (see `Spec.amount`), of gathers with "failures" (see `Rows.failures`). States: `fresh`;
        `missing`, never made; `stale`, made under another key; `dropped`, gone but not needed. A stage behind one that
        runs `may_run`: its key is known only then, and may turn out to be that of a result there is. `made` is when
        the result, or else the nearest earlier one, was made (seconds since 1970), `size` its bytes.
    """
    needed = experiment.needed()
    return [_row(stage, needed) for stage in experiment.nodes()]


def _row(stage: Declared, needed: dict[type[Declared], bool]) -> dict[str, Any]:
    product = stage.product
    todo, asked = product.todo(), needed.get(stage.asked())
    may = asked is not None and todo is not False
    nearest = product.nearest() if may else None
    if may:
        state = "stale" if nearest else "missing"
    else:
        state = "dropped" if todo is not False or product.dropped() else "fresh"
    return {
        "stage": stage.name,
        "state": state,
        "will_run": may and bool(asked and todo),
        "may_run": may,
        "reasons": product.reasons() if may else [],
        "key": product.key,
        "made": product.made or (nearest and nearest.created),
        "size": product.size,
        "code_changed": code_changed(stage),
        "warnings": list(product.warnings()),
        **product.about(),
    }


def why(experiment: Experiment, stage: Declared) -> list[Reason]:
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
                    because = other.product.reasons()
                elif reason["old"] is not None and reason["new"] != UNREAD:
                    because = other.product.since(part, reason["old"])
            deeper.append(reason | ({"because": behind(because)} if because else {}))
        return deeper

    return behind(stage.product.reasons())

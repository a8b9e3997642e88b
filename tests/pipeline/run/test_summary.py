"""The summary of a run says what happened, a line a stage, then warnings and failures; also of `ending`."""

from videocap.pipeline.artifacts import events as log
from videocap.pipeline.run.summary import summary
from videocap.pipeline.stages.failures import described


def event(kind, stage, **detail):
    return {"event": kind, "stage": stage, **detail}


def failed(stage, reason, **detail):
    about = {"error": described(ValueError(reason)), "artifacts": "/some/where", "batch_sizes": []}
    return event("failed", stage, **about, **detail)


def test_each_stage_has_one_line_and_failures_come_last():
    events = [
        event("start", "Corpus"),
        event("ran", "Corpus", seconds=1.0),
        event("warning", "Corpus", warning="one left out"),
        event("ran", "DecodeShard", seconds=1.0, packs=2),
        event("ran", "DecodeShard", seconds=2.0, packs=2),
        event("start", "Train"),
        failed("Train", "no memory"),
    ]
    stages = {"World": True, "Corpus": True, "DecodeShard": True, "Train": False, "Score": False}
    assert [" ".join(line.split()) for line in summary(events, stages)] == [
        "World reused",
        "Corpus ran 1.0 s",
        "DecodeShard ran 2 shards, 3.0 s",
        "Train failed",
        "Score not reached",
        "warning: Corpus: one left out",
        "failed: Train: no memory",
    ]


def test_a_gather_that_waited_for_what_failed_under_another_experiment_did_not_die():
    events = [
        event("start", "FrameFeatures", experiment="row-1", waits=True),
        failed("DecodeShard", "no such device", experiment="row-2"),
    ]
    lines = summary(events, {"DecodeShard": False, "FrameFeatures": False})
    assert [line for line in lines if line.startswith("failed")] == ["failed: DecodeShard of row-2: no such device"]


def test_a_stage_whose_process_died_is_named():
    lines = summary([event("start", "Train")], {"Train": False})
    assert "not finished" in lines[0]
    assert lines[-1].startswith("failed: Train: stopped in the middle")


def test_stages_of_several_experiments_are_counted_and_their_failures_named():
    events = [
        event("ran", "Train", seconds=1.0, experiment="row-1"),
        event("ran", "Train", seconds=2.0, experiment="row-2"),
        failed("Score", "no memory", experiment="row-2"),
    ]
    lines = [" ".join(line.split()) for line in summary(events, {"Train": True, "Score": False})]
    assert lines == ["Train ran 2 times, 3.0 s", "Score failed", "failed: Score of row-2: no memory"]
    events.append(event("start", "Train", experiment="row-3"))
    lines = [" ".join(line.split()) for line in summary(events, {"Train": False, "Score": False})]
    assert lines[0] == "Train not finished 2 times, 3.0 s"
    assert lines[-1].startswith("failed: Train of row-3: stopped in the middle"), (
        "though others ran, and another failed"
    )


def test_what_was_written_is_told_as_it_was_meant(tmp_path):
    reasons = [{"what": "config", "field": "train.lr", "old": 0.1, "new": 0.2}]
    events = [
        event("start", "Train", reasons=reasons, experiment="demo"),
        event("warning", "Train", warning=["b", "a"], tells="json:dumps", experiment="demo"),
        event("ran", "Train", seconds=2.5, experiment="demo"),
        event("start", "Score", reasons=[], experiment="demo"),
        failed("Score", "no memory", experiment="demo"),
    ]
    for one in events:
        log.write(tmp_path, one["event"], one["stage"], **{k: v for k, v in one.items() if k not in ("event", "stage")})
    stages = {"Train": True, "Score": False, "Report": False}
    lines = summary(log.read(tmp_path), stages, ["code changed since, not rerun: Corpus"])
    assert lines == summary(events, stages, ["code changed since, not rerun: Corpus"])
    assert [" ".join(line.split()) for line in lines] == [
        "Train ran 2.5 s train.lr: 0.1 → 0.2",
        "Score failed",
        "Report not reached",
        "code changed since, not rerun: Corpus",
        'warning: Train: ["b", "a"]',
        "failed: Score: no memory",
    ]


def test_the_same_warning_is_told_once():
    events = [event("warning", "Corpus", warning="one left out")] * 3 + [event("ran", "Corpus", seconds=1.0)]
    lines = summary(events, {"Corpus": True})
    assert [line for line in lines if line.startswith("warning")] == ["warning: Corpus: one left out"]

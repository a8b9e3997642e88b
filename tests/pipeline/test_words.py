"""What is known is told in words: durations, reasons, items that failed, and the events of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.pipeline import words
from videocap.pipeline.stages.failures import described
from videocap.pipeline.stages.reasons import UNREAD


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5_000, "83 min"), (9_000, "2 h 30 min")]
)
def test_times_are_as_precise_as_a_person_needs(seconds, said):
    assert words.duration(seconds) == said


@given(st.text())
def test_nothing_that_a_terminal_would_obey_is_printed(text):
    shown = words.printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_an_amount_is_told_in_items_rows_and_bytes():
    amount = {"items": 8, "rows": 160, "bytes": 81_920}
    assert words.amount(amount, ("videos", "rows")) == "8 videos (160 rows, 81.9 kB)"


def reason(what: str, field: str, old=None, new=None, **more) -> dict:
    return {"what": what, "field": field, "old": old, "new": new, **more}


REASONS = [
    (reason("config", "train.lr", 0.1, 0.2), "train.lr: 0.1 → 0.2"),
    (reason("config", "aspects.use", ["effect"], []), "aspects.use: ['effect'] → []"),
    (reason("input", "Corpus:videos.train.json", "a", "b"), "Corpus:videos.train.json changed"),
    (reason("input", "Corpus:videos.train.json", None, "b"), "Corpus:videos.train.json changed"),
    (reason("input", "Train", "a", UNREAD), "Train is no longer read"),
    (reason("input", "FrameFeatures:train", "a", None), "waits for FrameFeatures"),
    (reason("source", "videos/a.mp4", None, "1"), "videos/a.mp4 is new"),
    (reason("source", "videos/a.mp4", "1", None), "videos/a.mp4 is gone"),
    (reason("source", "videos/a.mp4", "1", "2"), "videos/a.mp4 is changed"),
    (reason("source", "files", unread=["a", "b"]), "2 files new, touched or moved (a, b): will be read"),
    (reason("failures", "FrameFeatures", 0, 3), "3 items failed, more than are allowed"),
    (reason("items", "EmbedFramesShard", 5, 8), "3 of 8 items are not held"),
    (
        reason("items", "FrameFeatures:train", 4, 6, added=["a", "b", "c", "d"], gone=[]),
        "FrameFeatures:train: 4 new (a, b, c, …), 0 gone",
    ),
    (reason("code", "code", "a", "b"), "code changed"),
    (reason("version", "version", 1, 2), "version changed"),
    (reason("version", "DecodeShard", 1, 2), "version of DecodeShard changed"),
]


@pytest.mark.parametrize(("given", "said"), REASONS, ids=[said for _, said in REASONS])
def test_a_reason_is_told_in_a_few_words(given, said):
    assert words.reason(given) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], ""),
        ([reason("code", "code", "a", "b")], "code changed"),
        ([reason("config", f"train.{name}", 0, 1) for name in "abc"], "train.a: 0 → 1; train.b: 0 → 1; train.c: 0 → 1"),
        (
            [reason("config", f"train.{name}", 0, 1) for name in "abcde"],
            "train.a: 0 → 1; train.b: 0 → 1; train.c: 0 → 1; 2 more",
        ),
        (
            [
                reason("input", "Corpus:a.json", "1", "2"),
                reason("input", "Corpus:b.json", "1", "2"),
                reason("input", "Train", "1", None),
                reason("input", "Score", "1", None),
                reason("config", "train.lr", 0, 1),
            ],
            "train.lr: 0 → 1; Corpus changed; waits for Train, Score",
        ),
    ],
    ids=["none", "one", "three", "five", "inputs"],
)
def test_reasons_are_the_first_few_then_stages_that_changed_then_those_waited_for(given, said):
    assert words.reasons(given) == said


def failures(count: int) -> list[dict]:
    return [{"id": f"video{number}", "digest": "0", "reason": "is damaged", "retry": 0} for number in range(count)]


def test_a_failed_item_is_one_line_whatever_it_is_called():
    assert words.failed_item({"id": "a\x1b[2J\n.mp4", "reason": "is damaged"}) == r"a\x1b[2J\n.mp4: is damaged"


@pytest.mark.parametrize("count", [0, 1, 10, 11])
def test_the_first_items_that_failed_are_named_and_all_are_counted(count):
    told = words.failed_items(failures(count)[: words.MOST_TOLD], count, "videos", "decode.retry_failed=1")
    assert told[:-1] == [f"video{number}: is damaged" for number in range(min(count, words.MOST_TOLD))]
    if count:
        assert told[-1].startswith(f"{count} videos failed and are left out")
        assert told[-1].endswith("by --override decode.retry_failed=1")
        assert ("`videocap status --json` names them all" in told[-1]) == (count > words.MOST_TOLD)
    else:
        assert told == []


def test_too_many_failures_are_told_with_what_allows_more():
    again, limit = "decode.retry_failed=1", ("decode.max_failures", 0.2)
    told = words.too_many_failed(failures(4), 4, 9, "videos", again, limit)
    assert told.startswith(
        "4 of 9 videos failed, more than decode.max_failures = 0.2 allows, such as video0: is damaged"
    )
    assert "video2: is damaged" in told
    assert "video3" not in told
    assert "or raise decode.max_failures (what is done is kept)" in told
    for of, no_limit in ((9, None), (4, limit)):
        told = words.too_many_failed(failures(4), 4, of, "videos", again, no_limit)
        assert told.startswith(f"4 of {of} videos failed, such as")
        assert "max_failures" not in told, "which would not help"


PACK = {"number": 1, "packs": 3, "items": 8, "holds": "videos"}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "start"}, ""),
        ({"event": "start", "reasons": [reason("code", "code", "a", "b")]}, ": code changed"),
        ({"event": "start", **PACK}, " 2 of 3"),
        ({"event": "ran", "seconds": 1.26}, ": done in 1.3 s"),
        ({"event": "ran", "seconds": 2, "left": 150.0, **PACK}, " 2 of 3: 8 videos in 2.0 s, about 2 min left"),
        ({"event": "ran", "seconds": 2, "left": 0.4, **PACK}, " 2 of 3: 8 videos in 2.0 s"),
        ({"event": "warning", "warning": "one video is short"}, ": one video is short"),
    ],
)
def test_of_an_event_a_person_is_told_what_goes_on(event, said):
    assert words.progress(event) == said


def test_a_warning_that_is_data_is_told_by_the_function_that_it_names():
    event = {"event": "warning", "warning": ["b", "a"], "tells": "json:dumps"}
    assert words.told(event) == '["b", "a"]'
    assert words.progress(event) == ': ["b", "a"]'


@pytest.mark.parametrize(
    ("error", "showing", "says"),
    [
        (ValueError("lower train.lr"), False, "lower train.lr"),
        (KeyError("a"), False, "KeyError: 'a'"),
        (FileExistsError(17, "File exists", "runs/demo"), True, "the results can't be shown: runs/demo is in the way"),
        (
            FileExistsError(17, "File exists", "runs/demo"),
            False,
            "FileExistsError: [Errno 17] File exists: 'runs/demo'",
        ),
        (PermissionError(13, "Permission denied", "runs"), True, "the results can't be shown ([Errno 13] Permission"),
        (PermissionError(13, "Permission denied", "runs"), False, "runs is not for you to read or write (Permission"),
    ],
)
def test_a_failure_says_what_is_to_be_done_where_that_is_known(error, showing, says):
    event = {"error": described(error), "artifacts": "/some/where", "batch_sizes": [], "showing": showing}
    assert words.failure(event).startswith(says)
    assert words.told(event | {"event": "failed"}) == words.failure(event)


def test_stages_whose_code_has_changed_are_named_and_none_is_nothing():
    assert words.code_changed([]) == ""
    assert words.code_changed(["Corpus", "ToyClip"]).startswith("code changed since, not rerun: Corpus, ToyClip (raise")

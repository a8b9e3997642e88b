"""Rows of a gather: whose they are, which there are, and what is remembered of them, as data."""

import json
from pathlib import Path

import pytest
from failures import RETRY, again, in_folder, with_failures

from videocap import tasks
from videocap.pipeline.artifacts.shapes import is_known
from videocap.pipeline.stages.rows import Rows

NAMES = [f"video{number}.mp4" for number in range(6)]


@pytest.fixture
def folder(tmp_path, artifacts) -> Path:
    """Of an experiment of six videos, of which one failed, and five have rows."""
    with_failures(tmp_path, NAMES)
    return tmp_path


def rows_of(folder: Path, override: str = "") -> Rows:
    """The rows as another run knows them."""
    return tasks.FrameFeatures.of(again(folder, override)).rows


def memos(rows: Rows) -> list[Path]:
    return sorted((rows.gather.spec.store.folder / "memo").glob("[!.]*.json"))


def test_before_there_are_items_nothing_is_known_of_them(tmp_path, artifacts):
    rows = tasks.FrameFeatures.of(in_folder(tmp_path, NAMES)).rows
    assert (rows.key, rows.wanted(), rows.items(), rows.known()) == (None, None, None, None)
    assert not rows.ready()
    tasks.Corpus.of(again(tmp_path)).run()
    rows = rows_of(tmp_path)
    assert rows.ready()
    assert sorted(name for name, _ in rows.items()) == NAMES
    known = rows.known()
    assert (known["recorded"], known["settled"], known["identities"]) == (False, False, None)
    assert not (artifacts / "stores").exists(), "who only asks makes no store"


def test_an_item_has_rows_or_has_failed_or_is_not_settled(folder):
    rows = rows_of(folder)
    assert rows.settled()
    held = rows.held()
    assert sum(map(len, held.values())) == 5
    assert all(part == sorted(part) for part in held.values())
    (failure,) = rows.failures()
    assert (failure["id"], failure["reason"], failure["retry"]) == ("video0.mp4", "is damaged", RETRY)
    later = rows_of(folder, f"decode.retry_failed={RETRY + 1}")
    assert not later.settled(), "it is to be tried once more"
    assert later.key != rows.key


def test_more_failures_than_are_allowed_or_all_are_too_many(folder):
    rows = rows_of(folder)
    assert not rows.too_many(rows.failures())
    assert rows_of(folder, "decode.max_failures=0.1").too_many(rows.failures())
    assert not rows_of(folder, "decode.max_failures=1.0").too_many(5 * rows.failures())
    assert rows_of(folder, "decode.max_failures=1.0").too_many(6 * rows.failures())
    assert rows.again(rows.failures()) == f"decode.retry_failed={RETRY + 1}"


def test_what_is_known_is_remembered_as_data(folder):
    rows = rows_of(folder)
    known = rows.known()
    assert (known["failures"], known["again"], known["settled"]) == (1, f"decode.retry_failed={RETRY + 1}", True)
    (memo,) = memos(rows)
    assert json.loads(memo.read_text()) == known
    assert is_known(known, rows.gather.needs())
    for table in tasks.Corpus.of(rows.gather).product.payload().iterdir():
        table.unlink()
    later = rows_of(folder)
    assert later.known() == known, "no table is read for it"
    assert later.wanted() is None
    memo.unlink()
    assert later.known() is None


HARMS = {
    "no JSON": "{",
    "a list": "[]",
    "without settled": {"settled": None},
    "a word for a number": {"failures": "1"},
    "a number for a yes": {"recorded": 1},
    "codes that are none": {"codes": [1]},
    "failures that are none": {"failed": [{"id": "a"}]},
    "less than nothing": {"counted": {"cut": -1}},
    "identities of another part": {"identities": {"all": "0"}},
    "one thing more": {"told": "1 video failed"},
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_memo_of_any_other_shape_is_none(folder, harm):
    rows = rows_of(folder)
    known = rows.known()
    (memo,) = memos(rows)
    wrong = HARMS[harm] if isinstance(HARMS[harm], str) else json.dumps(known | HARMS[harm])
    memo.write_text(wrong)
    assert rows_of(folder).known() == known
    assert json.loads(memo.read_text()) == known, "and is replaced"


def test_what_is_remembered_is_of_just_these_shards(folder):
    rows = rows_of(folder)
    rows.known()
    for path in rows.gather.spec.store.folder.glob("*.h5"):
        path.unlink()
    assert not rows_of(folder).known()["settled"]
    assert len(memos(rows)) == 2

"""Push and pull between artifacts folders and other places: what travels, and what is refused."""

import numpy as np
import pytest
from places import FRAMES, add, experiment_in, pull, push, result_at, rows_in, rows_of, snapshot, store_in

from videocap.extract.shards import exchange
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.sharing import push_pull
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.stores import imported
from videocap.pipeline.stores.imported import foreign_store


class Counting:
    """A place that counts what is asked of it."""

    def __init__(self, place):
        self.place, self.asked = place, []

    def __getattr__(self, name):
        def ask(*arguments, **options):
            self.asked.append(name)
            return getattr(self.place, name)(*arguments, **options)

        return ask


def test_what_is_pushed_can_be_pulled_and_is_the_same(tmp_path, place):
    for start in (0, 2):
        add(store_in(tmp_path / "alice"), [start, start + 1])
    sent = push(tmp_path / "alice", place)
    assert (sent.files, sent.items, sent.there, sent.problems) == (2, 4, 0, [])
    assert sent.size == sum(path.stat().st_size for path in store_in(tmp_path / "alice").folder.glob("*.h5"))
    assert pull(tmp_path / "bob", place).files == 2
    assert rows_in(store_in(tmp_path / "bob")) == rows_in(store_in(tmp_path / "alice"))
    assert snapshot(tmp_path / "bob" / "stores") == snapshot(tmp_path / "alice" / "stores")  # and nothing else came


def test_nothing_new_costs_one_listing_and_no_byte(tmp_path, team):
    add(store_in(tmp_path / "bob"), [6, 7])
    assert push(tmp_path / "bob", team).files == 1  # so there is what Alice has not
    before = snapshot(team.root)
    for again, who in ((push, "alice"), (push, "bob")):
        counted = Counting(team)
        sent = again(tmp_path / who, counted)
        assert sent.files == 0
        assert [name for name in counted.asked if name != "create"] == ["sizes"]
    assert pull(tmp_path / "bob", team).files == 3
    counted = Counting(team)
    assert pull(tmp_path / "bob", counted).there == 4
    assert counted.asked == ["sizes"]
    assert snapshot(team.root) == before


def test_a_dry_run_tells_the_same_and_writes_nothing(tmp_path, team):
    for _ in range(2):
        sent = pull(tmp_path / "bob", team, dry_run=True)
    (tmp_path / "empty").mkdir()
    pull(tmp_path / "bob", Folder(tmp_path / "empty"))
    assert (sent.files, sent.items, sent.problems) == (3, 6, [])
    assert push(tmp_path / "alice", Folder(tmp_path / "new"), dry_run=True).files == 3
    assert not (tmp_path / "bob" / "stores").exists()
    assert not (tmp_path / "new").exists()


def test_a_place_without_the_spec_tells_how_its_own_differs(tmp_path, team):
    sent = pull(tmp_path / "bob", team, override="decode.frames=7")
    assert "decode.frames: 12 → 7" in sent.problems[0]
    (tmp_path / "empty").mkdir()
    sent = pull(tmp_path / "bob", Folder(tmp_path / "empty"))
    assert sent.problems == [f"{tmp_path / 'empty'} has no shards of this spec"]
    sent = pull(tmp_path / "bob", Folder(tmp_path / "tema"))
    assert sent.problems == [f"there is no folder {tmp_path / 'tema'}: is it mounted?"]
    assert "none here that fits this config" in push(tmp_path / "alice", team, override="decode.frames=7").problems[0]


def test_a_stage_that_waits_for_another_is_told_so(tmp_path, team):
    found = list(push_pull.pull(experiment_in(tmp_path / "bob"), ["Train"], team, check_arrived))
    assert [sent.stage for sent in found] == [
        *("ToyWorld", "Corpus", FRAMES, "EmbedCaptionsShard", "Vocabulary", "Train")
    ]
    assert "ToyWorld" in found[1].problems[0]
    assert found[2].files == 3  # what is good comes all the same
    with pytest.raises(ValueError, match="no stage Trian; it has ToyWorld, Corpus"):
        push(tmp_path / "alice", team, stages=["Trian"])


def test_who_pulls_is_told_what_failed_elsewhere(tmp_path, team):
    add(store_in(tmp_path / "carol"), [6], failed=[7, 8], retry=2)
    push(tmp_path / "carol", team)
    sent = pull(tmp_path / "bob", team)
    assert sent.notes == [
        "2 videos failed where they were extracted, such as video7: it is cut short; --override decode.retry_failed=3 "
        "tries them here"
    ]
    assert pull(tmp_path / "bob", team).notes == []


def test_imported_features_travel(tmp_path):
    rows = {f"video{number}": rows_of(number) for number in range(3)}
    (tmp_path / "npy").mkdir()
    for name, values in rows.items():
        np.save(tmp_path / "npy" / f"{name}.npy", values.astype(np.float32))
    (tmp_path / "captions.csv").write_text("video,caption\nvideo0,it moves")
    override = f"data.kind=folder data.annotations={tmp_path / 'captions.csv'} data.features=i3d aspects.use=[]"
    store = foreign_store(experiment_in(tmp_path / "alice").artifacts, "i3d")
    items = exchange.read_items(exchange.ForeignFeatures(tmp_path / "npy"), 8, [])
    assert imported.publish(store, items, exchange.write_shard, 2, "npy") == 3
    place = Folder(tmp_path / "team")
    assert push(tmp_path / "alice", place, override=override, stages=["FrameFeatures"]).items == 3
    assert pull(tmp_path / "bob", place, override=override, stages=["FrameFeatures"]).items == 3
    there = foreign_store(experiment_in(tmp_path / "bob").artifacts, "i3d")
    assert rows_in(there) == {name: values.tobytes() for name, values in rows.items()}


def test_a_stage_that_fails_does_not_keep_the_others(tmp_path, team):
    result_at(tmp_path / "alice")
    stages = ["ToyWorld", FRAMES]
    (team.root / "ToyWorld").write_text("no folder")
    for sent in (
        list(push_pull.push(experiment_in(tmp_path / "alice"), stages, team)),
        list(push_pull.pull(experiment_in(tmp_path / "bob"), stages, team, check_arrived)),
    ):
        assert len(sent[0].problems) == 1
        assert "Not a directory" in sent[0].problems[0]
        assert (sent[1].files + sent[1].there, sent[1].problems) == (3, [])

"""Specs: what is missing, what is ahead, what may be dropped, and who asks for it; also of `shards`."""

from pathlib import Path

import pytest
from failures import RETRY, again, in_folder, with_failures

from videocap import tasks
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stores.store import Item

NAMES = [f"video{number}.mp4" for number in range(4)]
LATER = f"decode.retry_failed={RETRY + 1}"


@pytest.fixture
def folder(tmp_path, artifacts) -> Path:
    """Of an experiment of four videos, of which one failed, and three have rows."""
    with_failures(tmp_path, NAMES)
    return tmp_path


def specs_of(folder: Path, override: str = "") -> tuple[Spec, Spec]:
    """Those of decoded frames and of their features, as another run has them."""
    experiment = again(folder, override)
    return tasks.DecodeShard.of(experiment), tasks.EmbedFramesShard.of(experiment)


def hold(spec: Spec, items: list[Item], keep: bool = True) -> None:
    """Publish a shard that holds these items."""

    def write(path: Path, key: str) -> dict:
        path.write_bytes(b"rows")
        return {"digests": [source for _, source in items], "failures": [], "content": "", "provenance": {}}

    spec.store.publish_shard(items, 0, write, {"how": {"decode.keep": keep}})


def test_frames_are_for_features_and_both_for_one_gather(folder):
    frames, features = specs_of(folder)
    assert (frames.then, features.then) == (features, None)
    assert frames.gather is features.gather is tasks.FrameFeatures.of(frames)
    assert frames.asked() is features.asked() is tasks.FrameFeatures
    assert features.gather.chain() == [frames, features]
    assert tasks.DecodeShard in features.upstream()


def test_what_the_spec_behind_has_is_not_missing_here(folder):
    frames, features = specs_of(folder)
    items = features.gather.rows.items()
    assert frames.missing(items) == features.missing(items) == []
    frames, features = specs_of(folder, LATER)
    assert [name for name, _ in frames.missing(items)] == [name for name, _ in features.missing(items)] == NAMES[:1]
    hold(frames, features.missing(items))
    assert frames.missing(items) == []
    assert [name for name, _ in features.missing(items)] == NAMES[:1]


def test_what_is_ahead_is_not_known_before_the_items_are(tmp_path, artifacts):
    spec = tasks.EmbedFramesShard.of(in_folder(tmp_path, NAMES))
    assert (spec.ahead(), spec.product.todo(), spec.product.done) == (None, None, False)
    tasks.Corpus.of(again(tmp_path)).run()
    frames, features = specs_of(tmp_path)
    assert sorted(name for name, _ in features.ahead()) == sorted(name for name, _ in frames.ahead()) == NAMES
    assert features.amount(features.ahead()) == {"items": 4, "rows": 80, "bytes": 80 * 2 * tasks.WIDEST}
    assert features.product.todo()


def test_its_product_is_its_store_and_done_when_nothing_is_ahead(folder, artifacts):
    frames, features = specs_of(folder)
    product = features.product
    assert (product.done, product.todo(), product.reasons()) == (True, False, [])
    assert artifacts / product.place == product.store.folder
    assert product.size == 4
    assert product.identity("") == features.recipe.key
    assert frames.product.done
    assert frames.product.dropped(), "nobody needs frames whose features are there"
    later = specs_of(folder, LATER)[1].product
    assert later.reasons() == [{"what": "items", "field": "EmbedFramesShard", "old": 3, "new": 4}]
    assert later.about()["ahead"]["items"] == 1
    other = specs_of(folder, "decode.frames=7")[1].product
    assert other.reasons() == [{"what": "config", "field": "decode.frames", "old": 20, "new": 7}]


@pytest.mark.parametrize(("kept", "now", "left"), [(True, "false", 1), (False, "false", 0), (False, "true", 1)])
def test_shards_that_were_to_be_dropped_go_once_all_of_them_is_read(folder, kept, now, left):
    frames, features = specs_of(folder, f"decode.keep={now}")
    done = [item for item in features.gather.rows.items() if item[1] in features.store.index().rows]
    hold(frames, done, kept)
    features.drop_read()
    assert len(list(frames.store.folder.glob("*.h5"))) == left
    hold(frames, features.gather.rows.items(), False)
    features.drop_read()
    assert len(list(frames.store.folder.glob("*.h5"))) == left + 1, "of one video there are no features yet"

"""What a gather has, as a product: rows are known by their items, and stay what they were when features are gone."""

from pathlib import Path

import pytest
from failures import RETRY, again, with_failures

from videocap import tasks
from videocap.pipeline.stages.gathered import Gathered

NAMES = [f"video{number}.mp4" for number in range(6)]


@pytest.fixture
def folder(tmp_path, artifacts) -> Path:
    """Of an experiment whose rows a run has gathered, but for those of a video that failed."""
    gather, _ = with_failures(tmp_path, NAMES)
    assert not list(gather.run()), "no pack is left to run"
    return tmp_path


def product_of(folder: Path, override: str = "") -> Gathered:
    """As another run finds it."""
    return tasks.FrameFeatures.of(again(folder, override)).product


def part(product: Gathered) -> str:
    """The split that has most videos."""
    return max(product.rows.wanted(), key=lambda name: len(product.rows.wanted()[name]))


def delete_features(product: Gathered) -> None:
    for path in product.gather.spec.store.folder.glob("*.h5"):
        path.unlink()


def test_it_is_done_when_a_run_has_gathered_it(tmp_path, artifacts):
    gather, _ = with_failures(tmp_path, NAMES)
    product = gather.product
    assert (product.done, product.todo()) == (False, False), "nothing is to be computed, and nobody has said so"
    assert not list(gather.run())
    product = product_of(tmp_path)
    assert (product.done, product.todo()) == (True, False)
    assert product.rows.record().relative_to(artifacts).as_posix() == product.place


def test_deleted_features_change_no_identity(folder):
    before = product_of(folder)
    identities = {name: before.identity(name) for name in before.rows.wanted()}
    assert None not in identities.values()
    delete_features(before)
    product = product_of(folder)
    assert not product.done
    assert product.todo()
    assert {name: product.identity(name) for name in identities} == identities
    with pytest.raises(ValueError, match=r"features have gone from .* meanwhile; run the same command again"):
        product.value(part(product))


def test_its_value_is_the_shard_of_each_item_that_did_not_fail(folder):
    product = product_of(folder)
    value = {source: path for name in product.rows.wanted() for source, path in product.value(name).items()}
    (shard,) = product.gather.spec.store.folder.glob("*.h5")
    (failed,) = product.rows.failures()
    wanted = {source for _, source in product.rows.items()}
    assert value == dict.fromkeys(wanted - {failed["digest"]}, shard)


def test_what_failed_is_warned_of_and_named(folder):
    first, last = product_of(folder).warnings()
    assert first == "video0.mp4: is damaged"
    assert last.startswith("1 videos failed and are left out")
    assert last.endswith(f"--override decode.retry_failed={RETRY + 1}")
    (failure,) = product_of(folder).about()["failures"]
    assert failure["id"] == "video0.mp4"


def test_too_many_failures_are_a_reason_of_their_own(folder):
    product = product_of(folder, "decode.max_failures=0.1")
    assert product.reasons() == [{"what": "failures", "field": "FrameFeatures", "old": 0, "new": 1}]
    assert product_of(folder).reasons() == []


def test_what_differs_from_earlier_rows_is_told_by_item(folder):
    before = product_of(folder)
    name = part(before)
    identity = before.identity(name)
    assert before.since(name, identity) == []
    assert before.since(name, "0" * 64) == [], "of which nothing is on record"
    (folder / "videos" / "more.mp4").write_text("more")
    lines = (folder / "captions.csv").read_text().replace("video5.mp4,a caption\n", "")
    (folder / "captions.csv").write_text(lines + "more.mp4,a caption\n")
    tasks.Corpus.of(again(folder)).run()
    gather = tasks.FrameFeatures.of(again(folder))

    def write(path: Path, key: str) -> dict:
        path.write_bytes(b"rows")
        return {"digests": [source for _, source in missing], "failures": [], "content": "", "provenance": {}}

    missing = gather.spec.store.index().lacking(gather.rows.items(), 0)
    assert [item for item, _ in missing] == ["more.mp4"]
    gather.spec.store.publish_shard(missing, 0, write, {"how": {}})
    changes = {field: reason for each in gather.rows.wanted() for field, reason in told(gather.product, before, each)}
    assert sorted(name for reason in changes.values() for name in reason["added"]) == ["more.mp4"]
    assert sorted(name for reason in changes.values() for name in reason["gone"]) == ["video5.mp4"]


def told(product: Gathered, before: Gathered, name: str) -> list[tuple[str, dict]]:
    """The reasons why a part is not what it was."""
    found = product.since(name, before.identity(name))
    assert all(reason["what"] == "items" for reason in found)
    return [(reason["field"], reason) for reason in found]

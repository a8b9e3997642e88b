"""Rows are made again from their sources: a store that lies is caught; what can't be made proves nothing."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from copies import SPEC, hold, overlap, rows_of
from extracted import STAGES, command, copied, experiment_of, store_of

from videocap.extract import features as extraction
from videocap.extract.shards import shard, writer
from videocap.extract.shards.exchange import item_digest, write_shard
from videocap.pipeline.digests import digest, file_digest
from videocap.pipeline.recompute import _recompute_some
from videocap.pipeline.stores.store import Index, Store


@pytest.fixture
def place(extracted, tmp_path, monkeypatch) -> Path:
    """A copy of it to spoil."""
    return copied(extracted, tmp_path / "copy", monkeypatch)


def forge(place: Path, what: str, make) -> None:
    """Replace the rows of each of a store's shards by those of the shard that `make(path, items)` writes.

    Spec, key, items and times stay, and the manifest fits the new file.
    """
    store = store_of(place, what)
    for name, manifest in store.manifests().items():
        payload = store.folder / manifest["payload"]
        true = shard.read(payload)
        items = list(zip(true.ids, true.digests, strict=True))
        make(place / "lie.h5", items)
        lie = shard.read(place / "lie.h5")
        assert lie.digests == true.digests
        for path in (place / "lie.h5", payload):
            path.unlink()
        times = [true.times[start:end] for start, end in zip(true.offsets, true.offsets[1:], strict=False)]
        info = writer.write(payload, items=items, arrays=list(lie), times=times, spec=store.spec, key=manifest["key"])
        manifest |= {"content": info.content, "sha256": file_digest(payload), "size": payload.stat().st_size}
        (store.folder / name).write_text(json.dumps(manifest))


def by_other_config(place: Path, what: str, override: str):
    """Makes rows as the experiment would under another config."""
    pack = STAGES[what].of(experiment_of(place, override))

    def make(path: Path, items: list) -> None:
        inputs = pack.inputs() | ({"before": Index()} if pack.after else {})
        pack.function()(path, pack.config, key="", spec={}, items=items, **inputs)

    return make


def in_bgr(place: Path, what: str):
    """Makes rows of frames whose first and last colour are swapped, as OpenCV reads them."""
    decode = by_other_config(place, "frames", "")

    def make(path: Path, items: list) -> None:
        decode(path, items)
        frames = shard.read(path)
        path.unlink()
        arrays = [rows[..., [2, 1, 0]] for rows in frames]
        if what == "features":
            encoder = extraction.load_encoder(str(place / "clip.pt"), None, "cpu", "fp32")
            arrays = [encoder.encode(rows) for rows in arrays]
        writer.write(path, items=items, arrays=arrays, times=None, spec={}, key="")

    return make


LIES = {
    "other weights": (
        "features",
        lambda place: by_other_config(place, "features", f"encoder.weights={place}/other.pt"),
    ),
    "other sampling": ("features", lambda place: by_other_config(place, "features", "decode.placement=ends")),
    "BGR": ("features", lambda place: in_bgr(place, "features")),
    "frames in BGR": ("frames", lambda place: in_bgr(place, "frames")),
    "text of other weights": (
        "captions",
        lambda place: by_other_config(place, "captions", f"text_encoder.weights={place}/other.pt"),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_store_that_lies_about_its_spec_is_caught_by_making_it_again(place, capsys, lie):
    what, maker = LIES[lie]
    forge(place, what, maker(place))
    assert command(place, "verify") == 0, "nothing else tells"
    capsys.readouterr()
    assert command(place, "verify", "--recompute", "2", "--json") == 1
    found = {Path(row["folder"]): row for row in json.loads(capsys.readouterr().out)}
    bad = found.pop(store_of(place, what).folder)
    assert [row["problems"] for row in found.values()] == [[], []]
    assert len(bad["problems"]) == bad["recomputed"] == 2
    assert all("does not hold what its spec says" in line and ".h5" in line for line in bad["problems"])


def test_rows_that_another_precision_rounded_are_no_lie(place, capsys):
    forge(place, "features", by_other_config(place, "features", "encoder.precision=bf16"))
    assert command(place, "verify", store_of(place, "features").folder.name, "--recompute", "3") == 0
    assert ", 3 recomputed" in capsys.readouterr().out


def test_a_video_that_is_away_or_another_proves_nothing(place, capsys):
    (place / "videos" / "a.mp4").unlink()
    features = store_of(place, "features").folder.name
    assert command(place, "verify", features, "--recompute", "9") == 0
    told = capsys.readouterr().out
    assert "2 recomputed" in told
    assert "not checked: 'a': video 'a' is no longer there" in told
    for name, other in (("b", "c"), ("c", "b")):
        shutil.copy(place / "videos" / f"{other}.mp4", place / f"{name}.mp4")
    for name in ("b", "c"):
        shutil.move(place / f"{name}.mp4", place / "videos" / f"{name}.mp4")
    assert command(place, "verify", features, "--recompute", "9") == 1
    told = capsys.readouterr().out
    assert "b.mp4 has changed since the corpus was read" in told
    assert "none of 3 videos could be recomputed" in told


def test_stores_of_another_spec_are_not_recomputed_and_the_difference_is_told(place, capsys):
    arguments = ("--recompute", "1", "--override", "decode.placement=ends")
    assert command(place, "verify", *arguments) == 0
    told = capsys.readouterr().out
    assert told.count("not recomputed: its spec is not the experiment's (decode.placement: centres → ends)") == 2
    features = store_of(place, "features").folder
    assert command(place, "verify", str(features), *arguments) == 1
    assert "BAD" in capsys.readouterr().out
    other = ("--override", f"decode.placement=ends text_encoder.weights={place}/other.pt", "--recompute", "1")
    assert command(place, "verify", *other) == 1
    assert "nothing was recomputed: name by --config and --override" in capsys.readouterr().out


def test_rows_made_elsewhere_are_checked_but_not_recomputed(place, capsys):
    spec = {"stage": "ForeignShard", "config": {}, "inputs": {}, "from": "somebody"}
    store = Store(place / "artifacts" / "stores" / "ForeignShard-0123456789abcdef", spec)
    true = shard.read(next(store_of(place, "features").folder.glob("*.h5")))
    items = [(name, item_digest(name, true[number])) for number, name in enumerate(true.ids)]
    store.publish_shard(items, 0, lambda path, key: write_shard(path, key, spec, items, list(true)), {})
    assert command(place, "verify", "--recompute", "1") == 0
    assert "not recomputed: made elsewhere" in capsys.readouterr().out
    assert command(place, "ls") == 0
    assert "videos in 1 shard, " in capsys.readouterr().out
    others = [(name, item_digest(f"not {name}", true[number])) for number, name in enumerate(true.ids)]
    store.publish_shard(others, 0, lambda path, key: write_shard(path, key, spec, others, list(true)), {})
    assert command(place, "verify") == 1
    assert "under the digest of others; delete it" in capsys.readouterr().out


def test_what_is_disputed_is_made_again_before_others(tmp_path, monkeypatch):
    store = Store(tmp_path, SPEC)
    hold(store, rows_of(*"abcdefgh"))
    hold(store, {"e": -rows_of("e")["e"]})
    (verdict,) = overlap(tmp_path)
    made = []
    monkeypatch.setattr("videocap.pipeline.recompute.remade", lambda pack, path, item, part: made.append(item))
    pack = SimpleNamespace(gather=SimpleNamespace(rows=SimpleNamespace(items=dict)))
    _recompute_some(verdict, pack, 3, lambda stored, again, source: None)
    assert made[:2] == [("e", digest("e"))] * 2, "both copies"
    assert (len(made), verdict.recomputed) == (3, 3)

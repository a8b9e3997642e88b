"""Whole stores of somebody who means harm, and shards that claim what no memory holds."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import SPEC, sha, some_items, some_rows, write_some

from videocap import open_store
from videocap.extract.shards import structure, writer
from videocap.extract.shards.shard import DamagedShard
from videocap.pipeline.stores.store import Store

# -- memory


def claim(path: Path, kinds: dict[str, tuple[str | np.dtype, tuple[int, ...]]]) -> Path:
    """A sparse file in the form of a shard, with datasets of any size of which nothing is written."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        texts = {"format": "clip4videocap-shard", "spec": "{}", "key": "k", "content": "0" * 64}
        file.attrs.update({name: np.bytes_(text) for name, text in texts.items()})
        file.attrs["format_version"] = 1
        for name, (kind, shape) in kinds.items():
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            stored = h5py.h5t.py_create(np.dtype(kind), logical=True)
            h5py.h5d.create(file.id, name.encode(), stored, h5py.h5s.create_simple(shape), plan)
    return path


SMALL = {
    "ids": (h5py.string_dtype("utf-8", 4), (1,)),
    "digests": ("S64", (1,)),
    "offsets": ("<i8", (2,)),
    "values": ("<f2", (1, 8)),
    "times": ("<f4", (1,)),
}
HUGE = {
    "times": ({"values": ("<f2", (1 << 38, 0)), "times": ("<f4", (1 << 38,))}, "ids, digests, offsets and times claim"),
    "an id": ({"ids": (h5py.string_dtype("utf-8", 1 << 30), (1,))}, "ids, digests, offsets and times claim"),
    "items": (
        {"ids": ("S1", (1 << 34,)), "digests": ("S64", (1 << 34,)), "offsets": ("<i8", ((1 << 34) + 1,))},
        "ids, digests, offsets and times claim",
    ),
    "a row": ({"values": ("<f2", (1, 1 << 39))}, "a row claims"),
    "a frame": ({"values": ("u1", (1, 1 << 19, 1 << 19, 3))}, "a row claims"),
}
LITTLE = """
import json, resource, sys, warnings
from videocap import open_store
from videocap.extract.shards.shard import Shard

sys.addaudithook(lambda event, _: event.startswith("pickle") and sys.exit("something was unpickled"))
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (200 << 20),) * 2)
said = {}
for path in sys.argv[2:]:
    try:
        Shard(path).check()
    except Exception as error:
        said[path] = f"{type(error).__name__}: {error}"
warnings.simplefilter("ignore")
print(json.dumps([said, len(open_store(sys.argv[1]))]))
"""


def test_what_claims_terabytes_takes_little_memory(tmp_path):
    paths = {kind: claim(tmp_path / f"{kind}.h5", SMALL | kinds) for kind, (kinds, _) in HUGE.items()}
    assert sum(path.stat().st_size for path in paths.values()) > 1 << 41
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "store.json").write_text('{"spec": {}}')
    with open(folder / f"{sha('a')}.json", "w") as file:
        file.truncate(1 << 40)
    run = [sys.executable, "-c", LITTLE, folder, *paths.values()]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, items = json.loads(done.stdout)
    for kind, (_, reason) in HUGE.items():
        assert said[str(paths[kind])].startswith("DamagedShard")
        assert reason in said[str(paths[kind])]
    assert items == 0


def test_what_is_written_is_within_the_limits_or_refused(tmp_path, monkeypatch):
    for name, reason in (("MOST_ROW", "a row claims"), ("MOST_TABLES", "claim"), ("MOST_BESIDE", "of no dataset")):
        with monkeypatch.context() as patch:
            patch.setattr(structure, name, 10)
            with pytest.raises(DamagedShard, match=reason):
                write_some(tmp_path / "s.h5")
        assert not list(tmp_path.iterdir())
    write_some(tmp_path / "s.h5")


# -- whole stores

STORE = {"stage": "EmbedFramesShard", "config": SPEC, "inputs": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("../outside.h5"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def publish(folder: Path, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A store of three shards of three items; returns each item's rows and times."""
    store, truth = Store(folder, STORE), {}
    for start in range(0, 9, 3):
        items = some_items(map(str, range(start, start + 3)))
        rows = some_rows([1, 0, 2], width=300, seed=seed + start)
        times = [np.arange(len(array), dtype=np.float32) for array in rows]

        def write(path: Path, key: str, items=items, rows=rows, times=times) -> dict:
            info = writer.write(path, items=items, arrays=rows, times=times, spec=STORE, key=key)
            failures = [{"id": "bad", "digest": sha(f"bad {key}"), "reason": "it is damaged"}]
            return {"digests": [d for _, d in items], "failures": failures, "content": info.content, "provenance": {}}

        store.publish_shard(items, 0, write, {"experiment": "mine", "versions": {"numpy": "2"}})
        truth |= {name: pair for (name, _), *pair in zip(items, rows, times, strict=True)}
    return truth


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a store and, outside it, a file for each of its files, of other rows; and the true rows."""
    folder = tmp_path_factory.mktemp("good")
    truth = publish(folder / "store", seed=0)
    publish(folder / "outside", seed=100)
    for inside, outside in zip(*(sorted((folder / name).glob("*-*.h5")) for name in ("store", "outside")), strict=True):
        outside.rename(outside.with_name(inside.name))
    return folder, truth


def snapshot(folder: Path) -> list[tuple]:
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))]


def replace_a_value(path: Path, data: st.DataObject) -> None:
    """Replace a value somewhere in a JSON file, or leave it out."""
    try:
        value = tree = json.loads(path.read_bytes())
    except ValueError:
        return
    while isinstance(value, dict | list) and value:
        place = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[place], dict | list) or data.draw(st.booleans()):
            new = data.draw(JSON | st.none())
            if new is None and isinstance(value, dict):
                del value[place]
            else:
                value[place] = new
            break
        value = value[place]
    path.write_text(json.dumps(tree))


KINDS = ["flip", "flip", "json", "json", "link", "link", "cut", "grow", "swap", "pipe", "folder"]


def spoil(folder: Path, outside: Path, data: st.DataObject) -> None:
    """Do one thing to one file of a store."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    if not files:
        return
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    place = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(content))
    kind = data.draw(st.sampled_from(KINDS))
    if kind == "flip":
        flipped = bytes([content[place] ^ data.draw(st.integers(1, 255))]) if content else b""
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
    elif kind == "cut":
        path.write_bytes(content[:place])
    elif kind == "grow":
        path.write_bytes(content + bytes(place))
    elif kind == "swap":
        other = data.draw(st.sampled_from(files))
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif kind == "json":
        same = [one for one in files if one.suffix == ".json"]
        replace_a_value(data.draw(st.sampled_from(same)) if same else path, data)
    else:
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            others = [data.draw(st.sampled_from(files)), folder / "nowhere", path, outside]
            path.symlink_to(data.draw(st.sampled_from([outside / path.name] * 4 + others)))


@contextlib.contextmanager
def refused(folder: Path):
    """What a reader may raise: nothing but these, and each names what is wrong."""
    said = str(folder)
    try:
        yield
    except (ValueError, OSError) as error:
        said = str(error)
    assert str(folder) in said
    assert len(said) < 1000


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 3))
def test_a_spoilt_store_gives_true_rows_or_none_and_nothing_outside_is_touched(good, tmp_path_factory, data, count):
    (place, truth), around = good, tmp_path_factory.mktemp("spoilt")
    folder, outside = around / "store", place / "outside"
    shutil.copytree(place / "store", folder)
    before = snapshot(outside)
    for _ in range(count):
        spoil(folder, outside, data)

    features, asked = None, []
    with warnings.catch_warnings(), refused(folder):
        warnings.simplefilter("ignore")
        features = open_store(folder)
        asked = [list(features), *([name] for name in features)]
    for names in asked:
        with refused(folder):
            loaded = features.load(names)
            assert list(loaded.ids) == names
            for item, name in enumerate(names):
                span = slice(loaded.offsets[item], loaded.offsets[item + 1])
                assert loaded.digests[item] == features.digests[name] == sha(name)
                np.testing.assert_array_equal(loaded[item], truth[name][0])
                np.testing.assert_array_equal(loaded.times[span], truth[name][1])

    with refused(folder):
        if store := Store.open(folder):
            assert {path.parent for path in store.index().rows.values()} <= {folder}
            json.dumps([store.about(), store.strays()])
            assert all((folder / name).lstat() for name in store.manifests())
            assert {path.parent for path in store.files()} <= {folder}
    assert snapshot(outside) == before
    assert [path.name for path in around.iterdir()] == ["store"]

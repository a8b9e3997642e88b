"""A store is read as a mapping: by id, in any process, and what it says is checked when it is opened."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shards import sha, some_rows, write_some
from store_of_shards import SPEC, publish
from torch.utils.data import DataLoader

from videocap import open_store
from videocap.extract.shards import writer
from videocap.extract.shards.shard import DamagedShard
from videocap.extract.shards.store import gather
from videocap.extract.shards.torch_dataset import FeatureDataset, pad
from videocap.pipeline.stores.store import Store


def named(names):
    return [(name, sha(name)) for name in names]


@pytest.fixture
def store(tmp_path):
    """Three shards of 40 items, with rows of their own numbers, as a run publishes them."""
    store = Store(tmp_path / "store", SPEC)
    for start in range(0, 120, 40):
        items = named(f"video{i}" for i in range(start, start + 40))
        rows = [np.full((1 + i % 5, 8), i, np.float16) for i in range(start, start + 40)]
        times = [np.arange(len(array)) / 2 for array in rows]

        def write(path, key, items=items, rows=rows, times=times):
            info = writer.write(path, items=items, arrays=rows, times=times, spec=SPEC, key=key)
            return {"digests": [d for _, d in items], "failures": [], "content": info.content, "provenance": {}}

        store.publish_shard(items, 0, write, {"host": f"host{start}"})
    return store.folder


def test_a_store_is_a_mapping_from_id_to_rows(store):
    features = open_store(store)
    assert len(features) == 120
    assert list(features) == sorted(f"video{i}" for i in range(120))
    assert "video119" in features
    assert "video120" not in features
    for i in (0, 39, 40, 119):
        np.testing.assert_array_equal(features[f"video{i}"], np.full((1 + i % 5, 8), i, np.float16))
        assert features[f"video{i}"].dtype == np.float16
        np.testing.assert_array_equal(features.times(f"video{i}"), np.arange(1 + i % 5, dtype=np.float32) / 2)
    assert features.spec == SPEC
    assert features.digests["video7"] == sha("video7")
    assert features.provenance("video41")["host"] == "host40"
    with pytest.raises(KeyError, match="video120"):
        features["video120"]
    features["video3"][:] = 0  # a copy, like every array that is handed out
    features.times("video4")[:] = 9
    assert features["video3"].max() == 3
    assert features.times("video4").max() == 2


def test_a_single_shard_is_a_store_too(store):
    shard = next(store.glob("*.h5"))
    features = open_store(shard)
    assert len(features) == 40
    name = next(iter(features))
    np.testing.assert_array_equal(features[name], open_store(store)[name])


def test_plain_h5py_as_in_the_readme(store):
    with h5py.File(next(store.glob("*.h5"))) as file:
        ids, offsets = file["ids"].asstr()[:], file["offsets"][:]
        rows = {name: file["values"][offsets[i] : offsets[i + 1]] for i, name in enumerate(ids)}
    features = open_store(store)
    assert len(rows) == 40
    for name, values in rows.items():
        np.testing.assert_array_equal(values, features[name])


def test_load_gives_all_or_some_in_the_order_asked_for(store):
    features = open_store(store)
    whole = features.load()
    assert whole.ids == tuple(features)
    some = features.load(["video50", "video3", "video50"])
    assert some.ids == ("video50", "video3", "video50")
    for loaded in (whole, some):
        for i, name in enumerate(loaded.ids):
            np.testing.assert_array_equal(loaded[i], features[name])
    assert features.load([]).values.shape == (0, 0)


def test_load_checks_digests_and_a_single_read_does_not(store):
    shard = next(store.glob("*.h5"))
    with h5py.File(shard, "r+") as file:
        file["values"][0, 0] += 1
        name = file["ids"].asstr()[0]
    features = open_store(store)
    assert features[name][0, 0] == int(name.removeprefix("video")) + 1
    with pytest.raises(DamagedShard, match=shard.name):
        features.load()


def test_gather_orders_skips_and_prefers_the_first_shard(tmp_path):
    first, _ = write_some(tmp_path / "1.h5", "abc", seed=1)
    second, _ = write_some(tmp_path / "2.h5", "cde", seed=2)
    paths = [tmp_path / "1.h5", tmp_path / "2.h5"]
    features = gather(paths, [sha(name) for name in "ecae"])
    assert features.ids == tuple("ecae")
    for rows, expected in zip(features, [second[2], first[2], first[0], second[2]], strict=False):
        np.testing.assert_array_equal(rows, expected)
    assert len(features.times) == len(features.values) == features.offsets[-1]
    assert gather(paths, []).values.shape == (0, 8)
    with pytest.raises(KeyError, match=sha("nobody")):
        gather(paths, [sha("a"), sha("nobody")])
    write_some(tmp_path / "0.h5", "")  # of a pack whose items all failed
    assert gather([tmp_path / "0.h5", *paths], [sha("a")]).values.shape == (1, 8)
    write_some(tmp_path / "3.h5", "f", width=9)
    with pytest.raises(ValueError, match="different rows"):
        gather([*paths, tmp_path / "3.h5"], [sha("f")])


def test_gather_notices_damage(tmp_path):
    write_some(tmp_path / "1.h5")
    with h5py.File(tmp_path / "1.h5", "r+") as file:
        file["values"][0, 0] += 1
    with pytest.raises(DamagedShard, match=r"1\.h5.*digest"):
        gather([tmp_path / "1.h5"], [sha("a")])


# -- the trap: a handle that forked processes share gives wrong rows, silently


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_loader_read_right_rows(store, context):
    features = open_store(store)
    features["video0"]  # opened before the fork
    dataset = FeatureDataset(features)
    loader = DataLoader(
        dataset, batch_size=7, num_workers=2, shuffle=True, collate_fn=pad, multiprocessing_context=context
    )
    seen = []
    for _ in range(2):
        for names, rows, times, mask in loader:
            assert rows.shape[:2] == times.shape == mask.shape
            for name, values, seconds, real in zip(names, rows, times, mask, strict=True):
                number = int(name.removeprefix("video"))
                assert int(real.sum()) == 1 + number % 5
                assert (values[real] == number).all()
                assert (values[~real] == 0).all()
                np.testing.assert_array_equal(seconds[real], np.arange(1 + number % 5) / 2)
                seen.append(name)
    assert sorted(seen) == sorted(2 * list(features))


def test_processes_that_share_an_open_store_read_right_rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(20, 512)).astype(np.float16) for _ in range(60)]
    publish(tmp_path / "store", named(map(str, range(60))), rows)
    features = open_store(tmp_path / "store")
    features["0"]
    children = []
    for seed in range(4):
        child = os.fork()
        if child == 0:
            order = np.random.default_rng(seed).integers(0, 60, 1000)
            wrong = sum(not np.array_equal(features[str(i)], rows[i]) for i in order)
            os._exit(min(wrong, 255))
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4


def test_a_store_is_pickled_as_its_path(store):
    features = open_store(store)
    features["video0"]
    again = pickle.loads(pickle.dumps(features))
    assert len(pickle.dumps(features)) < 500
    np.testing.assert_array_equal(again["video77"], features["video77"])


def test_few_shards_are_open_at_once(store, monkeypatch):
    monkeypatch.setattr("videocap.extract.shards.store.MOST_OPEN", 1)
    features = open_store(store)
    held = len(os.listdir("/proc/self/fd"))
    for i in (0, 50, 100, 1, 51, 101):
        assert features[f"video{i}"].max() == i
        assert len(os.listdir("/proc/self/fd")) <= held + 1
    del features
    assert len(os.listdir("/proc/self/fd")) == held


# -- what a store may look like


versions = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xyz"), min_size=1)


@given(st.lists(st.tuples(versions, st.booleans()), min_size=1, max_size=5))
def test_the_union_of_overlapping_stores_holds_each_item_once_in_its_newest_version(tmp_path_factory, shards):
    folder = tmp_path_factory.mktemp("union")
    newest = {}
    for number, (shard, mine) in enumerate(shards):
        items = [(name, sha(name + version)) for name, version in shard.items()]
        rows = [np.array([[ord(name), ord(version)]], np.float16) for name, version in shard.items()]
        publish(folder / ("mine" if mine else "yours"), items, rows, 1000.0 + number)
        newest |= shard
    for place in {folder / ("mine" if mine else "yours") for _, mine in shards}:
        shutil.copytree(place, folder / "both", dirs_exist_ok=True)
    features = open_store(folder / "both")
    assert set(features) == set(newest)
    assert features.superseded == len({pair for shard, _ in shards for pair in shard.items()}) - len(newest)
    loaded = features.load()
    for number, name in enumerate(loaded.ids):
        assert features.digests[name] == sha(name + newest[name])
        np.testing.assert_array_equal(features[name], [[ord(name), ord(newest[name])]])
        np.testing.assert_array_equal(loaded[number], features[name])


def test_manifests_of_before_name_no_items_and_their_shards_do(tmp_path):
    manifest = publish(tmp_path / "store", named("ab"), some_rows([1, 2]))
    there = json.loads(manifest.read_text())
    del there["ids"]
    manifest.write_text(json.dumps(there))
    assert list(open_store(tmp_path / "store")) == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [{"ids": ["b", "a"]}, {"digests": [sha("a"), sha("c")]}, {"spec": {"stage": "other"}}],
    ids=lambda change: next(iter(change)),
)
def test_a_manifest_that_lies_about_its_shard_is_found_out(tmp_path, change):
    publish(tmp_path / "store", named("ab"), some_rows([1, 2]), **change)
    features = open_store(tmp_path / "store")
    name = next(iter(features))
    for read in (features.__getitem__, features.times, lambda name: features.load([name])):
        with pytest.raises(DamagedShard, match=r"\.h5.*manifest"):
            read(name)


def test_a_manifest_with_too_few_names_is_refused(tmp_path):
    publish(tmp_path / "store", named("ab"), some_rows([1, 2]), ids=["a"])
    with pytest.raises(DamagedShard, match=r"holds 1 items, and its manifest names 2"):
        open_store(tmp_path / "store")


@pytest.mark.parametrize("payload", ["../{}", "/{}", "x/{}", "absent.h5", "{}/../{}"])
def test_a_payload_elsewhere_is_not_looked_at(tmp_path, payload):
    manifest = publish(tmp_path / "store", named("ab"), some_rows([1, 2]))
    there = json.loads(manifest.read_text())
    shutil.copy(manifest.with_name(there["payload"]), tmp_path)
    manifest.write_text(json.dumps(there | {"payload": payload.replace("{}", there["payload"])}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(open_store(tmp_path / "store")) == 0


def test_a_payload_that_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    manifest = publish(tmp_path / "store", named("ab"), some_rows([1, 2]))
    payload = manifest.with_name(json.loads(manifest.read_text())["payload"])
    payload.unlink()
    os.mkfifo(payload)
    with pytest.raises(DamagedShard, match="no regular file"):
        open_store(tmp_path / "store")["a"]


def test_rows_of_two_widths_are_refused(tmp_path):
    publish(tmp_path / "store", named("a"), some_rows([2], width=8))
    publish(tmp_path / "store", named("b"), some_rows([2], width=9))
    features = open_store(tmp_path / "store")
    features["a"]
    with pytest.raises(ValueError, match="different rows"):
        features["b"]


def test_too_many_open_files_are_no_damage(store):
    code = (
        "import resource, sys; from videocap import open_store\n"
        "store = open_store(sys.argv[1]); files = []\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\n"
        "try:\n"
        "    while True: files.append(open('/dev/null'))\n"
        "except OSError: pass\n"
        "try: store['video0']\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store], capture_output=True, text=True)
    assert done.stdout.startswith("OSError"), done.stdout + done.stderr
    assert "damaged" not in done.stdout


def test_threads_read_right_rows_while_shards_are_closed(store, monkeypatch):
    monkeypatch.setattr("videocap.extract.shards.store.MOST_OPEN", 1)
    features = open_store(store)
    order = np.random.default_rng(0).integers(0, 120, 4000).tolist()
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda i: features[f"video{i}"], order))
    assert all(row.shape == (1 + i % 5, 8) and (row == i).all() for row, i in zip(rows, order, strict=True))


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"payload": 1}', "[" * 100_000])
def test_what_is_no_manifest_is_left_alone(tmp_path, text):
    publish(tmp_path / "store", named("ab"), some_rows([1, 2]))
    (tmp_path / "store" / "notes.json").write_text(text)
    with pytest.warns(UserWarning, match=r"notes\.json is no manifest"):
        assert len(open_store(tmp_path / "store")) == 2


def test_what_is_no_store_says_where_stores_are(tmp_path):
    with pytest.raises(ValueError, match="no such store"):
        open_store(tmp_path / "absent")
    (tmp_path / "stores" / "EmbedFramesShard-abc").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no feature store.*EmbedFramesShard-abc"):
        open_store(tmp_path)
    (tmp_path / "text.h5").write_text("no shard")
    with pytest.raises(DamagedShard, match=r"text\.h5"):
        open_store(tmp_path / "text.h5")


def test_damage_and_loss_are_named_when_an_item_is_read(store):
    gone, cut, _ = sorted(store.glob("*.h5"))
    features = open_store(store)
    names = {path: [name for name in features if features._places[name][0].path == path] for path in (gone, cut)}
    features[names[cut][0]]
    gone.unlink()
    with open(cut, "r+b") as file:
        file.truncate(3000)
    with pytest.raises(DamagedShard, match=f"{gone.name}.*gone"):
        features[names[gone][0]]
    with pytest.raises(DamagedShard, match=f"{cut.name}.*cut short"):
        features[names[cut][-1]]


def test_a_shard_that_goes_after_it_was_read_is_named(store):
    features = open_store(store)
    features.load()
    for path in store.glob("*.h5"):
        path.unlink()
    for read in (features.__getitem__, lambda name: features.load([name])):
        with pytest.raises(DamagedShard, match=r"\.h5 is gone; open the store anew"):
            read("video0")


def test_a_dataset_names_what_the_store_has_not(store):
    dataset = FeatureDataset(store, ["video3", "video1"])
    name, rows, times = dataset[1]
    assert (len(dataset), name, rows.dtype, times.dtype) == (2, "video1", torch.float16, torch.float32)
    with pytest.raises(KeyError, match="video999"):
        FeatureDataset(store, ["video3", "video999"])


def test_extract_itself_needs_neither_hdf5_nor_torch():
    code = "import sys, videocap.extract, videocap.extract.config; print({'h5py', 'numpy', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
    code = "import sys, videocap.extract.shards.store; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"

"""`videocap store import` and `store export`: what is bad is named, what is new is added, and a kill costs little."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from imports import CONFIG, features_of, lay_out, videocap
from runs import environment, kill

from videocap import open_store


@pytest.fixture
def folder(tmp_path) -> Path:
    """Captions and features, see `lay_out`."""
    return lay_out(tmp_path)


@pytest.mark.slow
def test_import_goes_on_behind_what_is_bad_and_adds_what_is_new(folder):
    done = videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    assert done.returncode == 1
    assert "25 of 26 items are new" in done.stdout
    assert "left out: wrong: its rows have 9 numbers" in done.stderr
    again = videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    assert "0 of 26 items are new" in again.stdout
    with h5py.File(folder / "theirs.hdf5", "r+") as file:
        del file["wrong"]
        file["late"] = features_of(98)
    later = videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    assert later.returncode == 0
    assert "1 of 26 items are new" in later.stdout
    narrow = videocap(folder, "store", "import", "theirs.hdf5", "--name", "../c3d")
    assert narrow.returncode == 2
    assert "--name" in narrow.stderr
    # what is exported is what was imported
    (store,) = (folder / "artifacts" / "stores").iterdir()
    done = videocap(folder, "store", "export", store.name, "out.hdf5")
    assert done.returncode == 0, done.stderr
    with h5py.File(folder / "out.hdf5") as mine, h5py.File(folder / "theirs.hdf5") as theirs:
        assert set(mine) == set(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name][:], theirs[name][:].astype(np.float16).astype(np.float32))
    assert "made elsewhere" in videocap(folder, "store", "ls").stdout
    assert videocap(folder, "store", "verify").returncode == 0
    assert videocap(folder, "store", "gc", "--delete").returncode == 0
    assert len(list(store.glob("*.h5"))) == 2, "imported features can't be made again"
    old = time.time() - 10 * 24 * 3600
    for name in (".half.h5", "loose.h5"):
        (store / name).write_text("half")
        os.utime(store / name, (old, old))
    assert "no manifest names .half.h5, loose.h5" in videocap(folder, "store", "verify").stdout
    assert videocap(folder, "store", "gc", "--delete").returncode == 0
    assert not (store / ".half.h5").exists()
    assert len(list(store.glob("*.h5"))) == 3, "a damaged manifest is no reason to lose features"
    (store / "loose.h5").unlink()
    # of damage, what is to be done can be done
    shard = next(store.glob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:-1])
    bad = videocap(folder, "store", "verify")
    assert bad.returncode == 1
    assert "what was imported, import again" in bad.stdout


def test_a_width_that_differs_from_what_is_there_is_refused(folder):
    videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    (folder / "wide").mkdir()
    np.save(folder / "wide" / "video3.npy", np.ones((2, 32), np.float32))
    done = videocap(folder, "store", "import", "wide", "--name", "c3d")
    assert done.returncode == 1
    assert "video3: its rows have 32 numbers, not 16: import it under another --name" in done.stderr


def test_who_goes_back_to_earlier_features_has_them(folder):
    ahead = None
    for version in (1, 2, 1, 2):
        (folder / f"v{version}").mkdir(exist_ok=True)
        np.save(folder / f"v{version}" / "video3.npy", features_of(version))
        done = videocap(folder, "store", "import", f"v{version}", "--name", "c3d")
        assert "1 of 1 items are new" in done.stdout, done.stderr
        (store,) = (folder / "artifacts" / "stores").iterdir()
        np.testing.assert_array_equal(open_store(store)["video3"], features_of(version).astype(np.float16))
        if ahead is None:  # made where the clock is ahead
            (ahead,) = (path for path in store.glob("*.json") if path.name != "store.json")
            ahead.write_text(json.dumps(json.loads(ahead.read_text()) | {"created": time.time() + 3600}))
    assert "0 of 1 items are new" in videocap(folder, "store", "import", "v2", "--name", "c3d").stdout


def test_a_killed_import_goes_on_where_it_stopped(folder):
    with h5py.File(folder / "many.hdf5", "w") as file:
        for i in range(400):
            file[f"video{i}"] = np.random.default_rng(i).normal(size=(200, 64)).astype(np.float32)
    (folder / "theirs.toml").write_text(CONFIG + "[pipeline]\nshard_size = 20\n")
    arguments = ("store", "import", "many.hdf5", "--name", "c3d", "--config", "theirs.toml")
    command = [sys.executable, "-m", "videocap", *arguments]
    process = subprocess.Popen(command, env=environment(folder / "artifacts"), cwd=folder, start_new_session=True)
    while not list(folder.glob("artifacts/stores/*/*.h5")):
        assert process.poll() is None
        time.sleep(0.002)
    kill(process)
    (store,) = (folder / "artifacts" / "stores").iterdir()
    before = len(open_store(store))
    assert before % 20 == 0
    assert before < 400
    assert f"{400 - before} of 400 items are new" in videocap(folder, *arguments).stdout
    assert len(open_store(store)) == 400
    assert videocap(folder, "store", "verify").returncode == 0


def test_one_odd_item_at_the_start_does_not_decide_the_width(folder):
    with h5py.File(folder / "theirs.hdf5", "r+") as file:
        file.move("wrong", "a wrong one")
    done = videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    assert "25 of 26 items are new" in done.stdout
    assert "left out: a wrong one" in done.stderr


def test_names_of_strangers_do_not_reach_the_terminal(folder):
    with h5py.File(folder / "theirs.hdf5", "r+") as file:
        file["\x1b]0;mine\x07"] = np.ones((2, 9), np.float32)
    done = videocap(folder, "store", "import", "theirs.hdf5", "--name", "c3d")
    assert "\x1b" not in done.stderr
    assert "left out: \\x1b]0;mine" in done.stderr

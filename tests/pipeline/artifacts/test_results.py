"""Publishing: whole or not at all, the first wins, a damaged or emptied place is taken over."""

import json
import os

import pytest

from videocap.pipeline.artifacts.results import Artifacts


def make(text):
    def fill(folder):
        (folder / "result.txt").write_text(text)

    return fill


def test_an_artifact_is_whole_or_absent(artifacts):
    def fails(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        artifacts.publish("Train", "k", {}, fails, {})
    assert artifacts.payload("Train", "k") is None
    artifacts.publish("Train", "k", {"a": 1}, make("one"), {})
    artifacts.publish("Train", "k", {"a": 1}, make("two"), {})
    payload = artifacts.payload("Train", "k")
    assert (payload / "result.txt").read_text() == "one"
    assert sorted(os.listdir(payload.parent)) == sorted(["manifest.json", payload.name])
    assert os.listdir(artifacts.scratch) == []


@pytest.mark.parametrize("harm", ["delete file", "shorten file", "delete payload", "damage manifest"])
def test_what_is_gone_or_damaged_is_made_anew(artifacts, harm):
    artifacts.publish("Train", "k", {}, make("one"), {})
    payload = artifacts.payload("Train", "k")
    if harm == "delete file":
        (payload / "result.txt").unlink()
    elif harm == "shorten file":
        (payload / "result.txt").write_text("o")
    elif harm == "delete payload":
        (payload / "result.txt").unlink()
        payload.rmdir()
    else:
        (payload.parent / "manifest.json").write_text("{")
    assert artifacts.payload("Train", "k") is None
    artifacts.publish("Train", "k", {}, make("two"), {})
    assert (artifacts.payload("Train", "k") / "result.txt").read_text() == "two"


def test_the_folder_keeps_its_id_when_it_moves(artifacts, tmp_path):
    before = artifacts.id
    os.rename(artifacts.root, tmp_path / "moved")
    assert Artifacts(tmp_path / "moved").id == before


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"nothing can be kept in .*file .*VIDEOCAP_ARTIFACTS"):
        _ = Artifacts(tmp_path / "file").id


def test_manifests_are_json_a_person_can_read(artifacts):
    artifacts.publish("Train", "k", {"config": {"train.lr": 0.1}}, make("one"), {"host": "here"})
    manifest = json.loads((artifacts.folder("Train", "k") / "manifest.json").read_text())
    assert manifest["recipe"] == {"config": {"train.lr": 0.1}}
    assert manifest["files"]["result.txt"]["size"] == 3

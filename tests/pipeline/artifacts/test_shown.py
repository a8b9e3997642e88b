"""What an experiment shows: links that are replaced as a whole, and move with the folder."""

import os

from videocap.pipeline.artifacts.shown import Shown


def make(text):
    def fill(folder):
        (folder / "result.txt").write_text(text)

    return fill


def test_a_run_shows_its_results_and_moves_with_the_folder(artifacts, tmp_path):
    artifacts.publish("Report", "k", {}, make("one"), {})
    artifacts.publish("Report", "l", {}, make("two"), {})
    for key, config in (("k", "x"), ("l", "y"), ("k", "x"), ("k", "z")):
        payload = artifacts.payload("Report", key)
        texts = {"config.toml": config}
        shown = Shown(artifacts.root, "demo", payload, texts)
        assert not shown.is_linked()
        shown.link({})
        assert shown.is_linked()
    os.rename(artifacts.root, tmp_path / "moved")
    assert (tmp_path / "moved" / "runs" / "demo" / "result.txt").read_text() == "one"
    assert (tmp_path / "moved" / "runs" / "demo" / "config.toml").read_text() == "z"

"""What an experiment shows: links that are replaced as a whole, and move with the folder."""

import os

import pytest

from videocap.pipeline.artifacts.results import Artifacts
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


def shown_of(artifacts, name="demo", config="x", key="k"):
    return Shown(artifacts.root, name, artifacts.payload("Report", key), {"config.toml": config})


@pytest.fixture
def published(artifacts) -> Artifacts:
    artifacts.publish("Report", "k", {}, make("one"), {})
    return artifacts


def test_what_is_shown_is_the_payload_itself_beside_texts_of_its_own(published):
    shown_of(published).link({})
    place = published.root / "runs" / "demo"
    assert sorted(path.name for path in place.iterdir()) == ["config.toml", "result.txt"]
    assert (place / "result.txt").resolve() == published.payload("Report", "k") / "result.txt"
    assert (place / "config.toml").read_text() == "x"


def test_a_page_of_its_own_is_in_place_of_the_payloads_which_stays(published):
    first, other = shown_of(published), shown_of(published, "other", "y")
    first.link({"result.txt": "one, of demo"})
    other.link({"result.txt": "one, of other"})
    for name in ("demo", "other"):
        assert (published.root / "runs" / name / "result.txt").read_text() == f"one, of {name}"
    assert (published.payload("Report", "k") / "result.txt").read_text() == "one"
    assert first.is_linked()
    first.link({"result.txt": "later"})
    assert (published.root / "runs" / "demo" / "result.txt").read_text() == "one, of demo", "as it was first shown"


def test_texts_that_were_changed_or_went_are_shown_anew(published):
    shown, place = shown_of(published), published.root / "runs" / "demo"
    for harm in (lambda: (place / "config.toml").write_text("z"), lambda: (place / "config.toml").unlink()):
        shown.link({})
        assert shown.is_linked()
        harm()
        assert not shown.is_linked()
    shown.link({})
    assert (place / "config.toml").read_text() == "x"
    assert not shown_of(published, config="y").is_linked()
    assert not shown_of(published, "other").is_linked()


def test_a_folder_of_somebodys_own_is_not_written_over(published):
    place = published.root / "runs" / "demo"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    shown = shown_of(published)
    with pytest.raises(OSError, match="demo"):
        shown.link({})
    assert not shown.is_linked()
    assert (place / "mine.txt").read_text() == "mine"

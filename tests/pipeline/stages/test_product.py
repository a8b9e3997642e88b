"""A result as a product: its identity is its content or its key, and its value is what was published, or an error."""

import pytest
from failures import again, in_folder

from videocap import tasks
from videocap.pipeline.stages.product import Result

NAMES = ["a.mp4", "b.mp4"]
TABLE = "videos.train.json"


@pytest.fixture
def corpus(tmp_path, artifacts) -> Result:
    corpus = tasks.Corpus.of(in_folder(tmp_path, NAMES))
    corpus.run()
    return corpus.product


def test_before_it_is_made_nothing_of_it_is_known(tmp_path, artifacts):
    experiment = in_folder(tmp_path, NAMES)
    product = tasks.Corpus.of(experiment).product
    assert (product.key, product.place, product.todo()) == (None, None, None), "its files were not read yet"
    product = tasks.References.of(experiment).product
    assert (product.key, product.done, product.identity("")) == (None, False, None)
    assert [reason["what"] for reason in product.reasons()] == ["input", "input"]
    with pytest.raises(ValueError, match="the result of References is gone; run the same command again"):
        product.value("")


def test_its_parts_are_known_by_their_content(corpus):
    files = corpus.manifest()["files"]
    assert corpus.identity(TABLE) == files[TABLE]["sha256"]
    assert corpus.identity("") == corpus.manifest()["content"]
    assert corpus.size == sum(file["size"] for file in files.values())
    assert (corpus.done, corpus.todo(), corpus.reasons()) == (True, False, [])
    assert corpus.value(TABLE).read_bytes()


def test_what_is_identified_by_its_key_is_the_same_whatever_came_out(corpus):
    by_key = Result(corpus.recipe, corpus.artifacts, True)
    assert by_key.identity(TABLE) == by_key.identity("") == corpus.key


def test_a_damaged_file_is_no_value(corpus):
    file = corpus.payload() / TABLE
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert corpus.done, "its size is right"
    for part in (TABLE, ""):
        with pytest.raises(ValueError, match=r"videos\.train\.json is damaged; delete .* and run again"):
            corpus.value(part)
    assert corpus.value("counts.json").name == "counts.json"


def test_what_differs_is_told_against_the_nearest_earlier_result_or_the_one_that_had_an_identity(corpus, tmp_path):
    identity = corpus.identity(TABLE)
    (tmp_path / "captions.csv").write_text("video,caption\na.mp4,another caption\nb.mp4,a caption\n")
    later = tasks.Corpus.of(again(tmp_path))
    assert later.product.reasons() == [
        {"what": "source", "field": "files", "old": None, "new": None, "unread": ["annotations"]}
    ]
    later.run()
    assert later.product.since(TABLE, identity) == [], "the table of videos is what it was"
    (reason,) = later.product.since("", corpus.manifest()["content"])
    assert (reason["what"], reason["field"]) == ("source", "annotations")
    assert later.product.since(TABLE, "0" * 64) == []

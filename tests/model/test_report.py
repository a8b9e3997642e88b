"""The page of results shows the training, and needs nothing but itself."""

import json
from html.parser import HTMLParser

import pytest

from model import curves, report


class Page(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


COUNTS = {
    "annotated": {"train": {"videos": 3, "captions": 9}, "test": {"videos": 1, "captions": 1}},
    "kept": {"train": {"videos": 2, "captions": 9}, "test": {"videos": 1, "captions": 1}},
    "left_out": [{"what": "videos left out, no caption", "count": 1, "names": 1, "examples": ["<odd>"]}],
    "remarks": [],
}


@pytest.fixture
def results(tmp_path):
    scores = {"split": "test", "videos": 1, "protocol": "coco", "controls": {}} | dict.fromkeys(report.METRICS, 0.5)
    scores |= {"interval": {metric: [0.4, 0.6] for metric in report.METRICS}, "aspects": {}}
    inputs = {
        "scores": ("scores.json", json.dumps(scores)),
        "video_scores": ("video_scores.json", "{}"),
        "captions": ("captions.json", json.dumps([{"video_id": "a", "caption": "a <b>dog</b> runs"}])),
        "references": ("captions.test.json", json.dumps({"a": ["a dog runs"]})),
        "counts": ("counts.json", json.dumps(COUNTS)),
        "model": ("model.safetensors", ""),
        "curves": ("curves.csv", "epoch,step,lr,loss,caption,val_cider\n1,10,0.1,4.0,3.0,0.2\n2,20,0.1,2.0,1.5,0.8\n"),
    }
    for name, text in inputs.values():
        (tmp_path / name).write_text(text)
    made = tmp_path / "made"
    made.mkdir()
    report.make(made, None, failures=[], **{key: tmp_path / name for key, (name, _) in inputs.items()})
    return made


def test_the_picture_in_the_page_is_the_one_beside_it(results):
    drawn = (results / "curves.svg").read_text()
    assert drawn == curves.picture(curves.read(results / "curves.csv"))
    assert drawn in (results / "report.html").read_text()


def test_the_page_asks_for_no_other_file(results):
    text = (results / "report.html").read_text()
    tags = Page(text).tags
    assert "svg" in [tag for tag, _ in tags]
    assert not {"script", "link", "img", "iframe", "image", "use"} & {tag for tag, _ in tags}
    assert not any({"src", "href", "xlink:href"} & set(attributes) for _, attributes in tags)
    assert "url(" not in text
    assert "@import" not in text


def test_captions_are_text_not_markup(results):
    assert "b" not in [tag for tag, _ in Page((results / "report.html").read_text()).tags]


def test_the_data_is_counted_and_what_was_left_out_is_named(results):
    text = " ".join((results / "report.html").read_text().split())
    assert "<td>train</td> <td>2 of 3</td><td>9</td></tr>" in text
    assert "1 videos left out, no caption: &lt;odd&gt;" in text

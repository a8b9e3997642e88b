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
        "video_scores": ("video_scores.json", json.dumps({"caption": {"a": {"CIDEr": 1.25}}})),
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


def test_a_caption_stands_with_its_score_and_references(results):
    text = " ".join((results / "report.html").read_text().split())
    assert '<h3>The best by CIDEr</h3><dl> <dt>a <span class="dim">CIDEr 1.25</span></dt>' in text
    assert "reference: a dog runs" in text
    assert "The worst" not in text  # there is no other video


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 12, 13, 30])
def test_the_best_the_middle_and_the_worst_are_shown(count):
    captions = [{"video_id": f"video{number:02}", "caption": "c"} for number in range(count)]
    scores = {f"video{number:02}": {"CIDEr": number / 10} for number in range(count)}
    found = report.examples(captions, scores)
    best, middle, worst = ([round(10 * item["CIDEr"]) for item in items] for items in found.values())
    ranked = sorted(range(count), reverse=True)
    assert best == ranked[: report.EXAMPLES]
    assert worst == sorted(set(ranked) - set(best))[: report.EXAMPLES]
    shown = best + middle + worst
    assert len(shown) == len(set(shown)) == min(count, 3 * report.EXAMPLES)
    if count == 30:
        assert middle == [16, 15, 14, 13]

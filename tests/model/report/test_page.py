"""The page of results says what there is, as text, and needs nothing but itself."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from reports import COUNTS, report

from videocap.model.config import METRICS
from videocap.model.report import page


class Page(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_asks_for_no_other_file(results):
    text = (results / "report.html").read_text()
    tags = Page(text).tags
    assert "svg" in [tag for tag, _ in tags]
    assert not {"script", "link", "iframe", "image", "use"} & {tag for tag, _ in tags}
    sources = [attributes.get(name) for _, attributes in tags for name in ("src", "href", "xlink:href")]
    assert [source[:23] for source in sources if source] == ["data:image/jpeg;base64,"]
    assert "url(" not in text
    assert "@import" not in text


def test_the_papers_figures_are_marked_as_the_papers(results):
    text = " ".join((results / "report.html").read_text().split())
    ours, theirs = text.split('<tr class="paper">', 1)
    assert "<td>model</td> <td>0.500</td>" in ours
    label = "<td>the paper: Clip4VideoCap, V2C&#39;s split and scoring</td>"
    assert f"{label} <td>0.622</td><td>0.315</td><td>0.658</td><td>0.753</td>" in theirs
    assert "own system of V2C's split (2,903) and V2C's scoring: two measures" in theirs


def test_a_model_that_is_not_ahead_is_said_to_be_so_in_front(tmp_path, inputs):
    scores = json.loads(inputs["scores"].read_text())
    row = dict.fromkeys(METRICS, 0.4)
    scores["controls"] = {
        "nearest training videos": row | {"ahead": [-0.02, 0.3]},
        "blind": row | {"ahead": [0.1, 0.2]},
    }
    scores["quality"] |= {"distinct": 0.25, "copied": 0.5, "repeated": [["a <man> talks", 0.4]]}
    inputs["scores"].write_text(json.dumps(scores))
    text = " ".join((report(tmp_path / "bad", inputs) / "report.html").read_text().split())
    front = text.partition("<table>")[0]
    assert (
        "The model is not ahead of: nearest training videos (CIDEr 0.400; the difference lies between -0.020" in front
    )
    assert "not ahead of: blind" not in front
    assert "Captions: 25% distinct, 3 of 9 known words used, 50% copied from training, 0% break off" in front
    assert "40% of the videos have the same caption: &#39;a &lt;man&gt; talks&#39;" in front


def test_captions_are_text_not_markup(results):
    assert "b" not in [tag for tag, _ in Page((results / "report.html").read_text()).tags]


def test_the_data_is_counted_and_what_was_left_out_is_named(results):
    text = " ".join((results / "report.html").read_text().split())
    assert "<td>train</td> <td>2 of 3</td><td>9</td></tr>" in text
    assert "<ul> <li>1 videos left out, no caption: &lt;odd&gt;</li> </ul>" in text


def test_the_counts_of_an_earlier_corpus_are_told_as_they_are(tmp_path, inputs):
    row = {"what": "videos with <odd> names", "count": 5, "names": 5, "examples": ["a", "b", "c"]}
    old = COUNTS | {"left_out": [row], "remarks": ["there are no val videos"]}
    inputs["counts"].write_text(json.dumps(old))
    text = " ".join((report(tmp_path / "old", inputs) / "report.html").read_text().split())
    assert "<ul> <li>5 videos with &lt;odd&gt; names: a, b, c</li> <li>there are no val videos</li></ul>" in text


def test_a_caption_stands_with_its_score_and_references(results):
    text = " ".join((results / "report.html").read_text().split())
    assert '<h3>The best by CIDEr</h3><dl> <dt>a.mp4 <span class="dim">CIDEr 1.25</span></dt>' in text
    assert "reference: a dog runs" in text
    assert "The worst" not in text  # there is no other video


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 12, 13, 30])
def test_the_best_the_middle_and_the_worst_are_shown(count):
    captions = [{"video_id": f"video{number:02}", "caption": "c"} for number in range(count)]
    scores = {f"video{number:02}": {"CIDEr": number / 10} for number in range(count)}
    found = page.examples(captions, scores)
    best, middle, worst = ([round(10 * item["CIDEr"]) for item in items] for items in found.values())
    ranked = sorted(range(count), reverse=True)
    assert best == ranked[: page.EXAMPLES]
    assert worst == sorted(set(ranked) - set(best))[: page.EXAMPLES]
    shown = best + middle + worst
    assert len(shown) == len(set(shown)) == min(count, 3 * page.EXAMPLES)
    if count == 30:
        assert middle == [16, 15, 14, 13]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [1100, 400])
def test_a_browser_shows_the_page_and_its_pictures(results, width):
    shot = results.parent / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"]
    page = [f"--window-size={width},1600", f"--screenshot={shot}", (results / "report.html").as_uri()]
    said = subprocess.run(["chromium", *options, *page], capture_output=True, text=True, timeout=120).stderr
    assert "CONSOLE" not in said
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    # the curves and the test picture have colours, all else is grey
    coloured = (picture.max(axis=2) - picture.min(axis=2) > 60).sum(axis=1)
    assert coloured.max() > width / 4  # the strip, across most of the page

"""The page of results shows the training, and needs nothing but itself."""

import base64
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from videos import synthetic

from videocap.extract.config import DecodeConfig, EncoderConfig
from videocap.extract.video.sampler import Sampler
from videocap.model.config import METRICS
from videocap.model.report import curves, page, stage, strips
from videocap.pipeline.digests import file_digest
from videocap.tasks import CONFIGS


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
    "left_out": [{"what": "videos_no_caption", "count": 1, "names": 1, "examples": ["<odd>"]}],
    "remarks": [],
}


PAPER = CONFIGS / "ablations" / "table1.toml"


@pytest.fixture
def inputs(tmp_path):
    scores = {"split": "test", "videos": 1, "protocol": "coco", "controls": {}} | dict.fromkeys(METRICS, 0.5)
    scores |= {"interval": {metric: [0.4, 0.6] for metric in METRICS}, "aspects": {}}
    inputs = {
        "scores": ("scores.json", json.dumps(scores)),
        "video_scores": ("video_scores.json", json.dumps({"caption": {"a.mp4": {"CIDEr": 1.25}}})),
        "captions": ("captions.json", json.dumps([{"video_id": "a.mp4", "caption": "a <b>dog</b> runs"}])),
        "references": ("captions.test.json", json.dumps({"a.mp4": ["a dog runs"]})),
        "counts": ("counts.json", json.dumps(COUNTS)),
        "model": ("model.safetensors", ""),
        "curves": ("curves.csv", "epoch,step,lr,loss,caption,val_cider\n1,10,0.1,4.0,3.0,0.2\n2,20,0.1,2.0,1.5,0.8\n"),
    }
    for name, text in inputs.values():
        (tmp_path / name).write_text(text)
    files = {key: tmp_path / name for key, (name, _) in inputs.items()}
    (tmp_path / "videos").mkdir()
    clip = synthetic(tmp_path / "videos" / "a.mp4", "-pix_fmt yuv420p")
    (tmp_path / "table.json").write_text(json.dumps([["a.mp4", file_digest(clip)]]))
    shown = {"videos": clip.parent, "sampling": SimpleNamespace(decode=DecodeConfig(), encoder=EncoderConfig())}
    shown |= {"sampler": Sampler}
    return {"failures": [], "table": tmp_path / "table.json", "paper": PAPER, **shown, **files}


@pytest.fixture
def results(tmp_path, inputs):
    return report(tmp_path / "made", inputs)


def report(made, inputs):
    made.mkdir()
    stage.make(made, SimpleNamespace(data=SimpleNamespace(kind="folder")), **inputs)
    return made


def test_the_picture_in_the_page_is_the_one_beside_it(results):
    drawn = (results / "curves.svg").read_text()
    assert drawn == curves.picture(curves.read(results / "curves.csv"))
    assert drawn in (results / "report.html").read_text()


def test_the_page_asks_for_no_other_file(results):
    text = (results / "report.html").read_text()
    tags = Page(text).tags
    assert "svg" in [tag for tag, _ in tags]
    assert not {"script", "link", "iframe", "image", "use"} & {tag for tag, _ in tags}
    sources = [attributes.get(name) for _, attributes in tags for name in ("src", "href", "xlink:href")]
    assert [source[:23] for source in sources if source] == ["data:image/jpeg;base64,"]
    assert "url(" not in text
    assert "@import" not in text


def test_a_file_that_the_report_does_not_know_lies_beside_the_others_and_is_linked(tmp_path, inputs, results):
    (tmp_path / "words & more.json").write_text("{}")
    made = report(tmp_path / "with", inputs | {"words": tmp_path / "words & more.json"})
    assert (made / "words & more.json").read_text() == "{}"
    text = (made / "report.html").read_text()
    assert '<li><a href="words%20%26%20more.json">words &amp; more.json</a></li>' in text
    assert "<h2>Further results" not in (results / "report.html").read_text()


@pytest.mark.parametrize("name", ["scores.json", "report.html"])
def test_a_file_with_the_name_of_another_is_refused_and_nothing_is_written_over(tmp_path, inputs, name):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text("mine")
    known = inputs["scores"].read_text()
    with pytest.raises(ValueError, match=f"has a {name} already: let the file of words"):
        report(tmp_path / "with", inputs | {"words": tmp_path / "other" / name})
    assert (inputs["scores"].read_text(), (tmp_path / "other" / name).read_text()) == (known, "mine")


def test_the_papers_figures_are_marked_as_the_papers(results):
    text = " ".join((results / "report.html").read_text().split())
    ours, theirs = text.split('<tr class="paper">', 1)
    assert "<td>model</td> <td>0.500</td>" in ours
    assert "<td>the paper: Clip4VideoCap</td> <td>0.622</td><td>0.315</td><td>0.658</td><td>0.753</td>" in theirs
    assert "of the 2,990 test videos of MSR-VTT; the scores above them are of other videos" in theirs


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


def test_a_strip_shows_the_frames_from_left_to_right_in_two_rows():
    frames = np.zeros((40, 64, 64, 3), np.uint8) + np.linspace(0, 255, 40).astype(np.uint8)[:, None, None, None]
    kind, _, data = strips.strip(frames).partition(",")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert kind == "data:image/jpeg;base64"
    assert picture.shape == (2 * 96, 6 * 96, 3)
    levels = picture.reshape(2, 96, 6, 96, 3).mean(axis=(1, 3, 4)).reshape(12)
    assert np.abs(levels - np.linspace(0, 255, 12)).max() < 6


def test_a_video_that_has_gone_or_changed_has_no_strip(tmp_path):
    clip = synthetic(tmp_path / "a.mp4", "-pix_fmt yuv420p")
    (tmp_path / "b.mp4").write_text("no video")
    items = [("a.mp4", file_digest(clip)), ("b.mp4", file_digest(tmp_path / "b.mp4")), ("c.mp4", "0" * 64)]
    sections = DecodeConfig(), EncoderConfig()
    assert set(strips.strips(items, tmp_path, *sections, Sampler)) == {"a.mp4"}
    assert strips.strips([("a.mp4", "0" * 64)], tmp_path, *sections, Sampler) == {}


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

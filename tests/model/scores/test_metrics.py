"""Scores equal published ones and pycocoevalcap's own, and hold where pycocoevalcap does not."""

import json
import os
from pathlib import Path

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from videocap.model.config import METRICS
from videocap.model.scores import java
from videocap.model.scores.cider import CiderScorer
from videocap.model.scores.java import JavaError
from videocap.model.scores.metrics import score

BREAKS = ["\r", "\n", "\r\n", *"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\t", "\ud83d"]


def expected(data: Path, start: str) -> dict[str, float]:
    lines = json.loads((data / "scoring/expected.json").read_text())
    (found,) = (scores for name, scores in lines.items() if name.startswith(start))
    return {metric: found[metric.replace("-", "_").replace("BLEU", "Bleu")] for metric in METRICS}


def agree(found: dict[str, float], wanted: dict[str, float], within: float = 0) -> None:
    """Equal to the last digit, unless the known answer is not so exact."""
    assert list(found) == list(METRICS)
    assert found == pytest.approx(wanted, abs=within, rel=0)


# Known answers


@pytest.mark.parametrize("protocol", ["coco", "v2c"])
def test_nlgeval_published(data, meteor, protocol):
    lines = [(data / "scoring/nlgeval" / f"{name}.txt").read_text().splitlines() for name in ("hyp", "ref1", "ref2")]
    captions = {f"video{i}": line for i, line in enumerate(lines[0])}
    references = {f"video{i}": [lines[1][i], lines[2][i]] for i in range(len(lines[0]))}
    agree(score(captions, references, protocol, meteor).corpus, expected(data, "nlgeval"), within=5e-7)


def test_msrvtt_coco(data, meteor, msrvtt, capfd):
    scores = score(*msrvtt, meteor=meteor)
    agree(scores.corpus, expected(data, "msrvtt_val: hypothesis"))
    assert list(scores.videos) == sorted(msrvtt[0])
    for metric in ("CIDEr", "METEOR", "ROUGE-L"):
        values = [video[metric] for video in scores.videos.values()]
        assert 0 <= min(values) < max(values)
        if metric != "METEOR":  # METEOR's corpus score is no mean
            assert sum(values) / len(values) == pytest.approx(scores.corpus[metric])
    assert capfd.readouterr().out == ""
    assert CiderScorer(msrvtt[1]).score(msrvtt[0]) == scores.corpus["CIDEr"]


def test_msrvtt_v2c(data, meteor, msrvtt):
    scores = score(*msrvtt, "v2c", meteor)
    agree(scores.corpus, expected(data, "msrvtt_val: the same without"))
    cider = CiderScorer(msrvtt[1], "v2c")
    assert [cider.score(msrvtt[0]) for _ in range(2)] == [scores.corpus["CIDEr"]] * 2


def test_msvd(data, meteor):
    folder = data / "scoring/msvd_s2vt"
    captions, references = {}, {}
    for line in (folder / "predicted_sentences.txt").read_text().splitlines():
        _, video, caption = line.split("\t")
        captions[video] = caption
    for line in (folder / "references.txt").read_text().splitlines():
        video, caption = line.split("\t")
        references.setdefault(video, []).append(caption)
    references = {video: references[video] for video in captions}
    agree(score(captions, references, meteor=meteor).corpus, expected(data, "msvd_s2vt"), within=1e-15)  # another order


@pytest.mark.parametrize("protocol", ["coco", "v2c"])
def test_equals_pycocoevalcap_to_the_last_digit(meteor, theirs, msrvtt, protocol):
    videos = sorted(msrvtt[0])[:60]
    captions = {video: msrvtt[0][video].upper() + "!" for video in videos}
    references = {video: msrvtt[1][video][: 1 + i % 19] for i, video in enumerate(videos)}
    captions[videos[0]], captions[videos[1]], references[videos[2]] = "", "...", [*references[videos[2]], ""]
    captions[videos[3]] = "two  blanks ||| and bars"
    scores = score(captions, references, protocol, meteor)

    made, wanted = {video: [captions[video]] for video in videos}, references
    if protocol == "coco":
        made = PTBTokenizer().tokenize({v: [{"caption": text} for text in texts] for v, texts in made.items()})
        wanted = PTBTokenizer().tokenize({v: [{"caption": text} for text in texts] for v, texts in wanted.items()})
    bleu, bleus = Bleu(4).compute_score(wanted, made, verbose=0)
    for metric, (whole, each) in {
        "CIDEr": Cider().compute_score(wanted, made),
        "METEOR": theirs.compute_score(wanted, made),
        "ROUGE-L": Rouge().compute_score(wanted, made),
        **{f"BLEU-{n + 1}": (bleu[n], bleus[n]) for n in range(4)},
    }.items():
        assert scores.corpus[metric] == whole, metric
        assert [scores.videos[video][metric] for video in videos] == list(each), metric


@pytest.fixture(scope="module")
def theirs():
    """pycocoevalcap's own METEOR, and for its tokenizer: `java` on the PATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{java.JAVA.parent}{os.pathsep}{os.environ['PATH']}")
        yield TheirMeteor()


# Captions that would move others


@pytest.mark.parametrize("protocol", ["coco", "v2c"])
def test_awkward_captions_score_as_their_words(meteor, protocol):
    plain = {f"video{i}": "a man walks a dog" for i in range(len(BREAKS))}
    references = {video: ["a man walks his dog", "someone is out with a dog"] for video in plain}
    references["video0"] = ["a cat sleeps"]
    awkward = {f"video{i}": f"a man{mark}walks a dog{mark}" for i, mark in enumerate(BREAKS)}
    assert score(awkward, references, protocol, meteor) == score(plain, references, protocol, meteor)


@pytest.mark.parametrize("protocol", ["coco", "v2c"])
def test_empty_captions_score_nothing(meteor, protocol):
    scores = score({"a": "", "b": ""}, {"a": ["a man walks"], "b": ["a dog barks"]}, protocol, meteor)
    assert scores.corpus == {metric: scores.videos["a"][metric] for metric in METRICS} == dict.fromkeys(METRICS, 0.0)


def test_references_without_words_do_not_stop_scoring(meteor):
    scores = score({"a": "a man walks", "b": "a dog"}, {"a": ["..."], "b": ["", "!"]}, meteor=meteor)
    assert scores.corpus == pytest.approx(dict.fromkeys(METRICS, 0.0), abs=1e-9)


# Video ids


def test_missing_and_surplus_videos_are_named():
    captions = {"video1": "a", "video9": "b"}
    references = {f"video{i}": ["a"] for i in range(1, 6)}
    message = r"no caption for 4 videos \(video2, video3, video4, …\); no references for 1 video \(video9\)"
    with pytest.raises(ValueError, match=message):
        score(captions, references)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({"video1": ["a"], "video2": []}, r"no references for 1 video \(video2\)"),
        ({"video1": ["a"], "video2": "a man"}, r"1 video \(video2\) are one string"),
        ({}, "there are no references"),
    ],
)
def test_videos_without_references_are_named(references, message):
    with pytest.raises(ValueError, match=message):
        score(dict.fromkeys(references, "a"), references)
    with pytest.raises(ValueError, match=message):
        CiderScorer(references)


def test_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="must be 'coco' or 'v2c'"):
        CiderScorer({"a": ["b"]}, "ptb")


# Java


def test_java_that_fails_fails_the_score(fake_java):
    fake_java("exit 3")
    with pytest.raises(JavaError, match="exit status 3"):
        score({"a": "a man"}, {"a": ["a man"]})
    with pytest.raises(JavaError, match="exit status 3"):
        score({"a": "a man"}, {"a": ["a man"]}, "v2c")

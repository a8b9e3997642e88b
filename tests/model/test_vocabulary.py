"""Words to ids and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.model.vocabulary import EOS, PAD, SOS, SPECIAL, UNK, Vocabulary, build, tokenize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man is Cutting, leaves.", ["a", "man", "is", "cutting", "leaves"]),
        ("the dog's t-shirt -- 2 of 3!", ["the", "dog's", "t-shirt", "2", "of", "3"]),
        ("it\u2019s caf\u0065\u0301 <eos> \u00ab\u00fcber\u00bb", ["it's", "caf\u00e9", "eos", "\u00fcber"]),
        ("... 'quoted' under_score", ["quoted", "under", "score"]),
        ("", []),
    ],
)
def test_text_becomes_lower_case_words_without_punctuation(text, words):
    assert tokenize(text) == words


def test_rare_words_are_unknown_and_special_ids_come_first():
    vocabulary = build(["a cat sits", "a cat", "a dog"], min_count=2)
    assert vocabulary.words == (*SPECIAL, "a", "cat")
    assert vocabulary.encode("A dog, a cat", 30) == [SOS, 4, UNK, 4, 5, EOS]


def test_captions_are_cut_to_the_longest_and_still_end():
    vocabulary = build(["a b c d"], min_count=1)
    assert vocabulary.encode("a b c d", 2) == [SOS, 4, 5, EOS]


def test_decoding_stops_at_eos_and_leaves_out_padding():
    vocabulary = build(["a b c"], min_count=1)
    assert vocabulary.decode([SOS, 4, PAD, 6, EOS, 5]) == "a c"


def test_the_same_words_give_the_same_bytes(tmp_path):
    build(["z a", "b", "a"], 1).save(tmp_path / "one.json")
    build(["b b", "a", "z"], 1).save(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert Vocabulary.load(tmp_path / "one.json") == build(["a b z"], 1)


@given(st.lists(st.text(alphabet="abcäß한'-", min_size=1), min_size=1))
def test_known_words_come_back_as_they_were(texts):
    words = [word for text in texts for word in tokenize(text)]
    if words:
        vocabulary = build(texts, 1)
        assert vocabulary.decode(vocabulary.encode(" ".join(words), len(words))) == " ".join(words)


def test_no_known_word_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"vocabulary\.min_count"):
        build(["every word once"], min_count=2)


@pytest.mark.parametrize("content", ["{", "[]", '{"words": ["a"]}', '{"words": 3}', json.dumps({"words": [1, 2]})])
def test_a_file_that_is_no_vocabulary_is_refused_by_name(tmp_path, content):
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(ValueError, match=r"vocabulary\.json is not a vocabulary"):
        Vocabulary.load(tmp_path / "vocabulary.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में एक आदमी", ["हिन्दी", "में", "एक", "आदमी"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("3.5 of 1,000 men.", ["3.5", "of", "1,000", "men"]),
    ],
)
def test_words_of_other_scripts_and_numbers_stay_whole(text, words):
    assert tokenize(text) == words

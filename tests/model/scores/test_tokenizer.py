"""The tokenizer gives one item a caption, whatever is in it."""

import re
from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videocap.model.scores.tokenizer import tokenize

BREAKS = ["\r", "\n", "\r\n", *"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\t", "\ud83d"]


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


def test_tokenizers_at_the_same_time_do_not_mix():
    def run(number: int) -> list[str]:
        return tokenize([f"Caption {i} of {number}." for i in range(300)])

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(run, range(6)))
    assert found == [[f"caption {i} of {number}" for i in range(300)] for number in range(6)]

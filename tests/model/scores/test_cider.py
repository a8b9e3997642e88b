"""CIDEr's sums have pycocoevalcap's digits, for any captions and however often they are scored."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.cider.cider_scorer import precook

from videocap.model.scores.cider import Consensus, ngrams

TEXTS = st.lists(st.sampled_from(["a", "man", "dog", "walks", "runs", "to", "the", "house"]), max_size=9).map(" ".join)


@given(TEXTS)
def test_n_grams_are_those_of_pycocoevalcap_in_its_order(text):
    assert list(ngrams(text).items()) == list(precook(text).items())


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=4)), min_size=1, max_size=6), st.randoms())
def test_scores_equal_to_the_last_digit(videos, chance):
    scorer = Consensus([[ngrams(text) for text in group] for _, group in videos])
    for _ in range(2):
        captions = [caption for caption, _ in videos]
        wanted = {i: group for i, (_, group) in enumerate(videos)}
        if any(text for group in wanted.values() for text in group):  # else it counts no n-gram, and stops
            whole, each = Cider().compute_score(wanted, {i: [caption] for i, caption in enumerate(captions)})
            found = scorer.score([ngrams(caption) for caption in captions])
            assert (found[0], found[1]) == (whole, list(each))
        chance.shuffle(captions)
        videos = [(caption, group) for caption, (_, group) in zip(captions, videos, strict=True)]

"""Resampled scores are those of scoring the drawn videos: the laws of a bootstrap that need no scoring anew."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videocap.model.config import METRICS
from videocap.model.scores.bootstrap import corpus_scores, intervals, resampled
from videocap.model.scores.metrics import score

WORDS = ["a", "man", "dog", "walks", "runs", "to", "the", "quickly", "small", "house"]
NOT_MEANS = [METRICS.index(metric) for metric in METRICS if metric not in ("CIDEr", "ROUGE-L")]


@pytest.fixture(scope="module")
def msrvtt(data):
    """120 real videos: the first caption of each, and its other captions; one perfect, one empty."""
    tree = json.loads((data / "msrvtt/val.json").read_text(encoding="utf-8"))
    groups = {name: list(tree[name].values()) for name in sorted(tree)[:120]}
    captions = {name: group[0] for name, group in groups.items()}
    references = {name: group[1:] for name, group in groups.items()}
    first, second, third = sorted(captions)[:3]
    captions |= {first: references[first][0], second: "", third: "xyzzy plugh"}
    return captions, references


def of_copies(captions, references, draws, meteor):
    """Scores of a corpus that has each video as often as drawn, under names of their own."""
    names = [(name, i) for name, times in zip(sorted(captions), draws, strict=True) for i in range(times)]
    made = {f"{name} {i}": captions[name] for name, i in names}
    return score(made, {f"{name} {i}": references[name] for name, i in names}, "v2c", meteor).corpus


def test_once_each_gives_the_corpus_scores(msrvtt, meteor):
    for protocol in ("coco", "v2c"):
        scores = score(*msrvtt, protocol, meteor)
        (found,) = corpus_scores(scores.videos, np.ones((1, 120), int))
        np.testing.assert_allclose(found, list(scores.corpus.values()), rtol=1e-12)


def test_drawn_videos_score_as_a_corpus_of_them(msrvtt, meteor):
    """BLEU and METEOR are no means; METEOR's is held against Java's own sum over the drawn videos."""
    videos = score(*msrvtt, "v2c", meteor).videos
    draws = np.random.default_rng(1).multinomial(120, np.full(120, 1 / 120), size=2)
    for found, times in zip(corpus_scores(videos, draws), draws, strict=True):
        wanted = list(of_copies(*msrvtt, times, meteor).values())
        np.testing.assert_allclose(found[NOT_MEANS], np.array(wanted)[NOT_MEANS], rtol=1e-9)
        each = np.repeat([videos[name]["CIDEr"] for name in sorted(videos)], times)
        assert found[0] == pytest.approx(each.mean())


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_captions_drawn_any_number_of_times(meteor, data):
    text = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
    count = data.draw(st.integers(1, 4))
    captions = {str(i): data.draw(text) for i in range(count)}
    references = {str(i): data.draw(st.lists(text.filter(bool), min_size=1, max_size=3)) for i in range(count)}
    draws = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count).filter(any))
    videos = score(captions, references, "v2c", meteor).videos
    (found,) = corpus_scores(videos, np.array([draws]))
    wanted = list(of_copies(captions, references, draws, meteor).values())
    np.testing.assert_allclose(found[NOT_MEANS], np.array(wanted)[NOT_MEANS], rtol=1e-9, atol=1e-12)


def test_intervals_hold_the_score_and_pairs_share_their_draws(msrvtt, meteor):
    scores = score(*msrvtt, "v2c", meteor)
    one, same = resampled(scores.videos, scores.videos)
    assert one.shape == (1000, len(METRICS))
    assert (one == same).all()
    again = resampled(scores.videos)[0]
    assert (one == again).all()
    for metric, (low, high) in intervals(one).items():
        assert low < scores.corpus[metric] < high, metric
        assert high - low < 0.5 * scores.corpus[metric] + 0.1, metric


def test_scores_of_other_videos_are_no_pairs():
    row = dict.fromkeys(METRICS, 0.5) | {"counts": {"BLEU": [1] * 10, "METEOR": [1] * 23}}
    with pytest.raises(ValueError, match="same videos"):
        resampled({"a": row}, {"b": row})

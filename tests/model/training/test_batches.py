"""Training data: what belongs together is drawn together, and an epoch depends on its number and the seed alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from captioner import D_TEXT, Video, features, training_data, videos, vocabulary
from hypothesis import given
from hypothesis import strategies as st

from videocap.model.config import ASPECTS
from videocap.model.training.consensus import caption_weights
from videocap.model.vocabulary import PAD


@pytest.mark.parametrize(("epoch", "captions_per_video"), [("video", 1), ("caption", 1), ("caption", 2)])
def test_an_epoch_draws_what_belongs_together_and_every_item_once(epoch, captions_per_video):
    of = videos(10)
    data, words = training_data(of), vocabulary(of)
    packed = np.split(features(10).values, features(10).offsets[1:-1])
    drawn, read = [], 0
    for batch in data.epoch(3, seed=1, batch_size=4, epoch=epoch, captions_per_video=captions_per_video):
        read += len(batch.frames)
        assert sorted(set(batch.owners.tolist())) == list(range(len(batch.frames))), "no video is read for nothing"
        for row, owner in enumerate(batch.owners):
            frames = batch.frames[owner][batch.mask[owner]].numpy()
            index = next(i for i, own in enumerate(packed) if np.array_equal(own, frames))
            text = words.decode(batch.tokens[row].tolist())
            assert text in of[index].captions
            all_captions = sorted({caption for video in of for caption in video.captions})
            assert torch.equal(batch.text[row], data.text.values[all_captions.index(text)].float())
            for aspect in ASPECTS:
                annotation = words.decode(batch.aspects[aspect][row].tolist())
                assert annotation in of[index].aspects.get(aspect, ("",))
                assert (batch.aspects[aspect][row, 0] == PAD) == (aspect not in of[index].aspects)
            drawn.append((index, text))
    if epoch == "video":
        assert sorted(index for index, _ in drawn) == list(range(10))
        assert data.steps(4, epoch) == 3
    else:
        assert sorted(drawn) == sorted((index, text) for index in range(10) for text in of[index].captions)
        assert data.steps(4, epoch) == 5
    assert read == 10 if epoch == "video" or captions_per_video == 2 else read > 10


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=12), size=st.integers(1, 10), seed=st.integers(0, 2**31))
def test_groups_hold_all_captions_once_and_so_many_of_a_video_together(counts, size, seed):
    of = [Video(str(i), tuple(f"word {j}" for j in range(count))) for i, count in enumerate(counts)]
    data = training_data(of, aspects=())
    order = data._grouped(size, torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(sum(counts)))
    owners = data.owners[order].tolist()
    runs = 1 + sum(a != b for a, b in pairwise(owners))
    if size > 1:
        assert runs <= sum(-(-count // size) for count in counts)


def test_a_standardised_target_is_the_same_whatever_the_text_encoders_units():
    of = videos(6)
    rows = {caption: index for index, caption in enumerate(sorted({c for video in of for c in video.captions}))}
    values = np.random.default_rng(1).standard_normal((len(rows), D_TEXT))
    drawn = []
    for scale, shift in ((1, 0), (4, 3)):
        data = training_data(of, embeddings=(scale * values + shift).astype(np.float16), target="standardised")
        drawn.append(torch.cat([batch.text for batch in data.epoch(1, seed=0, batch_size=4, epoch="caption")]))
    torch.testing.assert_close(*drawn, atol=0.02, rtol=0)
    assert drawn[0].std() == pytest.approx(1, abs=0.1)


def test_without_a_target_there_is_no_text_in_a_batch():
    data = training_data(videos(6), embeddings=None)
    assert next(data.epoch(1, seed=0, batch_size=4, epoch="video")).text is None
    assert data.d_text == data.d_in


def test_an_epoch_depends_on_its_number_and_the_seed_alone():
    data = training_data(videos(10))

    def tokens(number, seed):
        batches = data.epoch(number, seed=seed, batch_size=4, epoch="video")
        return [text for batch in batches for text in map(str, batch.tokens.tolist())]

    assert tokens(2, 0) == tokens(2, 0)
    assert tokens(2, 0) != tokens(3, 0)
    assert tokens(2, 0) != tokens(2, 1)


def test_feature_statistics_are_those_of_all_frames():
    data = training_data(videos(10))
    values = features(10).values.astype(np.float64)
    mean, std = data.statistics()
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-6)
    np.testing.assert_allclose(std, values.std(0), atol=1e-6)


def test_texts_without_words_are_left_out_with_a_warning():
    of = videos(4)
    of[1].captions = (*of[1].captions, "...")
    with pytest.warns(UserWarning, match="1 training texts without a word"):
        assert training_data(of).steps(1, "caption") == 8


def test_a_video_without_captions_and_an_aspect_without_annotations_are_named():
    of = videos(4)
    of[2].captions = ()
    with pytest.raises(ValueError, match="'video2' has no caption"):
        training_data(of)
    of = videos(4)
    for video in of:
        video.aspects.pop("attribute")
    with pytest.raises(ValueError, match=r"'attribute': take it out of aspects\.use"):
        training_data(of)


def test_a_caption_comes_with_its_weight_and_all_of_a_batch_comes_twice():
    of = [Video(v.id, (*v.captions, f"what else {v.captions[0]}"), v.aspects) for v in videos(10)]
    data, words = training_data(of, consensus=0.5), vocabulary(of)
    weights = iter(caption_weights([video.captions for video in of], 0.5).tolist())
    known = {(video.id, text): next(weights) for video in of for text in video.captions}
    first = {tuple(data.frames(torch.tensor([i]))[0][0, 0].tolist()): video.id for i, video in enumerate(of)}
    for batch in data.epoch(1, seed=0, batch_size=4, epoch="caption", captions_per_video=2):
        ids = [first[tuple(batch.frames[owner, 0].tolist())] for owner in batch.owners]
        found = [known[name, words.decode(row.tolist())] for name, row in zip(ids, batch.tokens, strict=True)]
        assert batch.weights.tolist() == found
        twice = batch.twice()
        for name in ("frames", "mask", "tokens", "text", "weights"):
            for half in getattr(twice, name).chunk(2):
                assert torch.equal(half, getattr(batch, name))
        for aspect, tokens in twice.aspects.items():
            assert torch.equal(tokens, torch.cat((batch.aspects[aspect],) * 2))
        assert torch.equal(twice.frames[twice.owners], torch.cat((batch.frames[batch.owners],) * 2))
        assert twice.read is None
    assert len(set(known.values())) > 1

"""Training data: what belongs together is drawn together, and an epoch depends on its number and the seed alone."""

import numpy as np
import pytest
import torch
from captioner import features, training_data, videos, vocabulary

from videocap.model.config import ASPECTS
from videocap.model.vocabulary import PAD


@pytest.mark.parametrize("epoch", ["video", "caption"])
def test_an_epoch_draws_what_belongs_together_and_every_item_once(epoch):
    of = videos(10)
    data, words = training_data(of), vocabulary(of)
    packed = np.split(features(10).values, features(10).offsets[1:-1])
    drawn = []
    for batch in data.epoch(3, seed=1, batch_size=4, epoch=epoch):
        for row in range(len(batch.tokens)):
            frames = batch.frames[row][batch.mask[row]].numpy()
            index = next(i for i, own in enumerate(packed) if np.array_equal(own, frames))
            text = words.decode(batch.tokens[row].tolist())
            assert text in of[index].captions
            all_captions = sorted({caption for video in of for caption in video.captions})
            assert torch.equal(batch.text[row], data.text[all_captions.index(text)].float())
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

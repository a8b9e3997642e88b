"""A model on disk is the one that was trained, and files that do not belong together are refused."""

import pytest
import torch
from captioner import D_IN, config, training_data, videos, vocabulary
from training import run

from videocap.model.captioner.saved import load


def test_a_loaded_model_is_the_trained_one(tmp_path):
    of = videos(8)
    out = run(tmp_path, config(("intention",), epochs=1), of)
    model, words = load(out)
    assert words == vocabulary(of)
    assert not model.training
    assert list(model.aspects) == ["intention"]
    assert model.feature_mean.shape == (D_IN,)
    torch.testing.assert_close(model.feature_mean, training_data(of).statistics()[0])


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    one = run(tmp_path, config(epochs=1), videos(8))
    (one / "model.json").write_text((one / "model.json").read_text().replace('"d_in": 12', '"d_in": 10000000000000'))
    with pytest.raises(ValueError, match=r"model\.safetensors does not fit model\.json"):
        load(one)
    vocabulary(videos(3)).save(one / "vocabulary.json")
    with pytest.raises(ValueError, match=r"words, vocabulary\.json has"):
        load(one)

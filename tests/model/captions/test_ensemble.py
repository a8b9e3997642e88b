"""Captioners that write together: by the mean of their probabilities, and only with their like."""

import pytest
import torch
from captioner import D_IN, config, features, random_captioner, videos, vocabulary
from safetensors.torch import load_file, save_file
from training import run, sign

from videocap.model.captioner import saved
from videocap.model.captions import ensemble
from videocap.model.captions.search import caption, search
from videocap.model.vocabulary import EOS, SOS


def test_each_word_comes_by_the_mean_of_the_probabilities():
    models = [random_captioner(seed, 12) for seed in (1, 2, 3)]
    together = ensemble.Ensemble(models)
    frames, mask = torch.randn(4, 3, D_IN), torch.ones(4, 3, dtype=torch.bool)
    tokens = torch.randint(4, 12, (4, 2, 3))
    tokens[:, :, 0] = SOS
    for source, of in (("caption", models), ("effect", models[:1])):
        cache = together.start(together.encode(frames, mask), source)
        alone = [model.start(model.encode(frames, mask), source) for model in of]
        for place in range(3):
            word = tokens[:, :, place]
            chances = [m.step(source, word, own).softmax(-1) for m, own in zip(of, alone, strict=True)]
            torch.testing.assert_close(together.step(source, word, cache).exp(), torch.stack(chances).mean(0))


def test_one_model_thrice_writes_as_once():
    model = random_captioner(4, 12)
    frames, mask = torch.randn(5, 3, D_IN), torch.ones(5, 3, dtype=torch.bool)
    thrice = ensemble.Ensemble([model, model, model])
    with torch.inference_mode():
        alone, together = (search(m, m.encode(frames, mask), "caption", 3, 1.0)[0] for m in (model, thrice))
    assert alone == together
    assert all(EOS not in text for text in alone)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two trainings of the same words, one of others."""
    made = []
    for seed, count in ((0, 8), (1, 8), (0, 3)):
        folder = tmp_path_factory.mktemp("run")
        made.append(run(folder, config(("intention",), epochs=2, lr=1e-2, seed=seed), videos(count)))
    return made


def test_the_models_of_folders_write_together(folders):
    model, words = ensemble.load(folders[0], [folders[1]], "cpu")
    of = videos(8)
    rows = caption(
        model, words, features(8), [v.id for v in of], beam=2, length_penalty=1.0, batch_size=3, device="cpu"
    )
    assert words == vocabulary(of)
    (alone,), _ = saved.load(folders[0])
    own = caption(alone, words, features(8), [v.id for v in of], beam=2, length_penalty=1.0, batch_size=3, device="cpu")
    assert [row["intention"] for row in rows] == [row["intention"] for row in own]
    assert isinstance(ensemble.load(folders[0], [], "cpu")[0], type(alone))


def test_a_caption_is_as_long_as_all_of_them_can_write():
    models = [random_captioner(1, 12, max_tokens=8), random_captioner(2, 12, max_tokens=5)]
    frames, mask = torch.randn(6, 3, D_IN), torch.ones(6, 3, dtype=torch.bool)
    together = ensemble.Ensemble(models)
    for model in models:
        model.bias.data[EOS] = -100.0
    with torch.inference_mode():
        found, _ = search(together, together.encode(frames, mask), "caption", 2, 1.0)
    assert {len(text) for text in found} == {5}


def test_models_that_do_not_go_together_are_named(folders):
    with pytest.raises(ValueError, match=f"{folders[2]}: its model has other words"):
        ensemble.load(folders[0], [folders[2]], "cpu")
    weights = load_file(folders[1] / "model.safetensors")
    save_file(weights | {"feature_mean": weights["feature_mean"] + 1}, folders[1] / "model.safetensors")
    sign(folders[1])
    with pytest.raises(ValueError, match=f"{folders[1]}: its model was trained on other features"):
        ensemble.load(folders[0], [folders[1]], "cpu")

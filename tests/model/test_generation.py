"""Beam search against a plain reference that knows no batches and no cache."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import D_IN, D_TEXT, config, features, videos, vocabulary

from model.captioner import Captioner
from model.generation import caption, search
from model.vocabulary import EOS, PAD, SOS, UNK, tokenize


def make(seed: int, words: int, max_tokens: int = 5) -> Captioner:
    """A random model in float64 whose word scores differ enough that searches differ."""
    torch.manual_seed(seed)
    model = Captioner(config(("effect",), max_tokens=max_tokens), d_in=D_IN, d_text=D_TEXT, words=words).double()
    for name, weight in model.named_parameters():
        if weight.ndim > 1:  # as drawn, a model says its last word over and over, whatever it sees
            weight.data.mul_(0.3 if name == "embedding.weight" else 4)
    for decoder in (model.decoder, model.aspects["effect"].decoder):
        decoder.norm.bias.data.add_(8 * model.embedding.weight.data[EOS])  # … and seldom ends
    return model.eval()


def reference(model: Captioner, frames, source: str, beam: int, penalty: float) -> list[int]:
    """The search of one video as `search` defines it, scoring every hypothesis from its start each time."""
    memory = model.encode(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
    most = model.max_tokens[source]
    live, finished = [(0.0, [])], []
    for length in range(1, most + 2):
        extensions = []
        for score, words in live:
            logits = model.logits(model.hidden(memory, source, torch.tensor([[SOS, *words]])))[0, -1]
            for word, chance in enumerate(logits.log_softmax(-1).tolist()):
                too_soon, too_late = word == EOS and not words, word != EOS and length > most
                if word not in (PAD, UNK, SOS) and not too_soon and not too_late:
                    extensions.append((score + chance, [*words, word]))
        extensions.sort(key=lambda extension: -extension[0])
        finished += [(score / length**penalty, words) for score, words in extensions[:beam] if words[-1] == EOS]
        live = [extension for extension in extensions if extension[1][-1] != EOS][:beam]
        if len(finished) >= beam or not live:
            break
    return max(finished)[1][:-1]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    words=st.integers(6, 14),
    beam=st.integers(1, 5),
    penalty=st.sampled_from([0.0, 0.7, 1.0, 2.0]),
    source=st.sampled_from(["caption", "effect"]),
)
def test_batched_cached_search_equals_the_plain_one(seed, words, beam, penalty, source):
    model = make(seed, words)
    lengths = torch.tensor([6, 3, 1])
    mask = torch.arange(6) < lengths[:, None]
    frames = torch.randn(3, 6, D_IN, dtype=torch.float64)
    with torch.inference_mode():
        found = search(model, model.encode(frames, mask), source, beam, penalty)
        for index, length in enumerate(lengths):
            assert found[index] == reference(model, frames[index : index + 1, :length], source, beam, penalty)


def test_the_random_models_tell_searches_apart():
    found = {1: [], 4: []}
    for seed in range(30):
        model = make(seed, 10)
        with torch.inference_mode():
            memory = model.encode(torch.randn(3, 6, D_IN), torch.ones(3, 6, dtype=torch.bool))
            for beam, captions in found.items():
                captions += search(model, memory, "caption", beam, 1.0)
    assert sum(one != four for one, four in zip(*found.values(), strict=True)) > 20
    assert {len(words) for words in found[4]} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("source", ["caption", "effect"])
def test_a_beam_of_one_is_greedy(source):
    model = make(3, 12)
    frames, mask = torch.randn(5, 4, D_IN), torch.ones(5, 4, dtype=torch.bool)
    with torch.inference_mode():
        memory = model.encode(frames, mask)
        found = search(model, memory, source, 1, 1.0)
        tokens = torch.full((5, 1), SOS)
        for _ in range(model.max_tokens[source]):
            scores = model.logits(model.hidden(memory, source, tokens))[:, -1]
            scores[:, [PAD, UNK, SOS]] = -torch.inf
            if tokens.shape[1] == 1:
                scores[:, EOS] = -torch.inf
            tokens = torch.cat((tokens, scores.argmax(-1, keepdim=True)), 1)
    rows = [row[1:] for row in tokens.tolist()]
    assert found == [row[: row.index(EOS)] if EOS in row else row for row in rows]
    assert len({len(row) for row in found}) > 1


def test_captions_do_not_depend_on_the_batch_and_keep_to_their_length():
    of = videos(16)
    words = vocabulary(of)
    model = make(1, len(words))
    given_features, ids = features(16), [video.id for video in of]
    options = {"beam": 3, "length_penalty": 1.0, "device": "cpu"}
    together = caption(model, words, given_features, ids, batch_size=16, **options)
    assert together == caption(model, words, given_features, ids, batch_size=3, **options)
    assert [entry["video_id"] for entry in together] == ids
    assert set(together[0]) == {"video_id", "caption", "effect"}
    for entry in together:
        assert 1 <= len(tokenize(entry["caption"])) <= 5
        assert 1 <= len(tokenize(entry["effect"])) <= 6
        assert "unk" not in entry["caption"]
    assert len({entry["caption"] for entry in together}) > 1


def test_aspects_can_be_left_out():
    of = videos(4)
    words = vocabulary(of)
    written = caption(
        make(1, len(words)),
        words,
        features(4),
        [video.id for video in of],
        beam=1,
        length_penalty=1.0,
        batch_size=4,
        device="cpu",
        aspects=False,
    )
    assert all(set(entry) == {"video_id", "caption"} for entry in written)


def test_damaged_weights_are_an_error_and_no_empty_caption():
    model = make(0, 12)
    model.embedding.weight.data[5] = torch.nan
    with torch.inference_mode():
        memory = model.encode(torch.randn(1, 4, D_IN), torch.ones(1, 4, dtype=torch.bool))
        with pytest.raises(ValueError, match="no finite word scores"):
            search(model, memory, "caption", 2, 1.0)


def test_a_video_without_features_is_named():
    of = videos(4)
    words = vocabulary(of)
    empty = features(4)
    empty.offsets[2] = empty.offsets[1]
    with pytest.raises(ValueError, match="'video1' has no frame features"):
        caption(
            make(0, len(words)),
            words,
            empty,
            [video.id for video in of],
            beam=1,
            length_penalty=1.0,
            batch_size=4,
            device="cpu",
        )

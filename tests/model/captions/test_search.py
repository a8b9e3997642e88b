"""Beam search against a plain reference that knows no batches and no cache."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captioner import D_IN, D_TEXT, config, features, logits, random_captioner, videos, vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from videocap.extract.json_files import dump_json, load_json
from videocap.extract.shards.exchange import write_shard
from videocap.model.captioner import saved
from videocap.model.captioner.captioner import Captioner
from videocap.model.captions import stage as captioning
from videocap.model.captions.search import caption, search, search_all
from videocap.model.config import GenerateConfig
from videocap.model.vocabulary import EOS, PAD, SOS, UNK, tokenize


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """These models are too small for two: where processors are shared, threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def say(model: Captioner, scores: list[int]) -> Captioner:
    """`model`, but each word's score is that of `scores`, whatever it sees; no rounding makes equal ones differ."""
    for decoder in (model.decoder, model.aspects["effect"].decoder):
        decoder.norm.weight.data.zero_()
        decoder.norm.bias.data.zero_()[0] = 1
    model.embedding.weight.data[:, 0] = torch.tensor(scores)
    return model


def repeats(words: list[int], n: int) -> bool:
    """Whether n words in a row stand twice in `words`."""
    ngrams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return len(set(ngrams)) < len(ngrams)


@torch.inference_mode()
def reference(
    model: Captioner, frames: torch.Tensor, source: str, beam: int, penalty: float, no_repeat: int = 0
) -> list[tuple[float, list[int]]]:
    """What `search_all` promises of one video, `frames` (N, d_v): each hypothesis is scored from its start each time.

    All that ended, as (score, words), the best first.
    """
    memory = model.encode(frames[None], torch.ones(1, len(frames), dtype=torch.bool))
    most = model.max_tokens[source]
    live, finished = [(0.0, [])], []  # (score, words)
    for length in range(1, most + 2):
        extensions = []
        for score, words in live:
            next_word = logits(model, memory, source, torch.tensor([[SOS, *words]]))[0, -1]
            for word, chance in enumerate(next_word.log_softmax(-1).tolist()):
                may_be = word not in (PAD, UNK, SOS)
                too_soon, too_late = word == EOS and not words, word != EOS and length > most
                again = no_repeat > 0 and repeats([*words, word], no_repeat)
                if may_be and not too_soon and not too_late and not again:
                    extensions.append((score + chance, [*words, word]))
        extensions.sort(key=lambda extension: -extension[0])  # equal ones stay as they are
        finished += [(score / length**penalty, words) for score, words in extensions[:beam] if words[-1] == EOS]
        live = [(score, words) for score, words in extensions if words[-1] != EOS][:beam]
        if len(finished) >= beam:
            break
    return [(score, words[:-1]) for score, words in sorted(finished, key=lambda one: -one[0])]  # stable


SEARCHES = {
    "source": st.sampled_from(["caption", "effect"]),
    "beam": st.integers(1, 6),
    "penalty": st.sampled_from([0.0, 0.7, 1.0, 2.0]),
    "no_repeat": st.integers(0, 3),
}


def compare(model: Captioner, lengths: list[int], **options) -> None:
    """Hold a batch of videos of `lengths` frames, and each of them alone, against the reference."""
    source, beam, penalty, no_repeat = (options[name] for name in SEARCHES)
    lengths = torch.tensor(lengths)
    mask = torch.arange(max(lengths)) < lengths[:, None]
    frames = torch.randn(*mask.shape, D_IN, dtype=torch.float64)
    frames[~mask] = 1e4  # nothing of this may be seen
    with torch.inference_mode():
        many = search_all(model, model.encode(frames, mask), source, beam, penalty, no_repeat, 3)
        together = search(model, model.encode(frames, mask), source, beam, penalty, no_repeat)
        for length, row, best, *found in zip(lengths, frames, many, *together, strict=True):
            real = row[:length]
            (score, words), *_ = expected = reference(model, real, source, beam, penalty, no_repeat)
            alone = search(model, model.encode(real[None], mask.new_ones(1, length)), source, beam, penalty, no_repeat)
            for answer in (found, [answers[0] for answers in alone]):
                assert answer == [words, pytest.approx(score, abs=1e-9)]
            assert [(pytest.approx(one.score, abs=1e-9), one.words) for one in best] == expected[:3]
            for one in best:
                total = one.score * (len(one.words) + 1) ** penalty
                assert one.log_probability == pytest.approx(total, abs=1e-9)
            assert not no_repeat or not repeats(words, no_repeat)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    words=st.integers(5, 14),  # the first four are never written: a beam may be wider than there are hypotheses
    max_tokens=st.integers(2, 8),
    layers=st.integers(1, 2),
    heads=st.sampled_from([1, 2, 4]),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    **SEARCHES,
)
def test_batched_cached_search_equals_the_plain_one(seed, words, max_tokens, layers, heads, lengths, **options):
    compare(
        random_captioner(seed, words, max_tokens, layers=layers, aspect_layers=layers, heads=heads), lengths, **options
    )


@settings(max_examples=40, deadline=None)
@given(scores=st.lists(st.integers(0, 2), min_size=5, max_size=10), **SEARCHES)
def test_of_words_that_are_as_likely_the_plain_search_and_the_other_take_the_same(scores, **options):
    compare(say(random_captioner(0, len(scores)), scores), [3, 1], **options)


def test_the_random_models_tell_searches_apart():
    searches = {"greedy": (1, 0), "beam": (4, 0), "no word twice": (4, 1), "no two words twice": (4, 2)}
    found = {name: [] for name in searches}
    for seed in range(30):
        model = random_captioner(seed, 10)
        with torch.inference_mode():
            memory = model.encode(torch.randn(3, 6, D_IN), torch.ones(3, 6, dtype=torch.bool))
            for name, (beam, no_repeat) in searches.items():
                found[name] += search(model, memory, "caption", beam, 1.0, no_repeat)[0]
    assert sum(one != four for one, four in zip(found["greedy"], found["beam"], strict=True)) > 20
    assert {len(words) for words in found["beam"]} == {1, 2, 3, 4, 5}
    for n, name in enumerate(("no word twice", "no two words twice"), start=1):
        assert sum(repeats(words, n) for words in found["beam"]) > 5
        assert not any(repeats(words, n) for words in found[name])


def test_the_search_is_over_when_every_video_has_its_finished_hypotheses():
    model = random_captioner(3, 12, max_tokens=30)
    frames, mask = torch.randn(3, 4, D_IN), torch.ones(3, 4, dtype=torch.bool)
    batches = []
    model.decoder.norm.register_forward_hook(lambda norm, given, hidden: batches.append(len(hidden)))
    with torch.inference_mode():
        memory = model.encode(frames, mask)
        found, _ = search(model, memory, "caption", 3, 1.0)
    steps = len(batches)
    assert max(map(len, found)) < steps < 31
    assert batches[0] == 3
    assert batches[-1] < 3, "videos whose search is over are computed no more"


@pytest.mark.parametrize("source", ["caption", "effect"])
def test_a_beam_of_one_is_greedy(source):
    model = random_captioner(3, 12)
    frames, mask = torch.randn(5, 4, D_IN), torch.ones(5, 4, dtype=torch.bool)
    with torch.inference_mode():
        memory = model.encode(frames, mask)
        found, _ = search(model, memory, source, 1, 1.0)
        tokens = torch.full((5, 1), SOS)
        for _ in range(model.max_tokens[source]):
            scores = logits(model, memory, source, tokens)[:, -1]
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
    model = random_captioner(1, len(words))
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


@pytest.mark.parametrize(
    "options",
    [{"beam": 1}, {"length_penalty": 0.0}, {"no_repeat_ngram": 1}, {"no_repeat_ngram": 2, "batch_size": 3}],
)
def test_the_stage_writes_what_its_options_ask_for(tmp_path, options):
    of, given_features = videos(16), features(16)
    words, sections = vocabulary(of), config(("effect",), max_tokens=5)
    model = random_captioner(1, len(words)).float()
    saved.save_model(tmp_path, sections, model.state_dict(), words, d_in=D_IN, d_text=D_TEXT)
    items = [(video.id, f"{index:064x}") for index, video in enumerate(of)]
    rows = np.split(given_features.values, given_features.offsets[1:-1])
    write_shard(tmp_path / "shard.h5", "key", {}, items, rows)
    dump_json(tmp_path / "videos.test.json", items)

    def stage(**fields) -> list[dict[str, str]]:
        read = SimpleNamespace(generate=GenerateConfig(**fields), train=sections.train)
        shards = {digest: tmp_path / "shard.h5" for _, digest in items}
        captioning.make(tmp_path, read, model=tmp_path, videos=tmp_path / "videos.test.json", rows=shards)
        return load_json(tmp_path / "captions.json")

    asked = {"beam": 5, "length_penalty": 1.0, "batch_size": 64, **options}
    expected = caption(model, words, given_features, [video.id for video in of], **asked, device="cpu")
    written = stage(**options)
    assert written == sorted(expected, key=lambda row: row["video_id"])
    assert written != stage()
    if n := options.get("no_repeat_ngram"):
        assert not any(repeats(tokenize(row[source]), n) for row in written for source in ("caption", "effect"))


def test_aspects_can_be_left_out():
    of = videos(4)
    words = vocabulary(of)
    written = caption(
        random_captioner(1, len(words)),
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
    model = random_captioner(0, 12)
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
            random_captioner(0, len(words)),
            words,
            empty,
            [video.id for video in of],
            beam=1,
            length_penalty=1.0,
            batch_size=4,
            device="cpu",
        )

"""Words one by one, with a cache, are those of all words at once."""

import pytest
import torch
from captioner import WORDS, batch, logits, make


@pytest.mark.parametrize("source", ["caption", "effect"])
def test_steps_with_a_cache_give_what_all_words_at_once_give(source):
    model, full = make(), batch()
    memory = model.encode(full.frames, full.mask)
    tokens = torch.randint(4, WORDS, (6, 3, 5))  # three hypotheses a video
    cache = model.start(memory, source)
    steps = torch.stack([model.step(source, tokens[:, :, t], cache) for t in range(5)], 2)
    for hypothesis in range(3):
        at_once = logits(model, memory, source, tokens[:, hypothesis])
        torch.testing.assert_close(steps[:, hypothesis], at_once, atol=1e-5, rtol=0)

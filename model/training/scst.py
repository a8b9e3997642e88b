"""Self-critical sequence training: captions are sampled, and each made likelier by how far it beats the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from videocap.model.captioner.captioner import CAPTION, Captioner
from videocap.model.captioner.packed import Packed
from videocap.model.captions.sampling import allowed, sample
from videocap.model.scores.cider import Consensus, Counts, ngrams
from videocap.model.scores.protocol import tokenized
from videocap.model.vocabulary import EOS, PAD, Vocabulary

END = "<eos>"


class Reward:
    """CIDEr-D of sampled captions against the training captions of their videos.

    The end counts as a word, on both sides: without it, a caption that breaks off ("a man in a") loses nothing.

    Args:
        captions: of each training video, in the order of the training data.
        vocabulary: of the sampled ids. A word is tokenised by itself, once.
    """

    def __init__(self, captions: Sequence[Sequence[str]], vocabulary: Vocabulary) -> None:
        self._words = [" ".join(of) for of in tokenized([[word] for word in vocabulary.words], "coco")]
        references = tokenized(captions, "coco")
        self._consensus = Consensus([[ngrams(f"{text} {END}") for text in group] for group in references])

    def __call__(self, videos: Sequence[int], captions: Sequence[Sequence[int]]) -> list[float]:
        """CIDEr-D of the words `captions` of `videos`, places in the training data."""
        return [self._consensus.one(video, self._counts(words)) for video, words in zip(videos, captions, strict=True)]

    def _counts(self, words: Sequence[int]) -> Counts:
        return ngrams(" ".join([*(self._words[word] for word in words), END]))


def scst_loss(
    model: Captioner, reward: Reward, videos: Tensor, frames: Tensor, shown: Tensor, mask: Tensor, samples: int
) -> tuple[Tensor, Tensor]:
    """The loss of sampled captions, a scalar, and their mean reward.

    Each caption's log-probability weighs as much as its reward exceeds the mean of the other samples of its video. It
    is drawn without dropout, as captions are written later; the loss has the dropout of training.

    Args:
        model: in training mode.
        videos: (V,), places in the training data.
        frames, mask: of these, (V, N, d_v) and (V, N).
        shown: the frames as training shows them.
        samples: captions a video, at least 2.
    """
    model.eval()
    with torch.no_grad():
        numbers = torch.rand(len(videos), samples, model.max_tokens[CAPTION], device=frames.device)
        tokens = sample(model, model.encode(frames, mask), CAPTION, numbers)[0].flatten(0, 1)
    model.train()
    torch.clear_autocast_cache()  # or older torch's would give the loss these weights, which have no gradient
    texts = [[word for word in row[1:] if word not in (EOS, PAD)] for row in tokens.tolist()]
    owners = torch.arange(len(videos), device=frames.device).repeat_interleave(samples)
    rewards = torch.tensor(reward(videos.repeat_interleave(samples).tolist(), texts), dtype=torch.float32)
    rewards = rewards.view(-1, samples)
    others = (rewards.sum(1, keepdim=True) - rewards) / (samples - 1)
    advantage = (rewards - others).flatten().to(frames.device)

    words = Packed.of(tokens)
    hidden = model.hidden(model.encode(shown, mask), CAPTION, words, owners)
    chances = allowed(model.logits(hidden), first=words.positions == 0)  # (n, words)
    said = chances.gather(1, words.targets[:, None]).squeeze(1)
    return -(said * advantage[words.places // words.length]).sum() / len(said), rewards.mean()

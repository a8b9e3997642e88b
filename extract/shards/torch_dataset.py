"""A feature store as a torch dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from videocap.extract.shards.store import FeatureStore


class FeatureDataset(Dataset):
    """Items of a store: `dataset[i]` is (id, features float16 (rows, width), times float32 (rows)).

    Args:
        store: a store, or its path.
        ids: the items, in this order; by default all.

    Raises:
        KeyError: naming an id that the store has not.
    """

    def __init__(self, store: FeatureStore | str | os.PathLike, ids: Iterable[str] | None = None):
        self.store = store if isinstance(store, FeatureStore) else FeatureStore(store)
        self.ids = list(self.store if ids is None else ids)
        if absent := [name for name in self.ids if name not in self.store]:
            raise KeyError(f"{len(absent)} of {len(self.ids)} ids are not in {self.store.path}, as {absent[0]!r}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[str, Tensor, Tensor]:
        name = self.ids[index]
        return name, torch.from_numpy(self.store[name]), torch.from_numpy(self.store.times(name))


def pad(batch: list[tuple[str, Tensor, Tensor]]) -> tuple[list[str], Tensor, Tensor, Tensor]:
    """For a DataLoader's `collate_fn`.

    Returns:
        ids, features (B, N, width), times (B, N), and a mask (B, N), True at an item's own rows: N is the longest's.
    """
    names, features, times = zip(*batch, strict=True)
    mask = [torch.ones(len(rows), dtype=torch.bool) for rows in features]
    padded = (pad_sequence(list(tensors), batch_first=True) for tensors in (features, times, mask))
    return list(names), *padded

"""Checkpoints of a training that survive a kill at any moment."""

from __future__ import annotations

import hashlib
import io
import os
import uuid
import warnings
from pathlib import Path
from typing import Any

import torch

KEPT = 2


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Publish `state` as the checkpoint of `epoch`; the last two stay.

    The file is whole or absent: it is written under a name of its own, synced, and renamed into place. It begins
    with the sha256 of the rest.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    temporary = folder / f"{uuid.uuid4().hex}.tmp"
    with temporary.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / f"epoch-{epoch:05d}.pt")
    for old in [*sorted(folder.glob("epoch-*.pt"))[:-KEPT], *folder.glob("*.tmp")]:
        old.unlink()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint of `folder`, on the CPU, or None. One that is damaged is named in a warning."""
    for path in sorted(folder.glob("epoch-*.pt"), reverse=True):
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return torch.load(io.BytesIO(content[32:]), map_location="cpu", weights_only=True)
        warnings.warn(f"the checkpoint {path} is damaged: training goes on from the one before it", stacklevel=2)
        path.unlink()
    return None

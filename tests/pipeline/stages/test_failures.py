"""What went wrong is told with what to do about it."""

import errno
import json

import pytest
import torch

from videocap.pipeline import words
from videocap.pipeline.stages.failures import described

FULL, MEMORY = "there is no room in /some/where (No space left on device): make some", "there is not enough memory ("


def told(error: Exception) -> str:
    about = json.loads(json.dumps(described(error)))  # as it reads back from the run's events
    return words.failure({"error": about, "artifacts": "/some/where", "batch_sizes": ["train.batch_size"]})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("Unable to allocate 8 GiB"), MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB"), MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (RuntimeError("expected a tensor"), "RuntimeError: expected a tensor"),
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (OSError("x.h5 can't be written (errno = 28, error message = '…')"), FULL),
        (OSError("x.h5 can't be written (errno = 5, error message = '…')"), "OSError: x.h5 can't be written"),
        (PermissionError(errno.EACCES, "Permission denied", "a.h5"), "a.h5 is not for you to read or write"),
        (ValueError("lower train.lr"), "lower train.lr"),
    ],
)
def test_an_error_is_told_with_what_to_do(error, says):
    assert told(error).startswith(says)


def test_where_memory_ran_out_the_sizes_that_the_stage_reads_are_named():
    assert told(MemoryError()).endswith("take a smaller train.batch_size, fewer --workers, or a machine with more")

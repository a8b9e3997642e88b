"""Training computes on one thread."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Small models are slower on two threads, and bit-identical results need as many on either side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

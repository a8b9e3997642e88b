"""Device and precision that a config asks for."""

import pytest
import torch

from videocap.extract.device import cpu_multiplies_bf16, resolve


def test_device_and_precision_are_resolved():
    assert resolve("cpu", "fp32").dtype == torch.float32
    assert resolve("cpu", "auto").dtype == (torch.bfloat16 if cpu_multiplies_bf16() else torch.float32)
    assert resolve("cpu", "auto", training=True).dtype == torch.float32
    with resolve("cpu", "bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with resolve("cpu", "fp32").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    for device in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=device):
            resolve(device, "auto")
    with pytest.raises(ValueError, match="fp8"):
        resolve("cpu", "fp8")

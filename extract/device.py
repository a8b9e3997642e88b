"""Device and precision, chosen in one place."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Device:
    """Where and in which number format the large matrix products are done."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager:
        """Context in which torch computes in `dtype`; none is entered for fp32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def __str__(self) -> str:
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return f"{self.device} {name}"


def resolve(device: str, precision: Precision, training: bool = False) -> Device:
    """Turn the config's words into a device.

    Args:
        device: `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda`, `cuda:1` …
        precision: `fp32`, `bf16`, `fp16` or `auto`: on CUDA fp16, in training bf16; on the CPU bf16 where the
            processor multiplies it, else and in training fp32.
        training: whether gradients will be computed.

    Raises:
        ValueError: for a device that this machine lacks, or an unknown precision.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"unknown device {device!r}: use auto, cpu, cuda or cuda:N") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices")
    if precision == "auto":
        if place.type == "cuda":
            precision = "bf16" if training else "fp16"
        else:
            precision = "bf16" if place.type == "cpu" and not training and cpu_multiplies_bf16() else "fp32"
    if precision not in DTYPES:
        raise ValueError(f"unknown precision {precision!r}: use auto, {', '.join(DTYPES)}")
    return Device(place, DTYPES[precision])


def cpu_multiplies_bf16() -> bool:
    """Whether the processor has bf16 matrix instructions (AVX512-BF16 or AMX); without, bf16 is slower than fp32."""
    supported = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(check() for check in supported if check is not None)

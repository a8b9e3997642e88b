"""A frozen image encoder: frames in, un-normalised embeddings out, the numbers of the module it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from videocap.extract.config import Geometry
from videocap.extract.device import Device


class Encoder:
    """An image encoder on its device.

    Args:
        visual: normalised images, float32 (B, 3, pixels, pixels), to embeddings, float32 (B, width).
        width: of an embedding.
        geometry: of the frames it takes.
        where: device and precision it computes with.
        mean, std: of the colours, by which frames are normalised.
    """

    def __init__(
        self,
        visual: Callable[[torch.Tensor], torch.Tensor],
        width: int,
        geometry: Geometry,
        where: Device,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        self.width, self.geometry, self.pixels, self.where = width, geometry, geometry.pixels, where
        self._visual, self._mean, self._std = visual, mean, std
        self._compiled: tuple[int, Callable] | None = None  # for batches of that size

    @property
    def computed(self) -> str:
        """How it computes, for the record: "cpu bf16", "cuda fp16 compiled"."""
        return f"{self.where} compiled" if self._compiled else str(self.where)

    @torch.inference_mode()
    def compile(self, batch_size: int) -> None:
        """Compile the image encoder for batches of this size; smaller ones are filled up, to have a single shape.

        Raises:
            ValueError: if torch can't: without a C++ compiler, for one.
        """
        if self._compiled and self._compiled[0] == batch_size:
            return
        import torch._inductor.config  # takes long

        torch._inductor.config.compile_threads = 1  # no pool of processes, which forked workers would leave behind
        compiled = torch.compile(self._visual, dynamic=False)
        try:
            compiled(torch.zeros(batch_size, 3, self.pixels, self.pixels, device=self.where.device))
        except RuntimeError as error:
            told = str(error).strip().split("\n")[0]  # the rest is for torch's developers
            raise ValueError(f"encoder.compile: torch can't do that here, set it to false ({told})") from error
        self._compiled = batch_size, compiled

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Embed a batch of frames as `encode_image` does.

        Args:
            frames: uint8 RGB, (B, pixels, pixels, 3).

        Returns:
            float32, (B, width), un-normalised.

        Raises:
            ValueError: for frames of another size or type.
        """
        if frames.dtype != np.uint8 or frames.shape[1:] != (self.pixels, self.pixels, 3):
            raise ValueError(
                f"the encoder takes uint8 frames of {self.pixels} x {self.pixels} x 3, not {frames.dtype} of "
                f"{' x '.join(map(str, frames.shape[1:]))}"
            )
        if len(frames) == 0:
            return np.empty((0, self.width), np.float32)
        images = normalize(torch.tensor(frames, device=self.where.device), self._mean, self._std)  # (B, 3, H, W)
        size, visual = self._compiled or (0, self._visual)
        if len(frames) < size:
            images = torch.cat([images, images.new_zeros(size - len(frames), *images.shape[1:])])
        return visual(images)[: len(frames)].cpu().numpy()  # (B, D)


class Autocast:
    """A module that embeds images, in 16 bits where that is asked for: CLIP's ResNets and torchvision's.

    Autocast keeps the weights in fp32 and does convolutions in 16 bits. Folding the batch norms into 16 bit
    convolutions was 6 % faster on the CPU and had half again the error.
    """

    def __init__(self, visual: nn.Module, where: Device):
        self.visual, self.where = visual.to(where.device, memory_format=torch.channels_last), where

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images, float32 (B, 3, H, W), to embeddings, float32 (B, width)."""
        with self.where.autocast():
            return self.visual(images).float()


def normalize(frames: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Normalise colours: uint8 (B, H, W, 3) → float32 (B, 3, H, W), on the same device."""
    images = frames.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    shift, scale = (torch.tensor(values, device=frames.device)[:, None, None] for values in (mean, std))
    return images.sub_(shift).div_(scale)

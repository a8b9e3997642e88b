"""Vis2Text (sec. 2.2, eq. 3 and 4): from fused visual features to features as CLIP's text encoder gives them."""

from __future__ import annotations

from torch import Tensor, nn


class Vis2Text(nn.Sequential):
    """vt_i = sigma_2(F_2(sigma_1(F_1(f_i)))), frame by frame: (B, N, d) -> (B, N, d_text).

    Args:
        width: d.
        d_text: width of the text encoder's embeddings.
        activation: sigma_2: `relu` as the paper has it, which cannot reach negative coordinates, or `identity`.
    """

    def __init__(self, width: int, d_text: int, activation: str) -> None:
        super().__init__(
            nn.Linear(width, width),  # F_1
            nn.ReLU(),  # sigma_1
            nn.Linear(width, d_text),  # F_2
            {"relu": nn.ReLU, "identity": nn.Identity}[activation](),  # sigma_2
        )

    def forward(self, fused: Tensor) -> Tensor:
        """T_Vis2Text of eq. 4: (B, N, d) -> (B, N, d_text)."""
        return super().forward(fused)

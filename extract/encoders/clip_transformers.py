"""The transformers of CLIP for inference: OpenAI's numbers with fused attention and half the elementwise work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from videocap.extract.device import Device

if TYPE_CHECKING:
    import clip.model

QUICK = 1.702  # OpenAI's QuickGELU is x * sigmoid(1.702 x), which is silu(1.702 x) / 1.702


class Transformer:
    """The residual blocks of one of CLIP's transformers.

    Matrix products are done in `where.dtype`; the residual stream and its norms stay in fp32, because 16 bits there
    lose more than all products do.

    Args:
        blocks: OpenAI's module, in fp32.
        where: device and number format.
        causal: whether a position sees only itself and those before it.
    """

    def __init__(self, blocks: clip.model.Transformer, where: Device, causal: bool):
        self.causal = causal
        self.blocks = [_Block(block, where) for block in blocks.resblocks]

    def __call__(self, x: Tensor) -> Tensor:
        """Residual stream in and out, float32 (B, T, D)."""
        for block in self.blocks:
            query, key, value = (  # (B, heads, T, D / heads) each
                block.attn_in(block.norm_1(x)).unflatten(2, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
            )
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
            x = x + block.attn_out(seen.transpose(1, 2).flatten(2))  # (B, T, D)
            x = x + block.mlp_out(F.silu(block.mlp_in(block.norm_2(x)), inplace=True))
        return x


class VisionTransformer:
    """`encode_image` of a CLIP with a vision transformer; arguments as for `Transformer`."""

    def __init__(self, visual: clip.model.VisionTransformer, where: Device):
        self.patch = visual.conv1.weight.shape[-1]
        self.embed = _Linear(visual.conv1.weight.flatten(1), None, where)
        self.first = visual.class_embedding.to(where.device)
        self.positions = visual.positional_embedding.to(where.device)
        self.norm_pre, self.norm_post = _Norm(visual.ln_pre, where), _Norm(visual.ln_post, where)
        self.projection = visual.proj.to(where.device)
        self.transformer = Transformer(visual.transformer, where, causal=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images, float32 (B, 3, H, W), to embeddings, float32 (B, width)."""
        patches = images.unfold(2, self.patch, self.patch).unfold(3, self.patch, self.patch)  # (B, 3, h, w, p, p)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)  # (B, h w, 3 p p)
        x = torch.cat([self.first.expand(len(images), 1, -1), self.embed(patches)], dim=1)
        x = self.transformer(self.norm_pre(x + self.positions))  # (B, 1 + h w, D)
        return self.norm_post(x[:, 0]) @ self.projection


class TextTransformer:
    """`encode_text` of a CLIP, for any number of positions up to its context; arguments as for `Transformer`."""

    def __init__(self, model: clip.model.CLIP, where: Device):
        self.embedding = model.token_embedding.weight.to(where.device)
        self.positions = model.positional_embedding.to(where.device)
        self.norm = _Norm(model.ln_final, where)
        self.projection = model.text_projection.to(where.device)
        self.transformer = Transformer(model.transformer, where, causal=True)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Token ids, int (B, T), to embeddings, float32 (B, width), read at each row's end token."""
        x = self.transformer(self.embedding[tokens] + self.positions[: tokens.shape[1]])  # (B, T, D)
        ends = tokens.argmax(dim=1)  # the end token has the highest number
        return self.norm(x[torch.arange(len(x), device=x.device), ends]) @ self.projection


class _Block:
    """A residual block's layers."""

    def __init__(self, block: clip.model.ResidualAttentionBlock, where: Device):
        self.norm_1, self.norm_2 = _Norm(block.ln_1, where), _Norm(block.ln_2, where)
        attn, mlp = block.attn, block.mlp
        self.heads = attn.num_heads
        self.attn_in = _Linear(attn.in_proj_weight, attn.in_proj_bias, where)
        self.attn_out = _Linear(attn.out_proj.weight, attn.out_proj.bias, where)
        self.mlp_in = _Linear(QUICK * mlp.c_fc.weight, QUICK * mlp.c_fc.bias, where)
        self.mlp_out = _Linear(mlp.c_proj.weight / QUICK, mlp.c_proj.bias, where)


class _Linear:
    """A linear layer in `where.dtype`, whatever comes in."""

    def __init__(self, weight: Tensor, bias: Tensor | None, where: Device):
        self.weight = weight.to(where.device, where.dtype)
        self.bias = None if bias is None else bias.to(where.device, where.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class _Norm:
    """A layer norm in fp32."""

    def __init__(self, norm: torch.nn.LayerNorm, where: Device):
        self.weight, self.bias, self.epsilon = norm.weight.to(where.device), norm.bias.to(where.device), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)

"""A small GPT (Radford et al. 2019: pre-normalized blocks) that decodes one token at a time with a cache of fixed size.

Every step runs the same kernels on the same addresses, so that it can be captured as a CUDA graph. Only
`torch_decode.run` imports this module: it needs torch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """Attention over all tokens so far, then a perceptron; the cache is [heads, context, width / heads]."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(heads, context, width // heads))

    def forward(self, state: torch.Tensor, position: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the state [1, width] after the block; the token's key and value go into the cache at `position`."""
        query, key, value = self.queries_keys_values(self.before_attention(state)).view(3, self.heads, 1, -1)
        self.keys.index_copy_(1, position, key)
        self.values.index_copy_(1, position, value)
        found = functional.scaled_dot_product_attention(query, self.keys, self.values, attn_mask=mask)
        state = state + self.projection(found.reshape(1, -1))
        return state + self.perceptron(self.before_perceptron(state))


class Gpt(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """Embeddings of tokens and positions, blocks, and the scores of the next token."""

    def __init__(self, *, layers: int, width: int, heads: int, vocabulary: int, context: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, context) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("order", torch.arange(context))

    def forward(self, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Return the likeliest token [1] after `token` [1] at `position` [1], both int64."""
        mask = (self.order <= position).view(1, -1)
        state = self.tokens(token) + self.positions(position)
        for block in self.blocks:
            state = block(state, position, mask)
        return self.head(self.norm(state)).argmax(dim=-1)

"""A T5 encoder with the key names of Hugging Face's, trained from nothing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class RmsNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(
            x.square().mean(-1, keepdim=True) + 1e-6)


def buckets(n: int, count: int = 32, furthest: int = 128) -> torch.Tensor:
    """[n, n] bucket of j - i: exact near the diagonal, logarithmic beyond."""
    r = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    half, exact = count // 2, count // 4
    m = r.abs()
    far = exact + (torch.log(m.clamp_min(1) / exact)
                   / math.log(furthest / exact) * (half - exact)).long()
    return (r > 0).long() * half + torch.where(
        m < exact, m, far.clamp_max(half - 1))


class Attention(nn.Module):
    def __init__(self, width, heads, d_kv, first):
        super().__init__()
        inner = heads * d_kv
        self.heads = heads
        self.q, self.k, self.v = (
            nn.Linear(width, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, width, bias=False)
        # There is no 1/sqrt(d), so q starts that much smaller.
        nn.init.normal_(self.q.weight, std=(width * d_kv) ** -0.5)
        nn.init.normal_(self.k.weight, std=width ** -0.5)
        nn.init.normal_(self.v.weight, std=width ** -0.5)
        nn.init.normal_(self.o.weight, std=inner ** -0.5)
        if first:
            self.relative_attention_bias = nn.Embedding(32, heads)
            nn.init.normal_(self.relative_attention_bias.weight, std=0.1)

    def forward(self, x, bias):
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, self.heads, -1).transpose(1, 2)
                   for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.o(y.transpose(1, 2).reshape(b, n, -1))


class Dense(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.wi = nn.Linear(width, inner, bias=False)
        self.wo = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.wo(F.relu(self.wi(x)))


class SelfLayer(nn.Module):
    def __init__(self, width, heads, d_kv, first):
        super().__init__()
        self.SelfAttention = Attention(width, heads, d_kv, first)
        self.layer_norm = RmsNorm(width)


class DenseLayer(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.DenseReluDense = Dense(width, inner)
        self.layer_norm = RmsNorm(width)


class Block(nn.Module):
    def __init__(self, width, heads, d_kv, inner, first):
        super().__init__()
        self.layer = nn.ModuleList(
            [SelfLayer(width, heads, d_kv, first), DenseLayer(width, inner)])


class Stack(nn.Module):
    def __init__(self, width, heads, d_kv, inner, depth):
        super().__init__()
        self.block = nn.ModuleList(
            [Block(width, heads, d_kv, inner, i == 0) for i in range(depth)])
        self.final_layer_norm = RmsNorm(width)


class T5Encoder(nn.Module):
    def __init__(self, vocab=256, width=192, heads=3, d_kv=64, inner=768,
                 depth=4):
        super().__init__()
        self.config = {
            "model_type": "t5", "vocab_size": vocab, "d_model": width,
            "d_kv": d_kv, "d_ff": inner, "num_layers": depth,
            "num_heads": heads, "relative_attention_num_buckets": 32,
            "relative_attention_max_distance": 128,
            "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu"}
        self.shared = nn.Embedding(vocab, width)
        self.encoder = Stack(width, heads, d_kv, inner, depth)

    def forward(self, ids, mask):
        """ids, mask [b, n] -> [b, n, width], rows of padding zeroed."""
        h = self.shared(ids)
        first = self.encoder.block[0].layer[0].SelfAttention
        table = first.relative_attention_bias.weight
        bias = table[buckets(ids.shape[1]).to(ids.device)].permute(2, 0, 1)
        bias = bias[None] + (1 - mask.float())[:, None, None, :] * -1e9
        for block in self.encoder.block:
            a, d = block.layer
            h = h + a.SelfAttention(a.layer_norm(h), bias)
            h = h + d.DenseReluDense(d.layer_norm(h))
        return self.encoder.final_layer_norm(h) * mask[..., None].float()

"""The diffusion transformer of Stable Audio Open Small, smaller.

Module names give the key names of stable-audio-tools; arithmetic as in
reference stable-audio-open-small.md, sections 2.3 to 2.5.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    """LayerNorm with gamma and a beta that is stored but not trained."""

    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.register_buffer("beta", torch.zeros(width))

    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.gamma, self.beta, 1e-5)


class Rotary(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer(
            "inv_freq", 10000.0 ** (-torch.arange(0, dim, 2).float() / dim))

    def forward(self, n):
        angle = torch.arange(n, device=self.inv_freq.device)[:, None].float() \
            * self.inv_freq
        return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    half = cos.shape[-1]
    a, b, rest = x.split([half, half, x.shape[-1] - 2 * half], -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.q_norm = nn.LayerNorm(width // heads, eps=1e-6)
        self.k_norm = nn.LayerNorm(width // heads, eps=1e-6)

    def forward(self, x, cos, sin):
        b, n, w = x.shape
        q, k, v = self.to_qkv(x).view(b, n, 3, self.heads, -1).permute(
            2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            rotate(self.q_norm(q), cos, sin),
            rotate(self.k_norm(k), cos, sin), v)
        return self.to_out(y.transpose(1, 2).reshape(b, n, w))


class CrossAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.q_norm = nn.LayerNorm(width // heads, eps=1e-6)
        self.k_norm = nn.LayerNorm(width // heads, eps=1e-6)

    def forward(self, x, context):
        b, n, w = x.shape
        q = self.to_q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.to_kv(context).view(
            b, context.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.to_out(y.transpose(1, 2).reshape(b, n, w))


class Gated(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.silu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ff = nn.Sequential(Gated(width, 4 * width), nn.Identity(),
                                nn.Linear(4 * width, width))

    def forward(self, x):
        return self.ff(x)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.pre_norm = Norm(width)
        self.self_attn = SelfAttention(width, heads)
        self.cross_attend_norm = Norm(width)
        self.cross_attn = CrossAttention(width, heads)
        self.ff_norm = Norm(width)
        self.ff = FeedForward(width)

    def forward(self, h, context, cos, sin):
        h = h + self.self_attn(self.pre_norm(h), cos, sin)
        h = h + self.cross_attn(self.cross_attend_norm(h), context)
        return h + self.ff(self.ff_norm(h))


class Transformer(nn.Module):
    def __init__(self, channels, width, depth, heads):
        super().__init__()
        self.project_in = nn.Linear(channels, width, bias=False)
        self.project_out = nn.Linear(width, channels, bias=False)
        self.rotary_pos_emb = Rotary(max(width // heads // 2, 32))
        self.layers = nn.ModuleList(
            [Layer(width, heads) for _ in range(depth)])


class Fourier(nn.Module):
    def __init__(self, count=128):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, 1), requires_grad=False)

    def forward(self, t):
        f = 2 * math.pi * t[:, None] @ self.weight.T
        return torch.cat([f.cos(), f.sin()], -1)


def _mlp(cin, cout, bias):
    return nn.Sequential(nn.Linear(cin, cout, bias=bias), nn.SiLU(),
                         nn.Linear(cout, cout, bias=bias))


class DiT(nn.Module):
    def __init__(self, channels=32, width=192, depth=6, heads=3, cond=192):
        super().__init__()
        self.timestep_features = Fourier()
        self.to_timestep_embed = _mlp(256, width, True)
        self.to_cond_embed = _mlp(cond, width, False)
        self.to_global_embed = _mlp(cond, width, False)
        self.preprocess_conv = nn.Conv1d(channels, channels, 1, bias=False)
        self.postprocess_conv = nn.Conv1d(channels, channels, 1, bias=False)
        self.transformer = Transformer(channels, width, depth, heads)
        # Every branch starts at zero.
        nn.init.zeros_(self.preprocess_conv.weight)
        nn.init.zeros_(self.postprocess_conv.weight)
        for layer in self.transformer.layers:
            nn.init.zeros_(layer.self_attn.to_out.weight)
            nn.init.zeros_(layer.cross_attn.to_out.weight)
            nn.init.zeros_(layer.ff.ff[2].weight)

    def forward(self, x, t, context, glob):
        """x [b, c, L], t [b], context [b, n, cond], glob [b, cond]."""
        c = self.to_cond_embed(context)
        token = self.to_global_embed(glob) + self.to_timestep_embed(
            self.timestep_features(t))
        y = self.preprocess_conv(x) + x
        h = torch.cat([token[:, None],
                       self.transformer.project_in(y.transpose(1, 2))], 1)
        cos, sin = self.transformer.rotary_pos_emb(h.shape[1])
        for layer in self.transformer.layers:
            h = layer(h, c, cos, sin)
        o = self.transformer.project_out(h[:, 1:]).transpose(1, 2)
        return self.postprocess_conv(o) + o


class Seconds(nn.Module):
    """The number embedder; state dict keys `0.weights`, `1.weight`, `1.bias`."""

    def __init__(self, width=192, low=0.0, high=4.0):
        super().__init__()
        self.low, self.high = low, high
        self.weights = nn.Parameter(torch.randn(128))
        self.linear = nn.Linear(257, width)

    def forward(self, seconds):
        u = ((seconds.clamp(self.low, self.high) - self.low)
             / (self.high - self.low))[:, None]
        f = u * self.weights[None] * 2 * math.pi
        return self.linear(torch.cat([u, f.sin(), f.cos()], -1))

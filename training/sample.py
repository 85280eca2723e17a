"""The samplers in PyTorch, to look at a model before the C++ program does."""

from __future__ import annotations


import torch


def schedule(steps: int) -> torch.Tensor:
    """Times from 1 to 0, even in log signal-to-noise from -6 to 2."""
    t = torch.sigmoid(-torch.linspace(-6.0, 2.0, steps + 1))
    t[0], t[-1] = 1.0, 0.0
    return t


@torch.no_grad()
def sample(velocity, noise, steps: int, kind: str = "euler"):
    x, times = noise, schedule(steps)
    for now, then in zip(times[:-1], times[1:]):
        v = velocity(x, now.expand(x.shape[0]))
        if kind == "euler":
            x = x + (then - now) * v
        else:
            clean = x - now * v
            x = (1 - then) * clean + then * torch.randn_like(x)
    return x


def guided(dit, context, glob, scale: float):
    """Velocity with guidance; the unconditional half sees no context row."""
    def velocity(x, t):
        v = dit(x, t, context, glob)
        if scale == 1:
            return v
        u = dit(x, t, torch.zeros_like(context), glob)
        return u + (v - u) * scale
    return velocity

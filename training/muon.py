"""Muon: momentum whose matrix updates are made orthogonal (Jordan, 2024)."""

from __future__ import annotations

import torch


def orthogonal(g: torch.Tensor, steps: int = 5,
               bf16: bool = False) -> torch.Tensor:
    """The nearest orthogonal matrix, roughly, by Newton-Schulz steps; these
    tolerate bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.size(0) > g.size(1)
    x = g.T if tall else g
    x = x / (x.norm() + 1e-7)
    if bf16:
        x = x.bfloat16()
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """For weights with at least two axes; axis 0 against all the others."""

    def __init__(self, params, lr=1e-2, momentum=0.95, bf16=False):
        super().__init__(params, {"lr": lr, "momentum": momentum,
                                  "bf16": bf16})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].mul_(group["momentum"]).add_(p.grad)
                g = p.grad.add(m, alpha=group["momentum"]).flatten(1)
                scale = max(1.0, g.size(0) / g.size(1)) ** 0.5
                update = orthogonal(g, bf16=group.get("bf16", False))
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)

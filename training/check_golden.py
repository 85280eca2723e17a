"""Compares this PyTorch model with golden values of the reference program.

  python check_golden.py path/to/golden.json

Weights come from the tensors' names (FNV-1a and SplitMix64), so a wrong key
name, shape or formula shows as a difference. Only the tiny configuration.
"""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import torch

import dit
import oobleck
import sample
import t5


def uniform(name: str, count: int) -> np.ndarray:
    """Values in [-1, 1), exact in float32."""
    base = 0xCBF29CE484222325
    for byte in name.encode():
        base = (base ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(base) + np.arange(1, count + 1, dtype=np.uint64) * (
            np.uint64(0x9E3779B97F4A7C15))
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2 ** 23 - 1).astype(
        np.float32)


def spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Scale and offset of a weight; the first rule that fits."""
    if name.endswith(".gamma"):
        return 0.25, 1
    if name.endswith((".alpha", ".beta")):
        return 0.25, 0
    if name.endswith(".weight_g"):
        return 0.125, 0.75
    if name.endswith((".weights", "timestep_features.weight")):
        return 1, 0
    if name.endswith(("q_norm.weight", "k_norm.weight", "layer_norm.weight")):
        return 0.25, 1
    if name.endswith(".bias"):
        return 0.1, 0
    if name.endswith(("relative_attention_bias.weight", "shared.weight")):
        return 1, 0
    return math.sqrt(3 / math.prod(shape[1:])), 0


def data(name: str, shape: tuple[int, ...], scale: float = 1.0,
         offset: float = 0.0) -> torch.Tensor:
    u = uniform(name, math.prod(shape))
    v = np.float32(scale) * u + np.float32(offset)
    return torch.from_numpy(v.reshape(shape)).double()


def fill(module: torch.nn.Module, prefix: str,
         rename: dict[str, str] | None = None) -> torch.nn.Module:
    state = {}
    for key, value in module.state_dict().items():
        name = prefix + (rename or {}).get(key, key)
        state[key] = value.double() if key.endswith("inv_freq") else data(
            name, tuple(value.shape), *spread(name, tuple(value.shape)))
    module.double().load_state_dict(state)
    return module.eval()


@torch.no_grad()
def main() -> int:
    cases = json.load(open(sys.argv[1]))
    ids = torch.tensor([cases["t5_ids"] + [0] * 16])
    cases = cases["cases"]
    mask = (torch.arange(40) < 24).long()[None]
    worst = 0.0

    def check(name: str, got: torch.Tensor) -> None:
        nonlocal worst
        case, got = cases[name], got.flatten()
        want = torch.tensor(case.get("values") or case["strided"]).double()
        got = got[::case.get("stride", 1)][:want.numel()]
        error = (got - want).abs().max().item()
        worst = max(worst, error)
        print(f"{name:32} {error:.1e}")

    text = fill(t5.T5Encoder(100, 48, 3, 16, 96, 2), "")
    hidden = text(ids, mask)
    check("t5_hidden_masked", hidden)

    seconds = fill(
        dit.Seconds(48, 0, 256),
        "conditioner.conditioners.seconds_total.embedder.embedding.",
        {"weights": "0.weights", "linear.weight": "1.weight",
         "linear.bias": "1.bias"})
    for s in (0, 10, 256):
        check(f"seconds_{s}", seconds(torch.tensor([float(s)]).double()))
    glob = seconds(torch.tensor([10.0]).double())
    context = torch.cat([hidden, glob[:, None]], 1)

    net = fill(dit.DiT(8, 256, 2, 2, 48), "model.model.")
    check("dit_context_rows", net.to_cond_embed(context))
    x = data("x", (1, 8, 16))
    t = torch.tensor([np.float32(0.73)]).double()
    check("dit_t0.73", net(x, t, context, glob))
    check("dit_t1", net(x, torch.ones(1).double(), context, glob))
    check("dit_cfg6_t0.73", sample.guided(net, context, glob, 6)(x, t))

    vae = fill(oobleck.Autoencoder(4, [1, 2, 4, 8, 16], [2, 4, 4, 8, 8], 8),
               "pretransform.model.")
    check("decoder", vae.decoder(data("z", (1, 8, 6))))
    mean, std = vae.encode(data("audio", (1, 2, 12288), 0.5))
    check("enc_mean", mean)
    check("enc_stdev", std)
    print("worst", worst)
    return 0 if worst < 2e-5 else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the autoencoder is trained on (reference nano-training.md, section 1)."""

from __future__ import annotations

import torch

_windows: dict[tuple[int, torch.device], torch.Tensor] = {}


def _magnitude(x: torch.Tensor, window: int) -> torch.Tensor:
    key = (window, x.device)
    if key not in _windows:
        _windows[key] = torch.hann_window(window, device=x.device)
    s = torch.stft(x, window, window // 4, window=_windows[key],
                   return_complex=True)
    return (s.real.square() + s.imag.square() + 1e-9).sqrt()


def mrstft(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Spectra of sum and difference at three window sizes; y is the model's.

    The root mean square of the log term, not its mean: L1 terms have their
    median at silence, which training falls into. Each crop counts alike,
    however loud it is.
    """
    total = 0.0
    for mix in (1.0, -1.0):
        a = 0.5 * (y[:, 0] + mix * y[:, 1])
        b = 0.5 * (x[:, 0] + mix * x[:, 1])
        for window in (2048, 512, 128):
            k = 3e-3 * window ** 0.5
            ya, xb = _magnitude(a, window), _magnitude(b, window)
            log = ((ya + k).log() - (xb + k).log()).square()
            log = (log.mean((1, 2)) + 1e-8).sqrt().mean()
            # The floor is the spectrum of about -40 dB of noise: without it a
            # silent crop outweighs all others a thousandfold.
            floor = 0.3 * window ** 0.5
            ratio = ((ya - xb).square().sum((1, 2)) + 1e-8).sqrt()
            ratio = (ratio / (xb.square().sum((1, 2)).sqrt() + floor)).mean()
            total = total + log + ratio
    return total / 6


def kl(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Of each frame, summed over channels."""
    return (mean.square() + std.square() - 2 * std.log() - 1).sum(1).mean()

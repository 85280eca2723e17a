"""The Oobleck autoencoder, with the key names of stable-audio-tools.

Weight norm is the old style (`weight_g`, `weight_v`), so that a state dict is
what `lathe convert` reads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class _Snake(torch.autograd.Function):
    """x + sin^2(a x) / b with a backward pass that keeps only x."""

    @staticmethod
    def forward(ctx, x, alpha, beta):
        a = alpha.exp()[None, :, None]
        b = (beta.exp() + 1e-9).reciprocal()[None, :, None]
        ctx.save_for_backward(x, alpha, beta)
        return torch.addcmul(x, (x * a).sin_().square_(), b)

    @staticmethod
    def backward(ctx, grad):
        x, alpha, beta = ctx.saved_tensors
        a = alpha.exp()[None, :, None]
        e = beta.exp()
        b = (e + 1e-9).reciprocal()[None, :, None]
        ax = x * a
        sin2 = (2 * ax).sin_()  # 2 sin cos
        common = grad * sin2 * (a * b)
        grad_x = grad + common
        grad_alpha = (common * x).sum((0, 2))
        grad_beta = -(grad * ax.sin_().square_()).sum((0, 2)) * (
            b[0, :, 0].square() * e)
        return grad_x, grad_alpha, grad_beta


class Snake(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return _Snake.apply(x, self.alpha, self.beta)


class Conv(nn.Module):
    """A weight-normed convolution; `transposed` has its norm over inputs."""

    def __init__(self, cin, cout, kernel, stride=1, dilation=1, padding=0,
                 bias=True, transposed=False):
        super().__init__()
        shape = (cin, cout, kernel) if transposed else (cout, cin, kernel)
        v = torch.randn(shape) / (cin * kernel) ** 0.5
        self.weight_v = nn.Parameter(v)
        self.weight_g = nn.Parameter(v.flatten(1).norm(dim=1)[:, None, None])
        self.bias = nn.Parameter(torch.zeros(cout)) if bias else None
        self.stride, self.dilation, self.padding = stride, dilation, padding
        self.transposed = transposed

    def forward(self, x):
        w = torch._weight_norm(self.weight_v, self.weight_g, 0)
        if self.transposed:
            return F.conv_transpose1d(x, w, self.bias, self.stride,
                                      self.padding)
        return F.conv1d(x, w, self.bias, self.stride, self.padding,
                        self.dilation)


class Residual(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            Snake(channels),
            Conv(channels, channels, 7, dilation=dilation,
                 padding=3 * dilation),
            Snake(channels),
            Conv(channels, channels, 1))

    def forward(self, x):
        return x + self.layers(x)


class Block(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def _residuals(c):
    return [Residual(c, d) for d in (1, 3, 9)]


class Encoder(nn.Module):
    def __init__(self, channels, mults, strides, latent_dim, audio=2):
        super().__init__()
        c = [channels] + [channels * m for m in mults]
        layers = [Conv(audio, c[0], 7, padding=3)]
        for i, s in enumerate(strides):
            layers.append(Block(*_residuals(c[i]), Snake(c[i]),
                                Conv(c[i], c[i + 1], 2 * s, s, padding=s // 2)))
        layers += [Snake(c[-1]), Conv(c[-1], latent_dim, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Decoder(nn.Module):
    def __init__(self, channels, mults, strides, latent_dim, audio=2):
        super().__init__()
        c = [channels] + [channels * m for m in mults]
        layers = [Conv(latent_dim, c[-1], 7, padding=3)]
        for i in reversed(range(len(strides))):
            s = strides[i]
            layers.append(Block(
                Snake(c[i + 1]),
                Conv(c[i + 1], c[i], 2 * s, s, padding=s // 2,
                     transposed=True),
                *_residuals(c[i])))
        layers += [Snake(c[0]), Conv(c[0], audio, 7, padding=3, bias=False)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z):
        return self.layers(z)


class Autoencoder(nn.Module):
    def __init__(self, channels, mults, strides, latent):
        super().__init__()
        self.encoder = Encoder(channels, mults, strides, 2 * latent)
        self.decoder = Decoder(channels, mults, strides, latent)

    def encode(self, audio):
        mean, raw = self.encoder(audio).chunk(2, 1)
        return mean, F.softplus(raw) + 1e-4


def nano() -> Autoencoder:
    return Autoencoder(16, [1, 2, 4, 8, 16], [2, 4, 4, 4, 8], 32)


@torch.no_grad()
def initialise(model: Autoencoder, audio: torch.Tensor) -> None:
    """Data-dependent initialisation (reference nano-training.md, section 3).

    Scales every convolution so that main-path outputs have deviation 1,
    residual branches 0.3, the last one 0.1, and removes their mean: the
    default loses a factor 3 per layer and training ends in silence.
    """

    def fit(conv, x, target):
        y = conv(x)
        scale = target / y.std().clamp_min(1e-6)
        if conv.bias is not None:
            mean = y.mean((0, 2))
        conv.weight_g.mul_(scale)
        if conv.bias is not None:
            conv.bias.sub_(mean * scale)
        return conv(x)

    def walk(layers, x, last):
        for layer in layers:
            if isinstance(layer, Conv):
                x = fit(layer, x, last if layer is layers[-1] else 1.0)
            elif isinstance(layer, Residual):
                s1, c7, s2, c1 = layer.layers
                x = x + fit(c1, s2(fit(c7, s1(x), 1.0)), 0.3)
            elif isinstance(layer, Block):
                x = walk(layer.layers, x, 1.0)
            else:
                x = layer(x)
        return x

    latent = walk(model.encoder.layers, audio, 1.0)
    last = model.encoder.layers[-1]
    half = last.bias.numel() // 2
    last.weight_g[half:] *= 0.1
    last.bias[half:] = -4.0
    walk(model.decoder.layers, latent[:, :half], 0.1)

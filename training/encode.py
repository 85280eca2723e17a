"""Latents of the training clips, with the trained encoder.

Also measures each latent channel's scale and folds it into the autoencoder, so
that the latents which leave the encoder have deviation 1 (reference
nano-training.md, section 1). Writes latents.pt and vae_folded.pt.
"""

from __future__ import annotations

import argparse
import pathlib

import torch

import clips as rendered
import oobleck
import sounds


@torch.no_grad()
def fold(model: oobleck.Autoencoder, scale: torch.Tensor) -> None:
    """Divides the encoder's mean by `scale`, multiplies in the decoder.

    The raw deviation passes softplus, which is exp for small values, so its
    bias takes -ln(scale).
    """
    last, first = model.encoder.layers[-1], model.decoder.layers[0]
    half = scale.numel()
    last.weight_g[:half] /= scale[:, None, None]
    last.bias[:half] /= scale
    last.bias[half:] -= scale.log()
    # The decoder's weight norm runs over its inputs, so scaling the inputs
    # changes norms: write the product and its norms anew.
    w = torch._weight_norm(first.weight_v, first.weight_g, 0)
    w = w * scale[None, :, None]
    first.weight_v.copy_(w)
    first.weight_g.copy_(w.flatten(1).norm(dim=1)[:, None, None])


def _setup(work: pathlib.Path, count: int) -> None:
    """Once per process: the encoder on one thread, and the clips."""
    global _model, _clips, _specs
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _model = oobleck.nano().eval()
    _model.load_state_dict(
        torch.load(work / "vae2.pt", weights_only=False)["model"])
    _clips, _specs = rendered.load(work, count, aligned=True)


@torch.no_grad()
def _encode(i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of clip i; only the sounding part and the encoder's
    reach beyond it are computed, the rest is as at the end of that part."""
    margin = 14 * 1024
    frames = sounds.CLIP // 1024
    n = min(sounds.CLIP,
            (rendered.length(_specs[i]) + margin + 1023) // 1024 * 1024)
    x = torch.from_numpy(_clips[i, :, :n].astype("float32")) / 32767
    parts = []
    for y in _model.encode(x[None]):
        if n < sounds.CLIP:
            y = y[..., :-4]  # the end of the piece sees padding
            y = torch.cat([y[..., :-1],
                           y[..., -1:].expand(-1, -1, frames - y.shape[-1] + 1)
                           ], -1)
        parts.append(y[0])
    return parts[0], parts[1]


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--clips", type=int, default=2400)
    p.add_argument("--processes", type=int, default=2)
    args = p.parse_args()
    results = []
    torch.multiprocessing.set_sharing_strategy("file_system")
    with torch.multiprocessing.Pool(args.processes, _setup,
                                    (args.work, args.clips)) as pool:
        for pair in pool.imap(_encode, range(args.clips), chunksize=8):
            results.append([v.clone() for v in pair])
            if len(results) % 200 == 0:
                print(f"encoded {len(results)}", flush=True)
    means = torch.stack([a for a, _ in results])
    stds = torch.stack([b for _, b in results])
    scale = means.transpose(0, 1).flatten(1).std(1)
    print("channel deviations", [round(v, 2) for v in scale.tolist()])
    print("channel means", [round(v, 2) for v in means.mean((0, 2)).tolist()])
    model = oobleck.nano()
    model.load_state_dict(
        torch.load(args.work / "vae2.pt", weights_only=False)["model"])
    fold(model, scale)
    torch.save({"mean": (means / scale[None, :, None]).half(),
                "std": (stds / scale[None, :, None]).half()},
               args.work / "latents.pt")
    torch.save(model.state_dict(), args.work / "vae_folded.pt")


if __name__ == "__main__":
    main()

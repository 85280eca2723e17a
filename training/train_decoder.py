"""Trains the decoder alone on latents with noise, for the encoder as it is.

The transformer's latents are never exact; a decoder that has seen only exact
ones answers the errors with a buzz. Writes vae_tuned.pt.

  python train_decoder.py --minutes 6 --work /tmp/nano
"""

from __future__ import annotations

import argparse
import math
import pathlib
import time

import torch

import clips as rendered
import losses
import muon
import oobleck
import train_vae

HOP = 1024
FRAMES = 24  # decoded
EDGE = 4  # of them not judged where a neighbour is missing


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=6)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--noise", type=float, default=0.12)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(5)
    latents = torch.load(args.work / "latents.pt")
    mean, std = latents["mean"], latents["std"]
    clips, specs = rendered.load(args.work, len(mean), aligned=True)
    crops = train_vae.Crops(clips, specs, FRAMES * HOP, 7, balance=True)
    model = oobleck.nano()
    model.load_state_dict(torch.load(args.work / "vae_folded.pt"))
    wide, rest = train_vae.parameter_groups(model.decoder)
    base = [2e-3, 3e-4]
    opts = [muon.Muon(wide, lr=base[0]),
            torch.optim.AdamW(rest, lr=base[1], betas=(0.8, 0.99),
                              weight_decay=0)]
    step, shown, begin = 0, 0.0, time.time()
    deadline = begin + args.minutes * 60
    while time.time() < deadline:
        progress = (time.time() - begin) / (args.minutes * 60)
        for o, lr in zip(opts, base):
            for g in o.param_groups:
                g["lr"] = lr * min(1.0, (step + 1) / 20) * (
                    0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))
        z, x, masks = [], [], []
        for _ in range(args.batch):
            i, at = crops.pick()
            at //= HOP
            part = slice(at, at + FRAMES)
            sigma = std[i, :, part].float().square() + args.noise ** 2
            z.append(mean[i, :, part].float()
                     + sigma.sqrt() * torch.randn(sigma.shape))
            x.append(torch.from_numpy(
                clips[i, :, at * HOP:(at + FRAMES) * HOP].astype("float32")))
            judged = torch.ones(1, FRAMES)
            if at > 0:
                judged[:, :EDGE] = 0
            if at + FRAMES < mean.shape[-1]:
                judged[:, -EDGE:] = 0
            masks.append(judged.repeat_interleave(HOP, 1))
        mask = torch.stack(masks)
        y = model.decoder(torch.stack(z)) * mask
        x = torch.stack(x) / 32767 * mask
        loss = losses.mrstft(y, x) + 5 * (y - x).abs().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.decoder.parameters(), 5.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        shown = loss.item() if step == 1 else 0.95 * shown + 0.05 * loss.item()
        if step % 20 == 0:
            print(f"{time.time() - begin:6.0f} s step {step} loss {shown:.4f}",
                  flush=True)
    torch.save(model.state_dict(), args.work / "vae_tuned.pt")
    print(f"done: {step} steps", flush=True)


if __name__ == "__main__":
    main()

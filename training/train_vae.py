"""Trains the autoencoder. Stops after --minutes; continues from its checkpoint.

  python train_vae.py --minutes 46 --work /tmp/nano
  python train_vae.py --minutes 8 --work /tmp/nano --second --clips 2400
"""

from __future__ import annotations

import argparse
import math
import pathlib
import random
import time

import numpy as np
import torch

import clips as rendered
import losses
import muon
import oobleck
import sounds


def parameter_groups(model):
    """Muon for wide convolutions, AdamW for everything else."""
    wide, rest = [], []
    for name, p in model.named_parameters():
        big = name.endswith("weight_v") and p.shape[0] >= 16 and p.shape[1] >= 16
        (wide if big else rest).append(p)
    return wide, rest


# How often each kind is drawn in the second stage: the first draws clips as
# they come, in which hits are rare, and leaves them quiet and dull.
BALANCE = {"kick": 20, "snare": 15, "hat": 10, "tone": 22, "chord": 9,
           "arpeggio": 6, "loop": 6, "noise": 6, "wind": 6}


class Crops:
    """Random pieces of sounds: 40 % from the start, 10 % anywhere, 50 % from
    the sounding part; with `balance`, hits always from the start."""

    def __init__(self, clips: np.ndarray, specs: list[sounds.Spec], size: int,
                 seed: int, balance: bool = False):
        self.clips, self.specs, self.size = clips, specs, size
        self.rng = random.Random(seed)
        self.balance = balance
        self.kinds: dict[str, list[int]] = {}
        for i, spec in enumerate(specs):
            self.kinds.setdefault(spec.kind, []).append(i)

    def pick(self) -> tuple[int, int]:
        """A clip and where the piece starts."""
        i = self.rng.randrange(len(self.clips))
        if self.balance:
            kind = self.rng.choices(list(BALANCE), list(BALANCE.values()))[0]
            i = self.rng.choice(self.kinds[kind])
        r = self.rng.random()
        if self.balance and self.specs[i].kind in ("kick", "snare", "hat"):
            r *= 0.45
        end = sounds.CLIP - self.size
        if r < 0.4:
            at = 0
        elif r < 0.5:
            at = self.rng.randint(0, end)
        else:
            sounding = rendered.length(self.specs[i]) - self.size // 2
            at = self.rng.randint(0, max(0, min(end, sounding)))
        return i, at

    def draw(self, batch: int) -> torch.Tensor:
        picks = [self.pick() for _ in range(batch)]
        crops = np.stack([self.clips[i, :, at:at + self.size]
                          for i, at in picks])
        return torch.from_numpy(crops.astype(np.float32) / 32767)


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=50)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--clips", type=int, default=3000)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--crop", type=int, default=16384)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu")
    p.add_argument("--second", action="store_true",
                   help="go on from vae.pt with balanced, aligned clips")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    args.work.mkdir(parents=True, exist_ok=True)

    clips, specs = rendered.load(args.work, args.clips, aligned=args.second)
    crops = Crops(clips, specs, args.crop, 2 + args.second, args.second)
    model = oobleck.nano().to(args.device)
    oobleck.initialise(model, crops.draw(16).to(args.device))
    wide, rest = parameter_groups(model)
    base = [4e-3, 5e-4] if args.second else [1e-2, 1e-3]
    opts = [muon.Muon(wide, lr=base[0]),
            torch.optim.AdamW(rest, lr=base[1], betas=(0.8, 0.99),
                              weight_decay=0)]
    step, used = 0, 0.0
    saved = args.work / ("vae2.pt" if args.second else "vae.pt")
    start_from = args.work / "vae.pt"
    if saved.exists() or (args.second and start_from.exists()):
        state = torch.load(saved if saved.exists() else start_from,
                           weights_only=False)
        model.load_state_dict(state["model"])
        for o, s in zip(opts, state["opts"]):
            o.load_state_dict(s)
        if saved.exists():
            step, used = state["step"], state["used"]
    budget = args.minutes * 60
    shown: dict[str, float] = {}
    last_save = time.time()
    while used < budget:
        start = time.time()
        progress = used / budget
        for o, lr in zip(opts, base):
            warm = min(1.0, (step + 1) / 30)
            cosine = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress))
            for g in o.param_groups:
                g["lr"] = lr * warm * cosine
        x = crops.draw(args.batch).to(args.device)
        mean, std = model.encode(x)
        y = model.decoder(mean + std * torch.randn_like(mean))
        spectra = losses.mrstft(y, x)
        wave = (y - x).abs().mean()
        divergence = losses.kl(mean, std)
        ramp = 1.0 if args.second else min(1.0, progress / 0.4)
        weight = 3e-5 * (0.1 + 0.9 * ramp)
        loss = spectra + 5 * wave + weight * divergence
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        # A step that was suspended must not eat the schedule.
        used += min(time.time() - start, 5.0)
        now = {"spectra": spectra.item(), "wave": wave.item(),
               "kl": divergence.item(), "std": std.mean().item(),
               "latent": mean.std().item()}
        for k, v in now.items():
            shown[k] = v if k not in shown else 0.97 * shown[k] + 0.03 * v
        if step % 50 == 0:
            print(f"{used:7.0f} s step {step} " + " ".join(
                f"{k} {v:.4g}" for k, v in shown.items()), flush=True)
        if time.time() - last_save > 60 or used >= budget:
            torch.save({"model": model.state_dict(), "step": step,
                        "used": used, "opts": [o.state_dict() for o in opts]},
                       saved.with_suffix(".part"))
            saved.with_suffix(".part").rename(saved)
            last_save = time.time()
    print(f"done: {step} steps in {used:.0f} s", flush=True)


if __name__ == "__main__":
    main()

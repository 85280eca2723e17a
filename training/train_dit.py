"""Trains the transformer, the text encoder and the seconds embedder together.

  python train_dit.py --minutes 50 --work /tmp/nano --t5 ../models/nano/t5
"""

from __future__ import annotations

import argparse
import copy
import math
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import clips
import dit
import muon
import sounds
import t5
import tokens


class Model(torch.nn.Module):
    def __init__(self, vocab: int):
        super().__init__()
        self.dit = dit.DiT()
        self.t5 = t5.T5Encoder(vocab=vocab)
        self.seconds = dit.Seconds()

    def condition(self, ids, mask, seconds):
        s = self.seconds(seconds)
        # Padding changes nothing in the text encoder: leave it out, then put
        # back the zero rows.
        used = int(mask.sum(1).max())
        text = self.t5(ids[:, :used], mask[:, :used])
        text = F.pad(text, (0, 0, 0, ids.shape[1] - used))
        return torch.cat([text, s[:, None]], 1), s

    def forward(self, x, t, ids, mask, seconds, keep):
        context, glob = self.condition(ids, mask, seconds)
        return self.dit(x, t, context * keep[:, None, None], glob)


def groups(model):
    """Muon for the matrices inside the layers, AdamW for the rest."""
    inner, rest = [], []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        deep = "transformer.layers" in name or "encoder.block" in name
        bias_table = "relative_attention" in name
        (inner if p.ndim == 2 and deep and not bias_table else rest).append(p)
    return inner, rest


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=50)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--t5", type=pathlib.Path, required=True)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bf16", action="store_true",
                   help="autocast: twice as fast where the processor has it")
    p.add_argument("--ema", type=float, default=0.99)
    p.add_argument("--device", default="cpu")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(3)

    latents = torch.load(args.work / "latents.pt")
    means, stds = latents["mean"].float(), latents["std"].float()
    specs, _ = sounds.dataset(len(means), clips.SEED)
    rng = random.Random(11)
    tokenizer = tokens.Tokenizer(args.t5 / "spiece.model")
    seconds = torch.tensor([s.seconds for s in specs])

    model = Model(tokenizer.model.get_piece_size()).to(args.device)
    print("parameters", sum(p.numel() for p in model.parameters()), flush=True)
    ema = copy.deepcopy(model)
    inner, rest = groups(model)
    opts = [muon.Muon(inner, lr=1e-2, bf16=args.bf16),
            torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.99),
                              weight_decay=0.01)]
    base = [1e-2, 1e-3]
    step, used = 0, 0.0
    deadline = time.time() + args.minutes * 60
    saved = args.work / "dit.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=False)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for o, s in zip(opts, state["opts"]):
            o.load_state_dict(s)
        step, used = state["step"], state["used"]

    shown = None
    last_save = time.time()
    while time.time() < deadline:
        start = time.time()
        # The schedule ends at the deadline, also when steps were slow or the
        # process was suspended for a while.
        progress = used / (used + deadline - start)
        for o, lr in zip(opts, base):
            warm = min(1.0, (step + 1) / 50)
            cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
            for g in o.param_groups:
                g["lr"] = lr * warm * cosine
        pick = torch.randint(len(means), (args.batch,))
        # A caption is drawn anew each time: the same sound in other words.
        words = [sounds.caption(specs[i], rng) for i in pick.tolist()]
        ids, mask = tokenizer(words)
        # Half of the steps see only the first half of the clips: a beginning
        # is a valid sample too, and costs half.
        frames = means.shape[-1]
        if progress < 0.8 and step % 2:
            frames //= 2
        x0 = means[pick, :, :frames] + stds[pick, :, :frames] * torch.randn(
            args.batch, means.shape[1], frames)
        half = args.batch // 2
        t = torch.cat([torch.rand(half),
                       torch.sigmoid(torch.randn(args.batch - half) + 1)])
        noise = torch.randn_like(x0)
        xt = (1 - t)[:, None, None] * x0 + t[:, None, None] * noise
        keep = (torch.rand(args.batch) >= 0.1).float()
        d = args.device
        with torch.autocast(d, torch.bfloat16, enabled=args.bf16):
            v = model(xt.to(d), t.to(d), ids.to(d), mask.to(d),
                      seconds[pick].to(d), keep.to(d))
        loss = (v.float() - (noise - x0).to(d)).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        decay = min(args.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 1 - decay)
        step += 1
        used += min(time.time() - start, 10.0)
        shown = loss.item() if shown is None else (
            0.98 * shown + 0.02 * loss.item())
        if step % 20 == 0:
            print(f"{used:7.0f} s step {step} velocity {shown:.4f}",
                  flush=True)
        if time.time() - last_save > 120 or time.time() >= deadline:
            torch.save({"model": model.state_dict(), "ema": ema.state_dict(),
                        "step": step, "used": used,
                        "opts": [o.state_dict() for o in opts]},
                       saved.with_suffix(".part"))
            saved.with_suffix(".part").rename(saved)
            last_save = time.time()
    print(f"done: {step} steps in {used:.0f} s", flush=True)


if __name__ == "__main__":
    main()

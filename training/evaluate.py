"""Judges generated sounds against their prompts.

  python evaluate.py --truth                      the analyser on ground truth
  python evaluate.py --model ../models/nano --codec   through the autoencoder
  python evaluate.py --model ../models/nano       sounds of the PyTorch sampler
  python evaluate.py --model ../build/release/models/nano \\
                     --program ../build/release/lathe      of the C++ program
  python evaluate.py --folder DIR                 sounds 000.wav, 001.wav, ...

Prompts and seeds are not those of training. Prints a table; --json writes it.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import random
import subprocess
import tempfile
from collections.abc import Iterator

import numpy as np
import scipy.io.wavfile

import analyse
import sounds

SEED = 4242
SHARE = {"kick": 0.1, "snare": 0.1, "hat": 0.1, "tone": 0.3, "chord": 0.1,
         "noise": 0.1, "wind": 0.06, "arpeggio": 0.08, "loop": 0.06}


def held_out(count: int) -> list[tuple[sounds.Spec, str]]:
    """Specs and captions with a fixed number of each kind."""
    rng = random.Random(SEED)
    left = {k: round(v * count) for k, v in SHARE.items()}
    out = []
    while any(left.values()):
        spec = sounds.draw_spec(rng)
        text = sounds.caption(spec, rng)
        if left[spec.kind]:
            left[spec.kind] -= 1
            out.append((spec, text))
    return out


def truth(items) -> Iterator[np.ndarray]:
    for i, (spec, _) in enumerate(items):
        yield sounds.render(spec, SEED * 1000 + i, aligned=True)


def codec(items, model) -> Iterator[np.ndarray]:
    import torch
    import loader
    vae = loader.Pipeline(model).vae
    for x in truth(items):
        with torch.no_grad():
            yield vae.decoder(vae.encode(torch.from_numpy(x)[None])[0])[0].numpy()


def sampled(items, args) -> Iterator[np.ndarray]:
    import torch
    import loader
    torch.set_num_threads(args.threads)
    pipeline = loader.Pipeline(args.model)
    defaults = pipeline.config["lathe"]
    for at in range(0, len(items), 10):
        part = items[at:at + 10]
        z = pipeline.latents(
            [t for _, t in part], [s.seconds for s, _ in part], SEED + at,
            args.steps or defaults["steps"],
            args.sampler or defaults["sampler"],
            defaults["cfg_scale"] if args.cfg is None else args.cfg)
        for y in pipeline.decode(z):
            yield y.numpy()


def read(path: pathlib.Path) -> np.ndarray:
    _, y = scipy.io.wavfile.read(path)
    if y.dtype == np.int16:
        y = y / 32768
    return np.atleast_2d(y.T).astype(np.float32)


def program(items, args) -> Iterator[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        for i, (spec, text) in enumerate(items):
            wav = pathlib.Path(folder) / f"{i:03}.wav"
            # The program refuses more than the model's length.
            seconds = min(spec.seconds, sounds.CLIP / sounds.RATE)
            command = [str(args.program), "generate", text, "-o", str(wav),
                       "--seed", str(SEED + i), "--seconds", f"{seconds:.5f}",
                       "--model", str(args.model), "-q"]
            if args.steps:
                command += ["--steps", str(args.steps)]
            if args.sampler:
                command += ["--sampler", args.sampler]
            if args.cfg is not None:
                command += ["--cfg", str(args.cfg)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            yield read(wav)


def judge(items, audio: Iterator[np.ndarray], keep: pathlib.Path | None):
    """Counts of right answers, as (right, of), by what was asked."""
    score: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    confusion: dict[str, collections.Counter] = collections.defaultdict(
        collections.Counter)

    def mark(name: str, right: bool) -> None:
        score[name][0] += bool(right)
        score[name][1] += 1

    for i, ((spec, text), y) in enumerate(zip(items, audio)):
        heard = analyse.classify(y)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            scipy.io.wavfile.write(
                keep / f"{i:03}.wav", sounds.RATE,
                (np.clip(y.T, -1, 1) * 32767).astype(np.int16))
        mark("all kinds", heard.kind == spec.kind)
        mark(f"kind: {spec.kind}", heard.kind == spec.kind)
        confusion[spec.kind][heard.kind] += 1
        mark("side", heard.side == spec.side)
        off = abs(analyse.cents(heard.hertz, spec.midi))
        octave = abs((off + 600) % 1200 - 600)
        if spec.kind == "tone":
            mark("tone pitch within 50 cents", off <= 50)
            mark("tone pitch, any octave", octave <= 50)
        if spec.kind == "chord":
            mark("chord root and mode", off <= 50 and heard.mode == spec.mode)
        if spec.kind in ("tone", "chord", "noise", "wind"):
            length = min(spec.seconds, sounds.CLIP / sounds.RATE)
            mark("length within 0.15 s", abs(heard.seconds - length) < 0.15)
    return dict(score), {k: dict(v) for k, v in confusion.items()}


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--truth", action="store_true")
    p.add_argument("--codec", action="store_true")
    p.add_argument("--model", type=pathlib.Path)
    p.add_argument("--program", type=pathlib.Path)
    p.add_argument("--folder", type=pathlib.Path)
    p.add_argument("--count", type=int, default=120)
    p.add_argument("--steps", type=int)
    p.add_argument("--sampler")
    p.add_argument("--cfg", type=float)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json", type=pathlib.Path)
    p.add_argument("--keep", type=pathlib.Path, help="folder for the sounds")
    args = p.parse_args()
    items = held_out(args.count)
    if args.truth:
        audio = truth(items)
    elif args.folder:
        audio = (read(args.folder / f"{i:03}.wav") for i in range(len(items)))
    elif not args.model:
        p.error("one of --truth, --folder and --model is needed")
    elif args.codec:
        audio = codec(items, args.model)
    elif args.program:
        audio = program(items, args)
    else:
        audio = sampled(items, args)
    score, confusion = judge(items, audio, args.keep)
    for name, (right, of) in sorted(score.items()):
        print(f"{name:28} {right:3} of {of:3}  {right / of:.2f}")
    for kind, heard in confusion.items():
        print(f"{kind:9} heard as " + ", ".join(
            f"{k} {v}" for k, v in sorted(heard.items(), key=lambda h: -h[1])))
    if args.json:
        args.json.write_text(json.dumps(
            {"score": score, "confusion": confusion}, indent=1) + "\n")


if __name__ == "__main__":
    main()

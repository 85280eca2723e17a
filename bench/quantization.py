#!/usr/bin/env python3
"""What quantizing costs the nano model and what it brings, side by side.

Converts the nano model by several recipes, makes the same sounds with each in
turn, and compares them with the float model's: size, time, distance of sounds,
and how many kinds of sounds an analyser (training/evaluate.py) tells right.

`--write FILE` puts the table between the marks of docs/quantization.md.
Needs numpy and scipy (./dev bench --quantization installs them).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- nano: begin -->\n", "<!-- nano: end -->\n"
PROMPTS = ["a kick drum", "a short bright snare", "a closed hi-hat",
           "a pure tone in A4", "a C major chord", "soft white noise",
           "wind, slowly rising", "a drum loop at 120 bpm"]
SEEDS = 3  # Of the float model, besides the one that is compared.
FP16 = ROOT / "examples/recipes/fp16.json"
# A name for people, and what `lathe convert` gets.
VARIANTS = {
    "float": [],
    "fp16": ["{fp16}"],
    "int8 DiT": ["dit=dynamic_wi8_afp32"],
    "int8 everything": ["dynamic_wi8_afp32"],
    "int4 DiT, blocks of 32": ["dit=dynamic_wi4b32_afp32"],
}
METRICS = ["log_mel_distance", "nsim", "envelope_cosine", "drift"]


def lathe(program, *arguments):
    done = subprocess.run([program, *map(str, arguments), "--json", "-q"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"lathe {arguments[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def convert(program, folder):
    """{variant: (folder, bytes of all models, bytes of the DiT)}"""
    models = {}
    for name, recipes in VARIANTS.items():
        out = folder / f"{len(models)}"
        options = []
        for text in recipes:
            options += ["--recipe", text.format(fp16=FP16)]
        facts = lathe(program, "convert", ROOT / "models/nano/model.safetensors",
                      "-o", out, *options)
        sizes = {pathlib.Path(f["path"]).stem: f["bytes"]
                 for f in facts["outputs"] if f["ops"]}
        models[name] = (out, sum(sizes.values()), sizes["dit"])
    return models


def sounds(program, models, folder, seconds):
    """Makes all sounds, the variants in turn; times of each variant."""
    times = {name: [] for name in models}
    for i, prompt in enumerate(PROMPTS):
        for n, (name, (model, _, _)) in enumerate(models.items()):
            facts = lathe(program, "generate", prompt, "--model", model,
                          "--seed", 7, "--seconds", seconds,
                          "-o", folder / f"{i}-{n}.wav")
            times[name].append(facts["times_ms"])
        for seed in range(SEEDS):
            lathe(program, "generate", prompt, "--model", models["float"][0],
                  "--seed", 100 + seed, "--seconds", seconds,
                  "-o", folder / f"{i}-seed{seed}.wav")
    return times, facts["isa"], facts["threads"]


def distances(program, models, folder):
    """{variant: {metric: mean over the prompts}}"""
    found = {}
    for n, name in enumerate(models):
        rows = [lathe(program, "listen-test", folder / f"{i}-0.wav",
                      folder / f"{i}-{n}.wav", "--seeds",
                      *(folder / f"{i}-seed{s}.wav" for s in range(SEEDS)))
                ["metrics"] for i in range(len(PROMPTS))]
        found[name] = {m: statistics.mean(r[m] for r in rows) for m in METRICS}
    return found


def accuracy(program, model, count, folder):
    out = folder / "score.json"
    subprocess.run([sys.executable, ROOT / "training/evaluate.py", "--model",
                    model, "--program", program, "--count", str(count), "--json",
                    out], check=True, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())["score"]["all kinds"]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    p.add_argument("--count", type=int, default=62,
                   help="captions that are judged, for each variant")
    p.add_argument("--seconds", type=float, default=2.9)
    p.add_argument("--write", type=pathlib.Path,
                   help="a file whose marked table is replaced")
    args = p.parse_args()
    program = (args.build / "lathe").resolve()
    load = os.getloadavg()[0]

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = convert(program, folder)
        times, isa, threads = sounds(program, models, folder, args.seconds)
        found = distances(program, models, folder)
        lines = ["| model | files | DiT | steps, ms | decoding, ms | "
                 "log-mel distance | NSIM | envelope cosine | drift | kinds right |",
                 "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for variant, (model, size, dit) in models.items():
            middle = {part: statistics.median(t[part] for t in times[variant])
                      for part in ("diffuse", "decode")}
            right, of = accuracy(program, model, args.count, folder)
            d = found[variant]
            lines.append(
                f"| {variant} | {size / 1e6:.1f} MB | {dit / 1e6:.1f} MB | "
                f"{middle['diffuse']:.0f} | {middle['decode']:.0f} | "
                f"{d['log_mel_distance']:.3f} | {d['nsim']:.3f} | "
                f"{d['envelope_cosine']:.3f} | {d['drift']:.2f} | "
                f"{right} of {of} |")
            print("\n".join(lines[-1:] if len(lines) > 3 else lines), flush=True)
    note = (f"{len(PROMPTS)} prompts of {args.seconds} s, medians; {isa}, "
            f"{threads} threads, load average {load:.1f} before, "
            f"{os.getloadavg()[0]:.1f} after.")
    print("\n" + note)
    if args.write:
        text = args.write.read_text()
        head, rest = text.split(BEGIN)
        _, tail = rest.split(END)
        args.write.write_text(head + BEGIN + "\n".join(lines) + "\n\n" + note +
                              "\n" + END + tail)


if __name__ == "__main__":
    main()

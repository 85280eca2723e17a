#!/usr/bin/env python3
"""Measures the whole pipeline at full size, with weights that follow from their names.

Writes the checkpoint, converts it, then for each thread count: the peak of the
machine, the text encoder, one step of the diffusion transformer, the decoder, and a
whole sound of 11.88 s; with `--peer litert` the same files in LiteRT, in turn, in
the same run. Prints a table; --json FILE keeps the figures.

Needs about 5 GB of disk (--work) and, for the peer, ai-edge-litert and numpy
(`./dev bench --full --peer litert` installs them).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# File, what it is, GFLOP of one run (reference, section 4.2: GMAC x 2).
MODELS = (("conditioner", "text encoder", 11.0), ("dit", "DiT step", 165.3),
          ("decoder", "decoder, 256 frames", 1290.8))


def lathe(program, *args):
    run = subprocess.run([program, *map(str, args), "--json", "-q"], check=True,
                         stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def litert_child(path, threads, runs):
    """Runs in a process of its own, so that its memory is its own."""
    import resource
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    begin = time.perf_counter()
    model = Interpreter(path, num_threads=threads)
    model.allocate_tensors()
    load = time.perf_counter() - begin
    rng = np.random.default_rng(0)
    for facts in model.get_input_details():
        if facts["dtype"] == np.float32:
            value = rng.uniform(-1, 1, facts["shape"]).astype(np.float32)
        else:
            value = np.ones(facts["shape"], facts["dtype"])
        model.set_tensor(facts["index"], value)
    times = []
    for _ in range(2 + runs):
        begin = time.perf_counter()
        model.invoke()
        times.append((time.perf_counter() - begin) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"load_ms": load * 1e3, "first_ms": times[0],
                      "median_ms": statistics.median(times[2:]),
                      "peak_rss_bytes": peak}))


def litert(path, threads, runs):
    run = subprocess.run([sys.executable, __file__, "--child", str(path),
                          str(threads), str(runs)], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(run.stdout)


def middle(records, key):
    return statistics.median(r[key] for r in records)


def prepare(options, work):
    """The converted model's folder, and what converting took."""
    checkpoint = work / "checkpoint"
    if not (checkpoint / "t5/model.safetensors").exists():
        checkpoint.mkdir(exist_ok=True)
        print("writing the checkpoint ...", file=sys.stderr, flush=True)
        subprocess.run([options.build / "src/import/lathe_name_keyed", "full",
                        ROOT / "models/nano/t5/spiece.model", checkpoint],
                       check=True)
    model = work / "model"
    record = lathe(options.program, "convert", checkpoint / "model.safetensors",
                   "--config", checkpoint / "model_config.json",
                   "--t5", checkpoint / "t5", "-o", model)
    return model, record


def measure(options, model, threads, peer):
    """One thread count: {file: (ours, theirs or None)}, and a whole sound."""
    results = {}
    for name, _, _ in MODELS:
        path = model / f"{name}.tflite"
        runs = max(1, options.runs if name != "decoder" else options.runs // 2)
        ours, theirs = [], []
        for _ in range(options.rounds):
            print(f"{threads} threads, {name} ...", file=sys.stderr, flush=True)
            ours.append(lathe(options.program, "bench", path, "--threads",
                              threads, "--runs", runs))
            if peer:
                theirs.append(litert(path, threads, runs))
        keys = ("load_ms", "first_ms", "median_ms", "peak_rss_bytes")
        results[name] = tuple({k: middle(side, k) for k in keys} if side else None
                              for side in (ours, theirs))
    sounds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            print(f"{threads} threads, a sound ...", file=sys.stderr, flush=True)
            sounds.append(lathe(
                options.program, "generate", "warm arpeggio", "--model", model,
                "--seconds", "11.88", "--seed", "7", "--steps", "8", "--threads",
                threads, "-o", f"{folder}/o.wav"))
    best = min(sounds, key=lambda s: s["times_ms"]["total"])
    return results, best


def table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))))


def main():
    if sys.argv[1:2] == ["--child"]:
        return litert_child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    p.add_argument("--work", type=pathlib.Path,
                   help="keeps the checkpoint there (default: a temporary folder)")
    p.add_argument("--peer", choices=["litert"])
    p.add_argument("--threads", default="1,2")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--rounds", type=int, default=3,
                   help="processes of each side, in turn; medians are kept")
    p.add_argument("--json", type=pathlib.Path)
    options = p.parse_args()
    options.program = options.build / "lathe"
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or pathlib.Path(temporary)
        work.mkdir(exist_ok=True)
        model, converted = prepare(options, work)
        print(f"convert: {converted['times_ms']['total'] / 1e3:.1f} s, "
              f"{converted['peak_private_bytes'] / 1e6:.0f} MB private, "
              f"{converted['peak_rss_bytes'] / 1e6:.0f} MB resident")
        record = {"convert": converted, "threads": {}}
        for threads in map(int, options.threads.split(",")):
            peaks = lathe(options.program, "doctor")["peaks"]
            peak = peaks["gflops_1" if threads == 1 else "gflops"]
            results, sound = measure(options, model, threads, options.peer)
            record["threads"][threads] = {"peak_gflops": peak, "models": results,
                                          "sound": sound}
            load = os.getloadavg()[0]
            print(f"\n{threads} threads; peak {peak:.0f} GFLOP/s; "
                  f"load average {load:.1f}")
            rows = [("", "ms", "GFLOP/s", "of peak", "load ms", "peak RSS MB",
                     "LiteRT ms", "load ms", "peak RSS MB", "ratio")]
            for name, words, gflop in MODELS:
                ours, theirs = results[name]
                rate = gflop / ours["median_ms"] * 1e3
                row = [words, f"{ours['median_ms']:.1f}", f"{rate:.0f}",
                       f"{rate / peak:.2f}", f"{ours['load_ms']:.0f}",
                       f"{ours['peak_rss_bytes'] / 1e6:.0f}"]
                row += [f"{theirs['median_ms']:.1f}", f"{theirs['load_ms']:.0f}",
                        f"{theirs['peak_rss_bytes'] / 1e6:.0f}",
                        f"{ours['median_ms'] / theirs['median_ms']:.2f}"
                        ] if theirs else ["-"] * 4
                rows.append(tuple(row))
            table(rows)
            times = sound["times_ms"]
            print("whole sound, 8 steps: " + ", ".join(
                f"{k} {v / 1e3:.2f}" for k, v in times.items()) + " s; peak "
                f"{sound['peak_rss_bytes'] / 1e6:.0f} MB resident, "
                f"{sound['peak_private_bytes'] / 1e6:.0f} MB private")
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

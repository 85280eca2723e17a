#!/usr/bin/env python3
"""Times real .tflite files in Lathe and, with `--peer litert`, in LiteRT, in turn.

The files are those of ../shared/fixtures/models and zoo (or folders named on the
command line). Prints a line a file, the geometric mean of the ratios, and the
operators that take most of the time.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT.parent / "shared/fixtures"


def lathe(program, path, threads, runs):
    """The record of `lathe bench`, or what it said instead."""
    run = subprocess.run(
        [program, "bench", path, "--threads", str(threads), "--runs", str(runs),
         "--warmup", "2", "--steps", "--json", "-q"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        return None, run.stderr.strip().splitlines()[0][:100]
    return json.loads(run.stdout), ""


def litert_child(path, threads, runs):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    model = Interpreter(path, num_threads=threads)
    model.allocate_tensors()
    rng = np.random.default_rng(0)
    for facts in model.get_input_details():
        if np.issubdtype(facts["dtype"], np.floating):
            value = rng.uniform(-1, 1, facts["shape"]).astype(facts["dtype"])
        else:
            value = np.zeros(facts["shape"], facts["dtype"])
        try:
            model.set_tensor(facts["index"], value)
        except (ValueError, RuntimeError):
            pass  # A stored constant.
    times = []
    for _ in range(3 + runs):
        begin = time.perf_counter()
        model.invoke()
        times.append((time.perf_counter() - begin) * 1e3)
    print(json.dumps(statistics.median(times[3:])))


def litert(path, threads, runs):
    run = subprocess.run([sys.executable, __file__, "--child", str(path),
                          str(threads), str(runs)], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    return json.loads(run.stdout) if run.returncode == 0 and run.stdout else None


def main():
    if sys.argv[1:2] == ["--child"]:
        return litert_child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folders", nargs="*", type=pathlib.Path,
                   default=[FIXTURES / "models", FIXTURES / "zoo"])
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    p.add_argument("--peer", choices=["litert"])
    p.add_argument("--threads", default="1,2")
    p.add_argument("--runs", type=int, default=20)
    p.add_argument("--json", type=pathlib.Path)
    options = p.parse_args()
    files = sorted(f for folder in options.folders
                   for f in folder.rglob("*.tflite"))
    record = []
    for threads in map(int, options.threads.split(",")):
        ratios, float_ratios = [], []
        shares = collections.Counter()
        print(f"{threads} threads; load average {os.getloadavg()[0]:.1f}")
        for path in files:
            name = (path.parent.name if path.stem == "model" else path.stem)
            ours, why = lathe(options.build / "lathe", path, threads,
                              options.runs)
            if ours is None:
                print(f"  {name:40} {why}")
                continue
            for step in ours.get("steps", []):
                shares[step["name"]] += step["ms"] / max(ours["median_ms"], 1e-6)
            line = f"  {name:40} {ours['median_ms']:10.3f} ms"
            theirs = None
            if options.peer:
                theirs = litert(path, threads, options.runs)
            if theirs:
                ratio = ours["median_ms"] / theirs
                ratios.append(ratio)
                line += f"  LiteRT {theirs:10.3f} ms  ratio {ratio:5.2f}"
            record.append({"file": name, "threads": threads,
                           "lathe_ms": ours["median_ms"], "litert_ms": theirs})
            print(line, flush=True)
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f"  geometric mean of {len(ratios)} ratios: {mean:.2f}; "
                  f"largest {max(ratios):.2f}")
        total = sum(shares.values()) or 1
        print("  share of the time, every file alike:")
        for step, share in shares.most_common(10):
            print(f"    {share / total:6.1%}  {step}")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

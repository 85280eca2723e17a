#!/usr/bin/env python3
"""Proves two promises of `lathe quantize` on models larger than memory need be.

Memory: a model of about 2 GB is quantized to int8 while the process's private
memory is read every two milliseconds; its peak must stay below the largest
tensor and 300 MB.

Kills: the program is killed again and again, later each time, with an older
file in place: that file must be there unchanged, or the whole new one, and
nothing else be left.

`--write FILE` puts the figures between the marks of docs/quantization.md.

Exit code: 0 proved, 1 not.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- proof: begin -->\n", "<!-- proof: end -->\n"
RECIPE = "dynamic_wi8_afp32"
ALLOWED_BYTES = 300 * 10**6


def memory_of(pid):
    """{"VmHWM": bytes, ...} of a process; empty when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    lines = (line.split() for line in text.splitlines())
    return {f[0].rstrip(":"): int(f[1]) * 1024 for f in lines
            if len(f) == 3 and f[2] == "kB"}


def start(lathe, model, out):
    return subprocess.Popen([lathe, "quantize", model, "--recipe", RECIPE,
                             "-o", out, "--json", "-q"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def prove_memory(lathe, model, out, largest):
    begin = time.perf_counter()
    process = start(lathe, model, out)
    private = resident = samples = 0
    while process.poll() is None:
        now = memory_of(process.pid)
        private = max(private, now.get("RssAnon", 0) + now.get("RssShmem", 0))
        resident = max(resident, now.get("VmHWM", 0))
        samples += 1
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    text, problem = process.communicate()
    if process.returncode != 0:
        sys.exit(f"lathe quantize: {problem.decode()}")
    told = json.loads(text)["peak_private_bytes"]
    limit = largest + ALLOWED_BYTES
    fine = max(private, told) < limit
    mb = 1e6
    rows = [("float model", f"{model.stat().st_size / mb:.0f} MB"),
            ("int8 model", f"{out.stat().st_size / mb:.0f} MB"),
            ("largest tensor", f"{largest / mb:.0f} MB"),
            ("time", f"{seconds:.1f} s"),
            ("peak private memory",
             f"{private / mb:.0f} MB in {samples} looks, "
             f"{told / mb:.0f} MB by its own account"),
            ("allowed", f"{limit / mb:.0f} MB"),
            ("peak resident memory, pages of the mapped input with it",
             f"{resident / mb:.0f} MB")]
    return fine, rows


def prove_kills(lathe, model, folder, kills):
    out = folder / "killed.tflite"
    begin = time.perf_counter()
    if start(lathe, model, out).wait() != 0:
        sys.exit("lathe quantize failed")
    whole = time.perf_counter() - begin
    new, old = out.read_bytes(), b"the file before"
    before = set(folder.iterdir())
    was_old = was_new = killed = broken = 0
    left = set()
    for i in range(kills):
        out.write_bytes(old)
        process = start(lathe, model, out)
        # Up to and beyond the end.
        time.sleep(whole * 1.2 * i / kills)
        process.kill()
        killed += process.wait() != 0
        process.communicate()
        found = out.read_bytes()
        was_old += found == old
        was_new += found == new
        broken += found not in (old, new)
        left |= set(folder.iterdir()) - before
    rows = [("killed, of runs", f"{killed} of {kills}, after 0 to "
             f"{whole * 1.2 * (kills - 1) / kills * 1e3:.0f} ms"),
            ("the older file unchanged, the new one whole, anything else",
             f"{was_old}, {was_new}, {broken}"),
            ("files left behind", str(len(left)))]
    # Between a link and a rename a killed process may leave a name.
    fine = broken == 0 and was_old > 0 and was_new > 0 and len(left) <= 1
    return fine, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path,
                        default=ROOT / "build/release")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--work", type=pathlib.Path,
                        help="where 3 GB of files may lie (default: /tmp)")
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    lathe = options.build / "lathe"
    writer = options.build / "src/import/lathe_large_model"
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        folder = pathlib.Path(folder)
        large, small = folder / "large.tflite", folder / "small.tflite"
        for path, layers in ((large, options.layers), (small, 2)):
            subprocess.run([writer, path, str(layers), str(options.width)],
                           check=True)
        largest = 4 * options.width**2
        light, rows = prove_memory(lathe, large, folder / "q.tflite", largest)
        whole, more = prove_kills(lathe, small, folder, options.kills)
    rows += more
    table = "| | |\n|---|---|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows)
    print(table, end="")
    print("memory:", "proved" if light else "NOT KEPT")
    print("kills:", "proved" if whole else "NOT KEPT")
    if options.write:
        text = options.write.read_text()
        head, rest = text.split(BEGIN)
        options.write.write_text(head + BEGIN + table + END +
                                 rest.split(END)[1])
    return int(not (light and whole))


if __name__ == "__main__":
    sys.exit(main())

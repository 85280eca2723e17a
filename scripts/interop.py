#!/usr/bin/env python3
"""Runs converted models in LiteRT and in Lathe and compares the outputs.

Converts the tiny (name-keyed weights) and the nano model with `lathe convert`,
runs every signature in both runtimes on the same inputs, and for the tiny model
compares LiteRT with the golden values too, where the fixtures are there.
Then the nano model by several recipes: equal where all arithmetic is in float,
else as near to the float model. Static ones, from `lathe calibrate`, run in
LiteRT's reference kernels: convolutions alone (decoder, encoder) are equal bit
for bit with 8 bits; where a chain of other operators rounds, or in 16 bits, the
noises are compared. What LiteRT refuses is listed.
Needs numpy and ai-edge-litert (./dev interop installs them).

Exit code: 0 equal, 1 a difference above the tolerance, 2 something cannot run.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT.parent / "shared/fixtures/stable-audio/golden.json"
TOLERANCE = 1e-4         # Runtime against runtime.
GOLDEN_TOLERANCE = 2e-5  # A single module in float32 against float64.
MODELS = {"conditioner": "condition", "dit": "velocity", "decoder": "decode",
          "encoder": "encode"}


def name_keyed(name, shape, scale=1.0):
    """The stream of values that follows from a name (name_keyed.h)."""
    base = 0xCBF29CE484222325
    for byte in name.encode():
        base = (base ^ byte) * 0x100000001B3 % 2**64
    steps = np.arange(1, np.prod(shape) + 1, dtype=np.uint64)
    z = np.uint64(base) + steps * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return (np.float32(scale) * u).reshape(shape)


FP16 = ROOT / "examples/recipes/fp16.json"
# Recipes, and whether all arithmetic is in float32.
RECIPES = {"fp16": True, "weight_only_wi8_afp32": True,
           "dynamic_wi8_afp32": False, "weight_only_wi4_afp32": True,
           "dynamic_wi4_afp32": False, "dit=dynamic_wi4b32_afp32": False}

STATIC = ["static_wi8_ai8", "static_wi8_ai16"]
BIT_FOR_BIT = {("static_wi8_ai8", "decoder"), ("static_wi8_ai8", "encoder")}


class LiteRt:
    def __init__(self, path, signature, threads=1, reference=False):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        kernels = (OpResolverType.BUILTIN_REF if reference
                   else OpResolverType.AUTO)
        self._model = Interpreter(str(path), num_threads=threads,
                                  experimental_op_resolver_type=kernels)
        self._runner = self._model.get_signature_runner(signature)

    def __call__(self, **inputs):
        return self._runner(**inputs)

    def quantize(self, name, value):
        """A float value as the input's integers, where it has them."""
        facts = self._runner.get_input_details()[name]
        scale, zero = facts["quantization"]
        if scale == 0 or value.dtype != np.float32:
            return value
        kind = np.iinfo(facts["dtype"])
        steps = np.rint(value.astype(np.float64) / np.float32(scale)) + zero
        return np.clip(steps, kind.min, kind.max).astype(facts["dtype"])

    def real(self, name, value):
        scale, zero = self._runner.get_output_details()[name]["quantization"]
        if scale == 0:
            return value
        return (value.astype(np.float64) - zero) * np.float32(scale)

    def input_shapes(self):
        return {name: [int(n) for n in facts["shape"]]
                for name, facts in self._runner.get_input_details().items()}


def run_lathe(lathe, path, signature, inputs, threads=2):
    with tempfile.TemporaryDirectory() as folder:
        command = [lathe, "run", str(path), "--signature", signature,
                   "--threads", str(threads), "--output", folder, "-q"]
        for name, value in inputs.items():
            file = f"{folder}/{name}.npy"
            np.save(file, value)
            command += ["--input", f"{name}={file}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        facts = json.loads(pathlib.Path(folder, "outputs.json").read_text())
        return {f["name"]: np.load(f"{folder}/out{f['index']}.npy")
                for f in facts}


def inputs_of(pipeline, part):
    """Name-keyed inputs of one part; the shapes of the golden cases."""
    p = pipeline
    window, latents, frames = p["token_window"], p["latent_channels"], 6
    if part == "conditioner":
        ids = np.zeros((1, window), np.int32)
        tokens = [3, 17, 42, 99, 5, 8, 61, 33, 21, 12, 77, 64, 50, 49, 48, 47,
                  46, 45, 44, 43, 41, 40, 39, 1][:window]
        ids[0, :len(tokens)] = tokens
        return {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int32),
                "seconds_total": np.array([10.0], np.float32)}
    if part == "dit":
        context = name_keyed("cross", (1, window + 1, p["cond_width"]))
        context[:, window // 2:window] = 0
        return {"x": name_keyed("x", (1, latents, p["frames"])),
                "t": np.array([0.73], np.float32), "context": context,
                "global": name_keyed("glob", (1, p["cond_width"]))}
    if part == "decoder":
        return {"latent": name_keyed("z", (1, latents, frames))}
    samples = frames * p["hop"]
    return {"audio": name_keyed("audio", (1, p["channels"], samples), 0.5)}


class Report:
    def __init__(self):
        self.failed = False

    def compare(self, what, found, wanted, tolerance):
        same_shape = found.shape == wanted.shape
        error = (float(np.max(np.abs(found - wanted), initial=0))
                 if same_shape else float("inf"))
        fine = error <= tolerance  # False for NaN.
        self.failed |= not fine
        detail = "" if same_shape else f"  shapes {found.shape} {wanted.shape}"
        print(f"{'ok  ' if fine else 'FAIL'}  {error:9.2e}  {what}{detail}",
              flush=True)


    def compare_noise(self, what, ours, theirs, wanted):
        """Both runtimes round activations, each in its way: neither may be
        further from the float model than the other by more than 1 dB, nor they
        from each other than two independent noises."""
        def noise(a, b):
            return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))
        own, other = noise(ours, wanted), noise(theirs, wanted)
        apart = noise(ours, theirs)
        fine = own <= 1.122 * other + 1e-6 and apart <= own + other + 1e-6
        self.failed |= not fine
        print(f"{'ok  ' if fine else 'FAIL'}  {apart:9.2e}  {what}  "
              f"(from float: {own:.2e}, LiteRT {other:.2e})", flush=True)


def golden_case(cases, name):
    """The stored values and how to pick them from a flat array."""
    case = cases[name]
    if "values" in case:
        return np.array(case["values"]), 1
    return np.array(case["strided"]), case["stride"]


def check_golden(folder, golden, report):
    """LiteRT on the tiny configuration's files against the reference."""
    cases = json.loads(pathlib.Path(golden).read_text())["cases"]
    pipeline = json.loads((folder / "pipeline.json").read_text())
    window, width = pipeline["token_window"], pipeline["cond_width"]

    def against(name, found):
        wanted, stride = golden_case(cases, name)
        found = found.astype(np.float64).ravel()[::stride][:len(wanted)]
        report.compare(f"golden {name}", found, wanted, GOLDEN_TOLERANCE)

    condition = LiteRt(folder / "conditioner.tflite", "condition")
    inputs = inputs_of(pipeline, "conditioner")
    for seconds in (0, 256, 10):
        inputs["seconds_total"] = np.array([seconds], np.float32)
        conditions = condition(**inputs)
        against(f"seconds_{seconds}", conditions["global"])
    context, glob = conditions["context"], conditions["global"]
    against("t5_hidden_masked", context[:, :window])
    report.compare("context's last row is the global row", context[:, window],
                   glob, 0)
    assert context.shape == (1, window + 1, width)

    velocity = LiteRt(folder / "dit.tflite", "velocity")
    x = name_keyed("x", (1, pipeline["latent_channels"], pipeline["frames"]))
    for t in (0.73, 1):
        found = velocity(x=x, t=np.array([t], np.float32), context=context,
                         **{"global": glob})["velocity"]
        against(f"dit_t{t}", found)

    decode = LiteRt(folder / "decoder.tflite", "decode")
    against("decoder", decode(**inputs_of(pipeline, "decoder"))["audio"])
    encode = LiteRt(folder / "encoder.tflite", "encode")
    found = encode(**inputs_of(pipeline, "encoder"))
    against("enc_mean", found["mean"])
    against("enc_stdev", found["stdev"])


def check_runtimes(name, folder, lathe, report):
    """Every signature of one model in both runtimes."""
    pipeline = json.loads((folder / "pipeline.json").read_text())
    for part, signature in MODELS.items():
        path = folder / f"{part}.tflite"
        inputs = inputs_of(pipeline, part)
        theirs = LiteRt(path, signature)(**inputs)
        ours = run_lathe(lathe, path, signature, inputs)
        for output, value in theirs.items():
            report.compare(f"{name} {part} {output}", ours[output], value,
                           TOLERANCE)


def check_quantized(folder, float_folder, recipe, exact, lathe, report):
    """Every model of one recipe in both runtimes, beside the float model."""
    pipeline = json.loads((folder / "pipeline.json").read_text())
    for part, signature in MODELS.items():
        path = folder / f"{part}.tflite"
        inputs = inputs_of(pipeline, part)
        ours = run_lathe(lathe, path, signature, inputs)
        try:
            theirs = LiteRt(path, signature)(**inputs)
        except (RuntimeError, ValueError) as problem:
            why = str(problem).strip().splitlines()[0]
            print(f"LiteRT refuses {recipe} {part}: {why}", flush=True)
            continue
        wanted = run_lathe(lathe, float_folder / f"{part}.tflite", signature,
                           inputs)
        for output, value in theirs.items():
            what = f"{recipe} {part} {output}"
            if exact:
                report.compare(what, ours[output], value, TOLERANCE)
            else:
                report.compare_noise(what, ours[output], value, wanted[output])


def check_static(work, recipe, lathe, report):
    """The nano model calibrated on the inputs that it is then run on."""
    folder = work / recipe
    folder.mkdir()
    pipeline = json.loads((work / "nano/pipeline.json").read_text())
    for part, signature in MODELS.items():
        model, path = work / f"nano/{part}.tflite", folder / f"{part}.tflite"
        inputs = inputs_of(pipeline, part)
        data = folder / part
        (data / signature).mkdir(parents=True)
        for name, value in inputs.items():
            np.save(data / signature / f"{name}.npy", value)
        for command in (["calibrate", model, "--data", data, "-o",
                         folder / "s.json"],
                        ["quantize", model, "--recipe", recipe, "--stats",
                         folder / "s.json", "-o", path]):
            subprocess.run([lathe, *command, "-q"], check=True,
                           stdout=subprocess.DEVNULL)
        try:
            runner = LiteRt(path, signature, reference=True)
            stored = {name: runner.quantize(name, value)
                      for name, value in inputs.items()}
            theirs = runner(**stored)
        except (RuntimeError, ValueError) as problem:
            why = str(problem).strip().splitlines()[0]
            print(f"LiteRT refuses {recipe} {part}: {why}", flush=True)
            continue
        ours = run_lathe(lathe, path, signature, stored)
        wanted = run_lathe(lathe, model, signature, inputs)
        for output, value in theirs.items():
            what = f"{recipe} {part} {output}"
            if (recipe, part) in BIT_FOR_BIT:
                report.compare(f"{what}, in steps", ours[output].astype(int),
                               value.astype(int), 0)
            else:
                report.compare_noise(what, runner.real(output, ours[output]),
                                     runner.real(output, value),
                                     wanted[output])


def convert(lathe, checkpoint, out, *options):
    subprocess.run([lathe, "convert", str(checkpoint / "model.safetensors"),
                    "--config", str(checkpoint / "model_config.json"),
                    "--t5", str(checkpoint / "t5"), "-o", str(out), "-q",
                    *options],
                   check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path,
                        default=ROOT / "build/release",
                        help="folder with the programs (default %(default)s)")
    parser.add_argument("--golden", type=pathlib.Path, default=GOLDEN)
    parser.add_argument("--tiny", type=pathlib.Path,
                        help="a converted tiny model; nothing is converted and "
                        "only LiteRT runs, against the golden values")
    options = parser.parse_args()
    report = Report()
    if options.tiny:
        check_golden(options.tiny, options.golden, report)
        return int(report.failed)

    lathe = str(options.build / "lathe")
    writer = str(options.build / "src/import/lathe_name_keyed")
    nano = ROOT / "models/nano"
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "checkpoint").mkdir()
        subprocess.run([writer, "tiny", str(nano / "t5/spiece.model"),
                        str(work / "checkpoint")], check=True)
        convert(lathe, work / "checkpoint", work / "tiny")
        convert(lathe, nano, work / "nano")
        if options.golden.exists():
            check_golden(work / "tiny", options.golden, report)
        else:
            print(f"golden values skipped: no {options.golden.name}")
        check_runtimes("tiny", work / "tiny", lathe, report)
        check_runtimes("nano", work / "nano", lathe, report)
        for recipe, exact in RECIPES.items():
            file = FP16 if recipe == "fp16" else recipe
            convert(lathe, nano, work / recipe, "--recipe", str(file))
            check_quantized(work / recipe, work / "nano", recipe, exact, lathe,
                            report)
        for recipe in STATIC:
            check_static(work, recipe, lathe, report)
    return int(report.failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"interop: {problem}", file=sys.stderr)
        sys.exit(2)

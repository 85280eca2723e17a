#!/usr/bin/env python3
"""Gives overlays of `lathe validate` to Model Explorer's own code.

The nano models, and where the fixtures are there a model of two graphs, are
quantized and validated with an overlay for each metric. Then, with the package
from PyPI (./dev explorer installs it; nothing is shown on a screen):
  * its node data classes take the file: no field or type that they do not know,
    and writing it again gives the same;
  * its adapter reads the float and the quantized model, and every key of the
    overlay is the output of a node or a node's id there (of the float model:
    all; of the quantized one all but operators that are gone), every graph of a
    nested overlay a graph's id;
  * its colours: each value lies at or below a threshold, in ascending order;
  * its server hands the file out unchanged.

Exit code: 0 all is taken, 1 something is not.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import dacite
import portpicker
from model_explorer import server
from model_explorer.builtin_tflite_flatbuffer_adapter import \
    BuiltinTfliteFlatbufferAdapter
from model_explorer.config import ModelExplorerConfig
from model_explorer.node_data_builder import GraphNodeData
from model_explorer.utils import remove_none

ROOT = pathlib.Path(__file__).resolve().parent.parent
TWO_GRAPHS = (ROOT.parent /
              "shared/fixtures/quant/models/two_signatures_shared_buffer.tflite")
METRICS = ["snr_db", "mse", "cosine_similarity"]


def graphs_of(model):
    """{graph id: (ids of nodes, names of output tensors)}"""
    answer = BuiltinTfliteFlatbufferAdapter().convert(str(model), {})
    found = {}
    for collection in answer["graphCollections"]:
        for graph in dataclasses.asdict(collection)["graphs"]:
            names = set()
            for node in graph["nodes"]:
                for output in node.get("outputsMetadata", []):
                    names |= {a["value"] for a in output["attrs"]
                              if a["key"] == "tensor_name"}
            found[graph["id"]] = ({node["id"] for node in graph["nodes"]}, names)
    return found


def as_node_data(flat):
    """Model Explorer's own class; raises for what it does not know."""
    data = dacite.from_dict(GraphNodeData, flat, dacite.Config(strict=True))
    again = remove_none(dataclasses.asdict(data))
    for key, value in flat.items():
        if again[key] != value:
            sys.exit(f"{key} is another after reading and writing")
    return data


def check(overlay, model, quantized, problems):
    data = json.loads(overlay.read_text())
    flat = {None: data} if "results" in data and "results" not in data[
        "results"] else data
    keys = 0
    for which, path in (("float", model), ("quantized", quantized)):
        graphs = graphs_of(path)
        for name, one in flat.items():
            as_node_data(one)
            if name is None and len(graphs) != 1:
                problems.append(f"{overlay}: flat for {len(graphs)} graphs")
            if name is not None and name not in graphs:
                problems.append(f"{overlay}: no graph {name} in {list(graphs)}")
                continue
            ids, names = graphs[name] if name is not None else next(
                iter(graphs.values()))
            lost = [k for k in one["results"] if k not in names | ids]
            if lost and which == "float":
                problems.append(f"{overlay}: no node for {lost[:3]}")
            keys += len(one["results"]) if which == "float" else 0
            bounds = [t["value"] for t in one["thresholds"]]
            if bounds != sorted(bounds) or not all(
                    r["value"] <= bounds[-1] for r in one["results"].values()):
                problems.append(f"{overlay}: thresholds {bounds}")
            if which == "quantized":
                print(f"  {name or 'the graph'}: {len(one['results'])} values, "
                      f"{len(lost)} of them not in the quantized model")
    return keys


def served(overlay):
    config = ModelExplorerConfig()
    config.add_node_data_from_path(str(overlay))
    port = portpicker.pick_unused_port()
    # It does not come back.
    threading.Thread(target=server.start, daemon=True, kwargs={
        "port": port, "config": config, "no_open_in_browser": True}).start()
    query = urllib.parse.urlencode({"path": str(overlay)})
    url = f"http://localhost:{port}/api/v1/read_text_file?{query}"
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["content"]
        except OSError:
            time.sleep(0.1)
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path,
                        default=ROOT / "build/release")
    options = parser.parse_args()
    lathe = options.build / "lathe"
    models = [options.build / f"models/nano/{name}.tflite"
              for name in ("conditioner", "dit", "decoder", "encoder")]
    if TWO_GRAPHS.exists():
        models.append(TWO_GRAPHS)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for model in models:
            quantized = folder / f"{model.stem}.8.tflite"
            subprocess.run([lathe, "quantize", model, "--recipe",
                            "dynamic_wi8_afp32", "-o", quantized, "-q"],
                           check=True, stdout=subprocess.DEVNULL)
            for metric in METRICS:
                overlay = folder / f"{model.stem}.{metric}.json"
                subprocess.run([lathe, "validate", model, quantized, "-q",
                                "--overlay", overlay, "--overlay-metric",
                                metric], check=True,
                               stdout=subprocess.DEVNULL)
                print(f"{model.stem}, {metric}:")
                if check(overlay, model, quantized, problems) == 0:
                    problems.append(f"{overlay}: it is empty")
        if served(overlay) != overlay.read_text():
            problems.append("the server's copy is another")
    for problem in problems:
        print(problem)
    print("NOT ALL IS TAKEN" if problems else "all is taken")
    sys.stdout.flush()
    os._exit(int(bool(problems)))  # The server's threads go on.


if __name__ == "__main__":
    main()

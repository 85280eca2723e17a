"""Rendered clips on disk as int16, so that training only reads them.

  python clips.py --work /tmp/nano --count 2400 --aligned
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import pathlib

import numpy as np

import sounds

SEED = 1  # of the training set; evaluate.py uses another


def _render(job: tuple[sounds.Spec, int], aligned: bool) -> np.ndarray:
    spec, seed = job
    return np.round(sounds.render(spec, seed, aligned) * 32767).astype(np.int16)


def load(work: pathlib.Path, count: int, aligned: bool):
    """Clips [count, 2, CLIP] and their specs; rendered if not there yet."""
    specs, _ = sounds.dataset(count, SEED)
    path = work / ("aligned.npy" if aligned else "clips.npy")
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        out = np.lib.format.open_memmap(part, "w+", np.int16,
                                        (count, 2, sounds.CLIP))
        jobs = [(s, SEED * 1000003 + i) for i, s in enumerate(specs)]
        with multiprocessing.Pool(2) as pool:
            work_one = functools.partial(_render, aligned=aligned)
            for i, y in enumerate(pool.imap(work_one, jobs, chunksize=16)):
                out[i] = y
        out.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r"), specs


def length(spec: sounds.Spec) -> int:
    """Samples until silence."""
    return min(sounds.CLIP, int(spec.seconds * sounds.RATE))


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--count", type=int, default=2400)
    p.add_argument("--aligned", action="store_true")
    args = p.parse_args()
    print(load(args.work, args.count, args.aligned)[0].shape)

"""Procedural sounds with captions: what the nano model learns from.

A sound is made from a `Spec` (what it is) and a random generator (how it turns
out). Every sound is stereo float32 at 44.1 kHz, `CLIP` samples long, and silent
after its own length.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np

RATE = 44100
CLIP = 131072
NAMES = ["c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b"]
# The naturals from middle c to the g above its octave: few enough to learn,
# enough for a scale.
NOTES = [60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79]
CHORD_ROOTS = [60, 62, 64, 65, 67, 69]
KINDS = ["kick", "snare", "hat", "tone", "chord", "noise", "wind", "arpeggio",
         "loop"]
WAVES = ["sine", "triangle", "saw", "square"]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a sound is. Unused fields keep their defaults."""

    kind: str
    seconds: float = 1.0
    midi: int = 60
    wave: str = "sine"
    mode: str = "major"
    colour: str = "white"
    bpm: int = 120
    quiet: bool = False
    side: str = ""


def note_name(midi: int) -> str:
    """60 -> "c 4": the octave is a word of its own."""
    return f"{NAMES[midi % 12]} {midi // 12 - 1}"


def frequency(midi: float) -> float:
    return 440.0 * 2.0 ** ((midi - 69) / 12)


def draw_spec(rng: random.Random) -> Spec:
    """A random sound; tones are drawn often because pitch is learned last."""
    kind = rng.choices(KINDS, weights=[8, 8, 8, 42, 12, 6, 5, 7, 4])[0]
    return Spec(
        kind=kind,
        seconds=float(rng.choice([1, 2, 3])),
        midi=rng.choice(CHORD_ROOTS if kind in ("chord", "arpeggio") else NOTES),
        wave=rng.choice(WAVES),
        mode=rng.choice(["major", "minor"]),
        colour=rng.choice(["white", "pink", "brown"]),
        bpm=rng.choice([90, 120, 150]),
        quiet=rng.random() < 0.1,
        side=rng.choice(["left", "right"]) if rng.random() < 0.12 else "",
    )


def caption(spec: Spec, rng: random.Random) -> str:
    """One of several ways to say the same sound."""
    note = note_name(spec.midi)
    ways = {
        "kick": ["kick drum", "a kick", "deep kick drum", "bass drum hit",
                 "kick"],
        "snare": ["snare drum", "a snare", "snare hit", "snappy snare drum",
                  "snare"],
        "hat": ["hi-hat", "closed hi-hat", "a hat", "hi hat hit", "hihat"],
        "tone": [f"{spec.wave} tone {note}", f"{note} {spec.wave} tone",
                 f"a {spec.wave} note {note}", f"tone {note} {spec.wave}",
                 f"{spec.wave} wave playing {note}"],
        "chord": [f"{note} {spec.mode} chord", f"{spec.mode} chord {note}",
                  f"a {note} {spec.mode} chord",
                  f"chord of {note} {spec.mode}"],
        "noise": [f"{spec.colour} noise", f"steady {spec.colour} noise",
                  f"hiss of {spec.colour} noise", f"noise {spec.colour}"],
        "wind": ["wind", "howling wind", "wind blowing", "gusts of wind"],
        "arpeggio": [f"{note} {spec.mode} arpeggio",
                     f"warm arpeggio {note} {spec.mode}",
                     f"{spec.mode} arpeggio {note}", "warm arpeggio",
                     f"arpeggio {spec.mode}"],
        "loop": [f"drum loop {spec.bpm} bpm", f"{spec.bpm} bpm beat",
                 f"a drum beat at {spec.bpm} bpm", f"drum loop at {spec.bpm}"],
    }
    text = rng.choice(ways[spec.kind])
    if spec.quiet:
        text = rng.choice([f"quiet {text}", f"{text} quiet", f"soft {text}"])
    if spec.side:
        text = f"{text} on the {spec.side}"
    return text


def _envelope(n: int, attack: float, release: float) -> np.ndarray:
    e = np.ones(n)
    a, r = min(n, int(attack * RATE)), min(n, int(release * RATE))
    if a:
        e[:a] *= np.linspace(0, 1, a)
    if r:
        e[n - r:] *= np.linspace(1, 0, r)
    return e


def _wave(kind: str, hz: float, n: int, phase: float) -> np.ndarray:
    """A band-limited wave from its first partials."""
    x = 2 * np.pi * hz * np.arange(n) / RATE + phase
    if kind == "sine":
        return np.sin(x)
    y = np.zeros(n)
    for k in range(1, min(16, int(9000 / hz)) + 1):
        if kind == "saw":
            y += np.sin(k * x) / k
        elif k % 2:
            y += np.sin(k * x) / k if kind == "square" else (
                (-1) ** (k // 2) * np.sin(k * x) / k ** 2)
    return y / np.abs(y).max()


def _kick(rng: np.random.Generator) -> np.ndarray:
    n = int(0.35 * RATE)
    t = np.arange(n) / RATE
    hz = 48 + rng.uniform(90, 140) * np.exp(-t / 0.035)
    return np.sin(2 * np.pi * np.cumsum(hz) / RATE) * np.exp(
        -t / rng.uniform(0.09, 0.13))


def _snare(rng: np.random.Generator) -> np.ndarray:
    n = int(0.3 * RATE)
    t = np.arange(n) / RATE
    body = np.sin(2 * np.pi * rng.uniform(180, 210) * t) * np.exp(-t / 0.06)
    noise = rng.standard_normal(n) * np.exp(-t / rng.uniform(0.05, 0.08))
    return 0.75 * body + 0.3 * noise


def _hat(rng: np.random.Generator) -> np.ndarray:
    n = int(0.15 * RATE)
    t = np.arange(n) / RATE
    noise = rng.standard_normal(n)
    bright = np.diff(np.diff(noise, prepend=0), prepend=0)
    return 0.22 * bright * np.exp(-t / rng.uniform(0.02, 0.035))


def _coloured(colour: str, n: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20)
    power = {"white": 0.0, "pink": 0.5, "brown": 1.0}[colour]
    y = np.fft.irfft(spectrum / f ** power, n)
    return y / y.std() * 0.22


def _wind(n: int, rng: np.random.Generator) -> np.ndarray:
    y = _coloured("pink", n, rng)
    t = np.arange(n) / RATE
    slow = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(0.4, 0.8) * t
                                + rng.uniform(0, 6.28))
    spectrum = np.fft.rfft(y)
    f = np.fft.rfftfreq(n, 1 / RATE)
    centre = rng.uniform(350, 600)
    y = np.fft.irfft(spectrum * np.exp(-((f - centre) / (0.6 * centre)) ** 2), n)
    return y / y.std() * 0.3 * slow


def _tones(midis: list[int], wave: str, n: int,
           rng: np.random.Generator | None) -> np.ndarray:
    """Notes together; without a generator they all start at phase 0."""
    y = sum(_wave(wave, frequency(m), n, rng.uniform(0, 6.28) if rng else 0.0)
            for m in midis)
    return y / len(midis) * _envelope(n, 0.01, 0.05)


def _triad(midi: int, mode: str) -> list[int]:
    return [midi, midi + (4 if mode == "major" else 3), midi + 7]


def _add(y: np.ndarray, at: int, part: np.ndarray) -> None:
    m = min(len(part), len(y) - at)
    if m > 0:
        y[at:at + m] += part[:m]


def render(spec: Spec, seed: int, aligned: bool = False) -> np.ndarray:
    """The sound: float32 [2, CLIP]. Equal arguments give equal samples.

    `aligned` starts every oscillator at phase 0, as a synthesizer does. A tone
    then has one waveform instead of a circle of them, which makes pitch much
    easier to learn for the transformer; the autoencoder sees both kinds.
    """
    rng = np.random.default_rng(seed)
    phases = None if aligned else rng
    n = min(CLIP, int(spec.seconds * RATE))
    y = np.zeros(n)
    if spec.kind in ("kick", "snare", "hat"):
        hit = {"kick": _kick, "snare": _snare, "hat": _hat}[spec.kind](rng)
        _add(y, 0, hit)
    elif spec.kind == "tone":
        y = _tones([spec.midi], spec.wave, n, phases)
    elif spec.kind == "chord":
        y = _tones(_triad(spec.midi, spec.mode), "triangle", n, phases)
    elif spec.kind == "noise":
        y = _coloured(spec.colour, n, rng) * _envelope(n, 0.01, 0.05)
    elif spec.kind == "wind":
        y = _wind(n, rng) * _envelope(n, 0.05, 0.1)
    elif spec.kind == "arpeggio":
        step = RATE // 4
        notes = _triad(spec.midi, spec.mode) + [spec.midi + 12]
        for i, at in enumerate(range(0, n, step)):
            _add(y, at, _tones([notes[i % 4]], "triangle", step,
                               phases))
    elif spec.kind == "loop":
        step = RATE * 60 // spec.bpm // 2
        for i, at in enumerate(range(0, n, step)):
            _add(y, at, 0.5 * _hat(rng))
            if i % 4 == 0:
                _add(y, at, 0.9 * _kick(rng))
            if i % 4 == 2:
                _add(y, at, 0.8 * _snare(rng))
    level = rng.uniform(0.65, 0.85) * (0.2 if spec.quiet else 1.0)
    y = y / max(np.abs(y).max(), 1e-6) * level
    gains = {"": (1.0, 1.0), "left": (1.0, 0.1), "right": (0.1, 1.0)}[spec.side]
    out = np.zeros((2, CLIP), np.float32)
    out[0, :n], out[1, :n] = gains[0] * y, gains[1] * y
    return out


def dataset(count: int, seed: int) -> tuple[list[Spec], list[str]]:
    """Specs and captions of a whole set, the same for the same seed."""
    rng = random.Random(seed)
    specs = [draw_spec(rng) for _ in range(count)]
    return specs, [caption(s, rng) for s in specs]

"""Says what a sound is, by plain signal processing: no learning, no captions.

`classify` names the kind, the pitch, the mode and the side of a sound of
sounds.py. On the generator's own sounds it is right nearly always (evaluate.py
--truth measures it), so on generated ones it is a fair judge.
"""

from __future__ import annotations

import dataclasses

import numpy as np

RATE = 44100
HOP = 441


@dataclasses.dataclass
class Heard:
    kind: str
    hertz: float = 0.0
    mode: str = ""
    side: str = ""
    seconds: float = 0.0
    peak: float = 0.0


def _envelope(x: np.ndarray) -> np.ndarray:
    """Root mean square of 20 ms, every 10 ms."""
    p = np.concatenate([[0.0], np.cumsum(x.astype(np.float64) ** 2)])
    at = np.arange(0, len(x) - 2 * HOP, HOP)
    return np.sqrt(np.maximum(p[at + 2 * HOP] - p[at], 0) / (2 * HOP))


def _onsets(e: np.ndarray) -> int:
    """Rises by a factor e within 30 ms, at least 80 ms apart."""
    e = np.concatenate([np.zeros(3), e])
    log = np.log(e + 0.02 * e.max() + 1e-9)
    rise = log[3:] - log[:-3]
    count, last = 0, -100
    for i in range(len(rise)):
        if rise[i] > 1.0:
            if i - last > 8:
                count += 1
            last = i
    return count


def _spectrum(x: np.ndarray, size: int = 1 << 17):
    x = x - x.mean()
    return (np.abs(np.fft.rfft(x * np.hanning(len(x)), size)),
            RATE / size)


def _peaks(x: np.ndarray, low: float, high: float,
           count: int = 8) -> list[tuple[float, float]]:
    """(hertz, amplitude relative to the largest), largest first."""
    s, step = _spectrum(x)
    a, b = int(low / step), int(high / step)
    width = int(max(12.0, 3 * RATE / len(x)) / step)
    part = s[a:b].copy()
    out = []
    for _ in range(count):
        i = int(part.argmax())
        top = part[i]
        if not out and top <= 1e-9:
            return []
        if out and top < 0.1 * out[0][1]:
            break
        out.append(((a + i) * step, float(top)))
        part[max(0, i - width):i + width] = 0
    return [(f, v / out[0][1]) for f, v in out]


def _share(x: np.ndarray, low: float, high: float) -> float:
    """Part of the energy between two frequencies."""
    s, step = _spectrum(x)
    p = s ** 2
    return float(p[int(low / step):int(high / step)].sum() / (p.sum() + 1e-12))


def _tonal(x: np.ndarray) -> float:
    """Part of the energy in the ten strongest lines."""
    s, step = _spectrum(x)
    p = s ** 2
    total, width = p.sum() + 1e-12, int(max(10.0, 2 * RATE / len(x)) / step)
    found = 0.0
    for _ in range(10):
        i = int(p.argmax())
        a, b = max(0, i - width), i + width
        found += p[a:b].sum()
        p[a:b] = 0
    return float(found / total)


def _triad(x: np.ndarray) -> str:
    """major, minor, or nothing when the lines are one harmonic series."""
    lines = [p for p in _peaks(x, 200, 800) if p[1] > 0.3]
    root = min((f for f, _ in lines), default=0.0)
    ratios = [f / root for f, _ in lines] if root else []
    if not any(abs(r - 1.498) < 0.03 for r in ratios):
        return ""
    for r in ratios:
        if abs(r - 1.26) < 0.03:
            return "major"
        if abs(r - 1.189) < 0.03:
            return "minor"
    return ""


def classify(audio: np.ndarray) -> Heard:
    """audio: [2, samples]."""
    left, right = (float(np.sqrt((c.astype(np.float64) ** 2).mean()))
                   for c in audio)
    side = ""
    if left > 3 * right:
        side = "left"
    elif right > 3 * left:
        side = "right"
    x = audio.astype(np.float64).mean(0)
    peak = float(np.abs(audio).max())
    e = _envelope(x)
    if e.max() < 1e-3:
        return Heard("silence", peak=peak)
    loud = np.nonzero(e > 0.03 * e.max())[0]
    end = (loud[-1] + 1) * HOP
    seconds = end / RATE
    sounding = x[:max(end, 4 * HOP)]
    heard = Heard("", side=side, seconds=seconds, peak=peak)

    strong = np.nonzero(e > 0.1 * e.max())[0]
    if strong[-1] * HOP / RATE < 0.5:
        head = x[:int(0.3 * RATE)]
        if _share(head, 20, 140) > 0.6:
            heard.kind = "kick"
        elif _share(head, 140, 260) < 0.12:
            heard.kind = "hat"
        else:
            heard.kind = "snare"
        return heard

    middle = sounding[int(0.05 * RATE):max(int(0.4 * RATE), end - HOP * 8)]
    steps = [sounding[i:i + RATE // 4][HOP:-HOP * 5]
             for i in range(0, end - RATE // 5, RATE // 4)]
    steps = [s for s in steps if len(s) > RATE // 8]
    # Second differences leave the hi-hats of a loop and little else.
    bursts = _onsets(_envelope(np.diff(np.diff(sounding))))
    if bursts >= 3 and _share(sounding, 20, 230) > 0.15:
        heard.kind = "loop"
        return heard
    if _tonal(middle) < 0.7 or _share(middle, 20, 230) > 0.3:
        narrow = (_share(middle, 120, 1800) > 0.85
                  and _share(middle, 20, 120) < 0.1)
        heard.kind = "wind" if narrow else "noise"
        return heard
    notes = [_peaks(s, 200, 1400, 1)[0][0] for s in steps]
    moves = sum(abs(1200 * np.log2(b / a)) > 120
                for a, b in zip(notes, notes[1:]))
    heard.mode = _triad(middle)
    if len(notes) > 2 and moves >= len(notes) - 2 and _onsets(e) >= 3:
        heard.kind = "arpeggio"
        heard.hertz = notes[0]
        heard.mode = ""
    elif heard.mode:
        heard.kind = "chord"
        lines = _peaks(middle, 200, 800)
        heard.hertz = min(f for f, a in lines if a > 0.3)
    else:
        heard.kind = "tone"
        heard.hertz = _peaks(middle, 200, 1400, 1)[0][0]
    return heard


def cents(hertz: float, midi: int) -> float:
    """Distance from a note."""
    if hertz <= 0:
        return 1e9
    return 1200 * np.log2(hertz / (440 * 2 ** ((midi - 69) / 12)))

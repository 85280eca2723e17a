#!/usr/bin/env bash
# Writes a few sounds of the nano model and their spectrograms to a folder and
# says what it did.
#
#   scripts/demo.sh LATHE FOLDER
set -euo pipefail
lathe=$1 out=$2
mkdir -p "$out"

# name, seed, seconds, prompt. Every sound is scaled to a peak of 0 dBFS.
sounds=(
  "kick 7 2 kick drum"
  "hat 7 2 closed hi-hat"
  "tone 7 2.5 sine tone a 4"
  "chord 7 2.5 c 4 major chord"
  "wind 7 2.9 howling wind"
  "loop 7 2.9 drum loop 120 bpm"
)
echo "Lathe demo: ${#sounds[@]} sounds of the nano model (a small demonstration model, models/nano/README.md)"
start=$(date +%s%N)
for sound in "${sounds[@]}"; do
  read -r name seed seconds prompt <<<"$sound"
  line=$("$lathe" generate "$prompt" --seed "$seed" --seconds "$seconds" \
    --normalize -o "$out/$name.wav" --spectrogram "$out/$name.png" -q | head -n 1)
  echo "\"$prompt\" -> $line"
done
echo "spectrograms: the same names with .png, time to the right, 40 Hz to 22 kHz upwards, left channel above right"
echo "${#sounds[@]} sounds in $((($(date +%s%N) - start) / 1000000)) ms; again with another seed: $lathe generate \"snare drum\" -o snare.wav"

#!/usr/bin/env bash
# Installs a build, builds examples/find_package against it and runs that.
#   check_install.sh BUILD MODEL.tflite
set -euo pipefail
build=$1 model=$2
source=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
quietly() { "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }; }

quietly cmake --install "$build" --prefix "$folder/lathe"
# Nothing installed may point back into the build or the sources.
if grep -rlF -e "$source/" -e "$build" "$folder/lathe/lib"*/cmake \
    "$folder/lathe"/lib/*/cmake 2>/dev/null; then
  echo "the files above name the build's paths" >&2
  exit 1
fi
quietly cmake -S "$source/examples/find_package" -B "$folder/build" \
  -DCMAKE_PREFIX_PATH="$folder/lathe" -DCMAKE_BUILD_TYPE=Release
quietly cmake --build "$folder/build"
for example in run_model run_model_c litert_twin; do
  "$folder/build/$example" "$model"
done

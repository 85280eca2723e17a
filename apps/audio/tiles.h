// A long sequence in pieces whose results are exactly those of the whole.

#ifndef LATHE_APPS_AUDIO_TILES_H_
#define LATHE_APPS_AUDIO_TILES_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lathe/result.h"

namespace lathe::audio {

// The model sees frames [begin, end); of its result, those of
// [keep_begin, keep_end) are used.
struct Tile {
  int begin = 0, end = 0;
  int keep_begin = 0, keep_end = 0;
  bool operator==(const Tile&) const = default;
};

// Tiles whose kept parts cover [0, wanted) once and in order, for a sequence of
// `frames`. Each has `halo` frames on both sides, less where the sequence truly
// ends: a model pads there by itself, at every layer's own rate, which no
// padding of the input can imitate. As few tiles as possible with at most
// `limit` frames seen, their kept parts equal but for the last.
// 0 < wanted <= frames; a limit below 2 * halo + 1 counts as that.
std::vector<Tile> PlanTiles(int frames, int wanted, int halo, int limit);

// Latent [channels, frames] (row-major) to sound.
struct DecodeShape {
  int latent_channels = 0, frames = 0;
  int audio_channels = 0, hop = 0;
};
// Decodes `latent` [latent_channels, n] to `audio` [audio_channels, n * hop],
// valid until the next call.
using DecodeFn = std::function<Result<std::span<const float>>(
    std::span<const float> latent, int n)>;

// Runs `decode` on each tile and returns the first `samples` samples of all
// channels, interleaved. `tile_done` (may be empty) hears how many are done.
// Errors: those of `decode`; kInvalidInput when it gives another size.
Result<std::vector<float>> DecodeTiles(
    std::span<const float> latent, const DecodeShape& shape,
    std::span<const Tile> tiles, int64_t samples, const DecodeFn& decode,
    const std::function<void(int done)>& tile_done);

// Encodes `audio` [audio_channels, n * hop] to the mean and the standard
// deviation [latent_channels, n] of n frames, valid until the next call.
struct Moments {
  std::span<const float> mean, stdev;
};
using EncodeFn =
    std::function<Result<Moments>(std::span<const float> audio, int n)>;

struct Latent {
  std::vector<float> mean, stdev;  // [latent_channels, frames]
};
// Runs `encode` on each tile of `audio` [audio_channels, frames * hop]; the
// tiles must want all frames. Errors as DecodeTiles.
Result<Latent> EncodeTiles(std::span<const float> audio,
                           const DecodeShape& shape,
                           std::span<const Tile> tiles, const EncodeFn& encode,
                           const std::function<void(int done)>& tile_done);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_TILES_H_

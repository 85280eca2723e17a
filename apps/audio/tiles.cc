// Plans tiles and puts their results together.

#include "apps/audio/tiles.h"

#include <algorithm>

#include "apps/audio/errors.h"

namespace lathe::audio {

std::vector<Tile> PlanTiles(int frames, int wanted, int halo, int limit) {
  limit = std::max(limit, 2 * halo + 1);
  const auto tile = [&](int keep_begin, int keep_end) {
    return Tile{std::max(0, keep_begin - halo),
                std::min(frames, keep_end + halo), keep_begin, keep_end};
  };
  if (const Tile whole = tile(0, wanted); whole.end <= limit) return {whole};
  const int most_kept = limit - 2 * halo;
  const int count = (wanted + most_kept - 1) / most_kept;
  const int kept = (wanted + count - 1) / count;
  std::vector<Tile> tiles;
  for (int begin = 0; begin < wanted; begin += kept) {
    tiles.push_back(tile(begin, std::min(wanted, begin + kept)));
  }
  return tiles;
}

Result<std::vector<float>> DecodeTiles(
    std::span<const float> latent, const DecodeShape& shape,
    std::span<const Tile> tiles, int64_t samples, const DecodeFn& decode,
    const std::function<void(int done)>& tile_done) {
  const size_t frames = shape.frames, hop = shape.hop;
  const size_t channels = shape.audio_channels;
  std::vector<float> sound(static_cast<size_t>(samples) * channels);
  std::vector<float> piece;
  int done = 0;
  for (const Tile& tile : tiles) {
    const size_t n = tile.end - tile.begin;
    piece.resize(n * shape.latent_channels);
    for (int c = 0; c < shape.latent_channels; ++c) {
      std::copy_n(latent.data() + c * frames + tile.begin, n,
                  piece.data() + c * n);
    }
    AUDIO_ASSIGN(const std::span<const float> audio,
                 decode(piece, static_cast<int>(n)));
    if (audio.size() != channels * n * hop) {
      return Fail(ErrorCode::kInvalidInput,
                  "decoder: gave {} values for {} frames, expected {}",
                  audio.size(), n, channels * n * hop);
    }
    const size_t first = tile.keep_begin * hop;
    const size_t last =
        std::min<size_t>(tile.keep_end * hop, static_cast<size_t>(samples));
    const size_t skip = (tile.keep_begin - tile.begin) * hop;
    for (size_t c = 0; c < channels; ++c) {
      const float* from = audio.data() + c * n * hop + skip;
      for (size_t i = first; i < last; ++i) {
        sound[i * channels + c] = from[i - first];
      }
    }
    if (tile_done) tile_done(++done);
  }
  return sound;
}

Result<Latent> EncodeTiles(std::span<const float> audio,
                           const DecodeShape& shape,
                           std::span<const Tile> tiles, const EncodeFn& encode,
                           const std::function<void(int done)>& tile_done) {
  const size_t frames = shape.frames, hop = shape.hop;
  const size_t size = shape.latent_channels * frames;
  Latent latent{std::vector<float>(size), std::vector<float>(size)};
  std::vector<float> piece;
  int done = 0;
  for (const Tile& tile : tiles) {
    const size_t n = tile.end - tile.begin;
    piece.resize(shape.audio_channels * n * hop);
    for (int c = 0; c < shape.audio_channels; ++c) {
      std::copy_n(audio.data() + (c * frames + tile.begin) * hop, n * hop,
                  piece.data() + c * n * hop);
    }
    AUDIO_ASSIGN(const Moments moments, encode(piece, static_cast<int>(n)));
    const size_t expected = shape.latent_channels * n;
    if (moments.mean.size() != expected || moments.stdev.size() != expected) {
      return Fail(ErrorCode::kInvalidInput,
                  "encoder: gave {} and {} values for {} frames, expected {}",
                  moments.mean.size(), moments.stdev.size(), n, expected);
    }
    const size_t skip = tile.keep_begin - tile.begin;
    const size_t kept = tile.keep_end - tile.keep_begin;
    for (int c = 0; c < shape.latent_channels; ++c) {
      const size_t to = c * frames + tile.keep_begin;
      std::copy_n(moments.mean.data() + c * n + skip, kept,
                  latent.mean.data() + to);
      std::copy_n(moments.stdev.data() + c * n + skip, kept,
                  latent.stdev.data() + to);
    }
    if (tile_done) tile_done(++done);
  }
  return latent;
}

}  // namespace lathe::audio

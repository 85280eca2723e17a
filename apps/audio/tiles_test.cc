// Tiles of a fake model with a known reach against the whole.

#include "apps/audio/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lathe::audio {
namespace {

TEST(PlanTiles, CoversTheWantedFramesOnceWithTheirHalo) {
  for (const int frames : {1, 7, 64, 256}) {
    for (const int halo : {0, 1, 10}) {
      for (const int limit : {0, 21, 40, 128}) {
        for (const int wanted : {1, frames / 2, frames - 1, frames}) {
          if (wanted < 1) continue;
          const auto tiles = PlanTiles(frames, wanted, halo, limit);
          int at = 0;
          for (const Tile& t : tiles) {
            EXPECT_EQ(t.keep_begin, at);
            EXPECT_GT(t.keep_end, t.keep_begin);
            EXPECT_EQ(t.begin, std::max(0, t.keep_begin - halo));
            EXPECT_EQ(t.end, std::min(frames, t.keep_end + halo));
            EXPECT_LE(t.end - t.begin, std::max(limit, 2 * halo + 1));
            at = t.keep_end;
          }
          EXPECT_EQ(at, wanted);
        }
      }
    }
  }
}

TEST(PlanTiles, TakesOneTileWhenItFits) {
  EXPECT_EQ(PlanTiles(256, 108, 10, 128),
            (std::vector<Tile>{{0, 118, 0, 108}}));
}

// Each sample is the sum of the latents up to `reach` frames away, and of a
// mark where the sequence ends: what zero padding inside a model does.
Result<std::span<const float>> Decode(std::span<const float> latent, int n,
                                      int reach, int hop,
                                      std::vector<float>& out) {
  out.assign(size_t(2) * n * hop, 0);
  for (int c = 0; c < 2; ++c) {
    for (int i = 0; i < n * hop; ++i) {
      float sum = static_cast<float>(i % hop);
      for (int k = i / hop - reach; k <= i / hop + reach; ++k) {
        sum += k < 0 || k >= n ? 1000.0f : latent[c * n + k];
      }
      out[c * n * hop + i] = sum;
    }
  }
  return out;
}

TEST(DecodeTiles, EqualsTheWholeWithTheExactHalo) {
  constexpr int kFrames = 50, kHop = 4, kReach = 3;
  std::vector<float> latent(2 * kFrames), buffer;
  for (size_t i = 0; i < latent.size(); ++i) latent[i] = i * 3 % 17;
  const DecodeShape shape{2, kFrames, 2, kHop};
  const auto decode = [&](std::span<const float> part, int n) {
    return Decode(part, n, kReach, kHop, buffer);
  };
  const Tile all[] = {{0, kFrames, 0, kFrames}};
  const auto whole =
      DecodeTiles(latent, shape, all, kFrames * kHop, decode, {});
  ASSERT_TRUE(whole);
  for (const int limit : {7, 8, 13, 30, 100}) {
    for (const int64_t samples : {1, 4, 5, 99, 199, 200}) {
      const int wanted = static_cast<int>((samples + kHop - 1) / kHop);
      const auto tiles = PlanTiles(kFrames, wanted, kReach, limit);
      int done = 0;
      const auto tiled = DecodeTiles(latent, shape, tiles, samples, decode,
                                     [&](int n) { done = n; });
      ASSERT_TRUE(tiled);
      EXPECT_EQ(done, static_cast<int>(tiles.size()));
      EXPECT_EQ(*tiled, std::vector<float>(whole->begin(),
                                           whole->begin() + samples * 2));
    }
  }
  const auto too_little =
      DecodeTiles(latent, shape, PlanTiles(kFrames, kFrames, kReach - 1, 13),
                  kFrames * kHop, decode, {});
  EXPECT_NE(*too_little, *whole);
}

TEST(EncodeTiles, KeepsTheInnerFramesOfEachTile) {
  constexpr int kFrames = 30, kHop = 2;
  std::vector<float> audio(kFrames * kHop), mean, stdev;
  for (size_t i = 0; i < audio.size(); ++i) audio[i] = i;
  const DecodeShape shape{1, kFrames, 1, kHop};
  const auto encode = [&](std::span<const float> part,
                          int n) -> Result<Moments> {
    mean.clear();
    for (int i = 0; i < n; ++i) mean.push_back(part[i * kHop]);
    stdev.assign(n, 0.5f);
    return Moments{mean, stdev};
  };
  const auto latent =
      EncodeTiles(audio, shape, PlanTiles(kFrames, kFrames, 2, 9), encode, {});
  ASSERT_TRUE(latent);
  for (int i = 0; i < kFrames; ++i) {
    EXPECT_EQ(latent->mean[i], i * kHop);
    EXPECT_EQ(latent->stdev[i], 0.5f);
  }
}

TEST(DecodeTiles, RefusesAModelOfAnotherSize) {
  const std::vector<float> latent(4), wrong(3);
  const auto sound =
      DecodeTiles(latent, {1, 4, 1, 2}, PlanTiles(4, 4, 0, 4), 8,
                  [&](std::span<const float>,
                      int) -> Result<std::span<const float>> { return wrong; },
                  {});
  ASSERT_FALSE(sound);
  EXPECT_EQ(sound.error().code, ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace lathe::audio

// Register tiles of byte products, for any vector with VPDPBUSD: included by
// x86_avx512vnni.cc and x86_avxvnni.cc. A panel is two vectors wide.

#include <algorithm>
#include <cstring>

#include "src/kernels/quantized/byte_dot.h"

namespace lathe::kernels {
namespace {

template <typename V>
typename V::Vector Four(const int8_t* a) {
  int32_t four;
  std::memcpy(&four, a, sizeof(four));
  return V::Broadcast(four);
}

// Pointers to rows: a register for every third, from which an address reaches
// the next two. Of one for each row, GCC keeps some in vector registers.
template <size_t kRows>
class RowsOfThree {
 public:
  RowsOfThree(const int8_t* a, size_t stride) : stride_(stride) {
#pragma GCC unroll 4
    for (size_t i = 0; i < kCount; ++i) {
      every_third_[i] = a + 3 * i * stride;
      // Not to be found from one another.
      __asm__("" : "+r"(every_third_[i]));
    }
  }

  const int8_t* Row(size_t i) const {
    return every_third_[i / 3] + i % 3 * stride_;
  }

  void Advance(size_t bytes) {
#pragma GCC unroll 4
    for (size_t i = 0; i < kCount; ++i) every_third_[i] += bytes;
  }

 private:
  static constexpr size_t kCount = (kRows + 2) / 3;

  const int8_t* every_third_[kCount];
  size_t stride_;
};

// Adds in kChains sums one behind the other, so that few rows do not wait for
// the latency of 5 cycles.
template <typename V, size_t kRows, size_t kChains>
void Block(const ByteTile& tile, size_t row, const std::byte* ahead,
           size_t ahead_step) {
  constexpr size_t kSums = kRows * kChains;
  typename V::Vector sum[kSums][2];
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    sum[i][0] = V::Broadcast(tile.start[row + i]);
    sum[i][1] = sum[i][0];
  }
  if (tile.zeros) {
    const typename V::Vector c0 = V::Load(tile.column_sums);
    const typename V::Vector c1 = V::Load(tile.column_sums + V::kLanes);
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
      const typename V::Vector zero = V::Broadcast(tile.zeros[row + i]);
      sum[i][0] = V::Subtract(sum[i][0], V::Multiply(zero, c0));
      sum[i][1] = V::Subtract(sum[i][1], V::Multiply(zero, c1));
    }
  }
#pragma GCC unroll 12
  for (size_t i = kRows; i < kSums; ++i) {
    sum[i][0] = V::Zero();
    sum[i][1] = V::Zero();
  }
  RowsOfThree<kRows> a(tile.a + row * tile.a_stride, tile.a_stride);
  const uint8_t* b = tile.b;
  size_t p = 0;
  for (; p + 4 * kChains <= tile.k; p += 4 * kChains, a.Advance(4 * kChains)) {
#pragma GCC unroll 4
    for (size_t chain = 0; chain < kChains; ++chain, b += 8 * V::kLanes) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += ahead_step;
      const typename V::Vector b0 = V::Load(b);
      const typename V::Vector b1 = V::Load(b + 4 * V::kLanes);
#pragma GCC unroll 12
      for (size_t i = 0; i < kRows; ++i) {
        const typename V::Vector x = Four<V>(a.Row(i) + 4 * chain);
        typename V::Vector* to = sum[chain * kRows + i];
        to[0] = V::DotAdd(to[0], b0, x);
        to[1] = V::DotAdd(to[1], b1, x);
      }
    }
  }
  for (; kChains > 1 && p < tile.k; p += 4, a.Advance(4), b += 8 * V::kLanes) {
    const typename V::Vector b0 = V::Load(b);
    const typename V::Vector b1 = V::Load(b + 4 * V::kLanes);
#pragma GCC unroll 12
    for (size_t i = 0; i < kRows; ++i) {
      const typename V::Vector x = Four<V>(a.Row(i));
      sum[i][0] = V::DotAdd(sum[i][0], b0, x);
      sum[i][1] = V::DotAdd(sum[i][1], b1, x);
    }
  }
#pragma GCC unroll 12
  for (size_t i = kRows; i < kSums; ++i) {
    typename V::Vector* to = sum[i % kRows];
    to[0] = V::Add(to[0], sum[i][0]);
    to[1] = V::Add(to[1], sum[i][1]);
  }
#pragma GCC unroll 12
  for (size_t i = 0; i < kRows; ++i) {
    int32_t* to = tile.sums + (row + i) * tile.sums_stride;
    V::Store(to, sum[i][0]);
    V::Store(to + V::kLanes, sum[i][1]);
  }
}

// Two chains of sums for a row: with nibbles one for each half.
template <typename V, size_t kRows, bool kNibbles>
void BlockRows(const BlockTile& tile, size_t row) {
  constexpr size_t kStep = 8, kBytes = (kNibbles ? 8 : 16) * V::kLanes;
  RowsOfThree<kRows> a(tile.a + row * tile.a_stride, tile.a_stride);
  const uint8_t* b = tile.b;
  typename V::Floats total[kRows][2];
#pragma GCC unroll 4
  for (auto& one : total) one[0] = one[1] = V::ZeroFloats();
  for (size_t block = 0; block < tile.blocks; ++block) {
    typename V::Vector sum[2][kRows][2];
    const int32_t* columns = tile.column_sums + block * 2 * V::kLanes;
#pragma GCC unroll 4
    for (size_t i = 0; i < kRows; ++i) {
      const typename V::Vector start =
          V::Broadcast(tile.start[(row + i) * tile.blocks + block]);
      sum[0][i][0] = sum[0][i][1] = start;
      sum[1][i][0] = sum[1][i][1] = V::Zero();
      if (tile.zeros) {
        const typename V::Vector zero = V::Broadcast(tile.zeros[row + i]);
        sum[0][i][0] = V::Subtract(start, V::Multiply(zero, V::Load(columns)));
        sum[0][i][1] =
            V::Subtract(start, V::Multiply(zero, V::Load(columns + V::kLanes)));
      }
    }
    const auto add = [&](size_t chain, typename V::Vector b0,
                         typename V::Vector b1) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (size_t i = 0; i < kRows; ++i) {
        const typename V::Vector x = Four<V>(a.Row(i) + 4 * chain);
        sum[chain][i][0] = V::DotAdd(sum[chain][i][0], b0, x);
        sum[chain][i][1] = V::DotAdd(sum[chain][i][1], b1, x);
      }
    };
    size_t p = 0;
    for (; p + kStep <= tile.k; p += kStep, a.Advance(kStep), b += kBytes) {
      if constexpr (kNibbles) {
        const typename V::Vector b0 = V::Load(b);
        const typename V::Vector b1 = V::Load(b + 4 * V::kLanes);
        add(0, V::LowNibbles(b0), V::LowNibbles(b1));
        add(1, V::HighNibbles(b0), V::HighNibbles(b1));
      } else {
        add(0, V::Load(b), V::Load(b + 4 * V::kLanes));
        add(1, V::Load(b + 8 * V::kLanes), V::Load(b + 12 * V::kLanes));
      }
    }
    if (!kNibbles && p < tile.k) {  // Four more.
      add(0, V::Load(b), V::Load(b + 4 * V::kLanes));
      a.Advance(4);
      b += 8 * V::kLanes;
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (size_t v = 0; v < 2; ++v) {
        const typename V::Vector all = V::Add(sum[0][i][v], sum[1][i][v]);
        const size_t at = (row + i) * 2 * V::kLanes + v * V::kLanes;
        if (tile.scales) {
          total[i][v] = V::AddScaled(total[i][v], all,
                                     tile.scales + (block * 2 + v) * V::kLanes);
        } else {
          V::Store(static_cast<int32_t*>(tile.y) + at, all);
        }
      }
    }
  }
  if (!tile.scales) return;
#pragma GCC unroll 4
  for (size_t i = 0; i < kRows; ++i) {
    float* to = static_cast<float*>(tile.y) + (row + i) * 2 * V::kLanes;
    V::StoreFloats(to, total[i][0]);
    V::StoreFloats(to + V::kLanes, total[i][1]);
  }
}

// As many rows at a time as their sums fit in registers.
template <typename V, size_t kMostRows>
void DotBlocks(const BlockTile& tile) {
  size_t row = 0;
  const auto rows = [&]<size_t kRows>() {
    for (; row + kRows <= tile.rows; row += kRows) {
      if (tile.nibbles) {
        BlockRows<V, kRows, true>(tile, row);
      } else {
        BlockRows<V, kRows, false>(tile, row);
      }
    }
  };
  if constexpr (kMostRows >= 4) rows.template operator()<4>();
  if constexpr (kMostRows >= 2) rows.template operator()<2>();
  rows.template operator()<1>();
}

template <typename V>
void Expand(const uint8_t* from, size_t k, uint8_t* to) {
  constexpr size_t kVector = 4 * V::kLanes;
  for (size_t p = 0; p < k; p += 8, from += 2 * kVector, to += 4 * kVector) {
    const typename V::Vector b0 = V::Load(from);
    const typename V::Vector b1 = V::Load(from + kVector);
    V::Store(to, V::LowNibbles(b0));
    V::Store(to + kVector, V::LowNibbles(b1));
    V::Store(to + 2 * kVector, V::HighNibbles(b0));
    V::Store(to + 3 * kVector, V::HighNibbles(b1));
  }
}

template <typename V, size_t kRows>
void Blocks(const ByteTile& tile, size_t row, size_t rows,
            const std::byte* ahead, size_t ahead_step) {
  if constexpr (kRows > 0) {
    constexpr size_t kChains = kRows >= 5 ? 1 : kRows >= 3 ? 2 : 4;
    if (rows == kRows)
      return Block<V, kRows, kChains>(tile, row, ahead, ahead_step);
    Blocks<V, kRows - 1>(tile, row, rows, ahead, ahead_step);
  }
}

// Cut evenly: kMostRows and one row take longer than two halves.
template <typename V, size_t kMostRows>
void DotRows(const ByteTile& tile) {
  size_t blocks = (tile.rows + kMostRows - 1) / kMostRows;
  size_t each = 0, step = 0;
  if (!tile.ahead.empty()) {
    each = tile.ahead.size() / blocks;
    step = each / std::max<size_t>(1, tile.k / 4);
  }
  const std::byte* ahead = tile.ahead.data();
  for (size_t row = 0; row < tile.rows; --blocks) {
    const size_t rows = (tile.rows - row + blocks - 1) / blocks;
    Blocks<V, kMostRows>(tile, row, rows, ahead, step);
    row += rows;
    ahead += each;
  }
}

}  // namespace
}  // namespace lathe::kernels

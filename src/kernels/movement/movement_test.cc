// Copies against an element-by-element walk, and gathers with bad indices.

#include "src/kernels/movement/movement.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

constexpr std::byte kUntouched{0xA5};

// The definition: one index at a time.
void Define(const CopyLoops& loops, const std::vector<std::byte>& from,
            std::vector<std::byte>& to) {
  size_t total = 1;
  for (size_t i = 0; i < loops.rank; ++i) total *= loops.size[i];
  for (size_t at = 0; at < total; ++at) {
    size_t rest = at;
    ptrdiff_t f = loops.from_first, t = loops.to_first;
    for (size_t i = loops.rank; i-- > 0;) {
      const ptrdiff_t index = static_cast<ptrdiff_t>(rest % loops.size[i]);
      rest /= loops.size[i];
      f += index * loops.from_stride[i];
      t += index * loops.to_stride[i];
    }
    const ptrdiff_t bytes = static_cast<ptrdiff_t>(loops.element_bytes);
    std::memcpy(to.data() + t * bytes, from.data() + f * bytes,
                loops.element_bytes);
  }
}

// Runs the loops over `from_elements` and `to_elements` for every element size
// and number of threads.
void Check(CopyLoops loops, size_t from_elements, size_t to_elements,
           const std::string& what) {
  for (const size_t bytes : {1, 2, 4, 8, 16}) {
    loops.element_bytes = bytes;
    std::vector<std::byte> from(from_elements * bytes);
    for (size_t i = 0; i < from.size(); ++i) {
      from[i] = static_cast<std::byte>(i * 2654435761u >> 13);
    }
    std::vector<std::byte> want(to_elements * bytes, kUntouched);
    Define(loops, from, want);
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      std::vector<std::byte> got(to_elements * bytes, kUntouched);
      RunCopy(Simplify(loops), from.data(), got.data(), pool);
      EXPECT_EQ(got, want) << what << ", elements of " << bytes << " bytes";
    }
  }
}

CopyLoops TransposeLoops(const std::vector<int32_t>& shape,
                         const std::vector<size_t>& permutation) {
  std::vector<int32_t> out;
  for (const size_t axis : permutation) out.push_back(shape[axis]);
  std::vector<ptrdiff_t> from(shape.size()), to(shape.size());
  RowMajorStrides(shape, from.data());
  RowMajorStrides(out, to.data());
  CopyLoops loops;
  for (size_t i = 0; i < out.size(); ++i) {
    loops.Add(static_cast<size_t>(out[i]), from[permutation[i]], to[i]);
  }
  return loops;
}

TEST(Copy, TransposesEveryPermutationOfFourDims) {
  const std::vector<int32_t> shape = {3, 9, 1, 17};
  std::vector<size_t> permutation = {0, 1, 2, 3};
  do {
    Check(TransposeLoops(shape, permutation), 3 * 9 * 17, 3 * 9 * 17,
          "transpose");
  } while (std::ranges::next_permutation(permutation).found);
}

TEST(Copy, TransposesMatricesAroundItsBlocks) {
  for (const int32_t rows : {1, 7, 8, 9, 200}) {
    for (const int32_t columns : {1, 7, 8, 9, 300}) {
      const size_t n = static_cast<size_t>(rows * columns);
      Check(TransposeLoops({rows, columns}, {1, 0}), n, n, "transpose");
    }
  }
}

TEST(Copy, TransposesEightDims) {
  Check(TransposeLoops({2, 3, 2, 2, 3, 2, 2, 3}, {7, 2, 5, 0, 3, 6, 1, 4}),
        2 * 3 * 2 * 2 * 3 * 2 * 2 * 3, 2 * 3 * 2 * 2 * 3 * 2 * 2 * 3,
        "transpose");
}

TEST(Copy, SlicesWithStepsBackwardsAndForwards) {
  CopyLoops loops;  // x[1:7:2, 10:0:-3] of [8, 11]
  loops.from_first = 11 + 10;
  loops.Add(3, 22, 4);
  loops.Add(4, -3, 1);
  Check(loops, 88, 12, "strided slice");
}

TEST(Copy, WritesABlockInsideALargerTensor) {
  CopyLoops loops;  // y[1:3, 2:7] of [4, 9] = x
  loops.to_first = 9 + 2;
  loops.Add(2, 5, 9);
  loops.Add(5, 1, 1);
  Check(loops, 10, 36, "pad, concatenation");
}

TEST(Copy, RepeatsAlongAStrideOfZero) {
  CopyLoops loops;  // TILE of [2, 3] by [2, 2]
  loops.Add(2, 0, 12);
  loops.Add(2, 3, 6);
  loops.Add(2, 0, 3);
  loops.Add(3, 1, 1);
  Check(loops, 6, 24, "tile");
  CopyLoops fill;
  fill.Add(1000, 0, 1);
  Check(fill, 1, 1000, "fill");
}

TEST(Copy, FoldsSpaceIntoDepthAndReverses) {
  CopyLoops fold;  // SPACE_TO_DEPTH of [2, 4, 6, 3] by 2: [2, 2, 3, 2, 2, 3]
  fold.Add(2, 72, 72);
  fold.Add(2, 36, 36);
  fold.Add(3, 6, 12);
  fold.Add(2, 18, 6);
  fold.Add(2, 3, 3);
  fold.Add(3, 1, 1);
  Check(fold, 144, 144, "space to depth");
  CopyLoops back;  // REVERSE_V2 of [4, 7] along both axes
  back.from_first = 27;
  back.Add(4, -7, 7);
  back.Add(7, -1, 1);
  Check(back, 28, 28, "reverse");
}

TEST(Copy, OfOneElementAndOfNone) {
  Check(CopyLoops(), 1, 1, "scalar");
  for (const size_t rank : {1, 2, 3, 4}) {
    for (size_t empty = 0; empty < rank; ++empty) {
      CopyLoops loops;
      for (size_t i = 0; i < rank; ++i) loops.Add(i == empty ? 0 : 2, 0, 1);
      Check(loops, 1, 8, "nothing");
    }
  }
}

TEST(Copy, CutsLongRunsOverThreads) {
  CopyLoops loops;  // Rows of 5 out of rows of 8.
  loops.Add(20000, 8, 5);
  loops.Add(5, 1, 1);
  Check(loops, 160000, 100000, "slice");
}

TEST(Simplify, MergesDimsThatRunOnAndDropsOnes) {
  CopyLoops loops;
  loops.Add(2, 12, 12);
  loops.Add(1, 99, 7);
  loops.Add(3, 4, 4);
  loops.Add(4, 1, 1);
  const CopyLoops simple = Simplify(loops);
  ASSERT_EQ(simple.rank, 1u);
  EXPECT_EQ(simple.size[0], 24u);
}

TEST(Gather, TakesRowsOfEveryTable) {
  std::vector<uint16_t> table(2 * 5 * 3);
  std::iota(table.begin(), table.end(), uint16_t{0});
  const std::vector<int64_t> indices = {4, 0, 0, 3};
  std::vector<uint16_t> y(2 * 4 * 3);
  EXPECT_EQ(RunGather(2, 5, 6, indices,
                      reinterpret_cast<const std::byte*>(table.data()),
                      reinterpret_cast<std::byte*>(y.data())),
            4u);
  for (size_t o = 0; o < 2; ++o) {
    for (size_t i = 0; i < 4; ++i) {
      for (size_t c = 0; c < 3; ++c) {
        EXPECT_EQ(y[(o * 4 + i) * 3 + c],
                  (o * 5 + static_cast<size_t>(indices[i])) * 3 + c);
      }
    }
  }
}

TEST(Gather, NamesTheFirstBadIndexAndReadsAndWritesNothing) {
  const std::vector<std::byte> table(5);
  for (const int64_t bad : {int64_t{5}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    std::vector<std::byte> y(3, kUntouched);
    const std::vector<int64_t> indices = {0, bad, bad};
    EXPECT_EQ(RunGather(1, 5, 1, indices, table.data(), y.data()), 1u);
    EXPECT_EQ(y, std::vector<std::byte>(3, kUntouched));
  }
  const std::vector<int64_t> zero = {0};
  EXPECT_EQ(RunGather(1, 0, 1, zero, nullptr, nullptr), 0u);
}

}  // namespace
}  // namespace lathe::kernels

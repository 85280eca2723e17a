// Damaged files: every one is an error or a graph that holds, never a crash.

#include <random>

#include "gtest/gtest.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/shapes.h"
#include "src/graph/text.h"
#include "src/graph/verify.h"

namespace lathe::format {
namespace {

std::vector<std::byte> SmallModel() {
  const auto graph = graph::FromText(R"(graph main
    input x: float32[1,4,8] resizable[1,-1,8]
    const w: float32[3,8]
    const q: int8[2,1] scale[0.5,0.25] zero[0,0] = 1 -2
    const axis: int32[] = 1
    const begin: int32[3] = 0 1 0
    const end: int32[3] = 1 4 3
    const step: int32[3] = 1 2 1
    const kernel: float32[2,1,3,3]
    const four: int32[4] = 1 1 -1 3
    y = FULLY_CONNECTED(x, w, -) {keep_num_dims=true}
    a, b = SPLIT(axis, y) {num_splits=2}
    s = STRIDED_SLICE(y, begin, end, step) {shrink_axis_mask=1}
    r = RESHAPE(y, four) {new_shape=[1,1,4,3]}
    c = CONV_2D(r, kernel) {padding=1 stride_w=1 stride_h=1}
    size = SHAPE(c) {out_type=2}
    z = RESHAPE(c, size)
    d: float32[1,4,3] = STABLEHLO_COMPOSITE(y) {name="n" decomposition_subgraph_index=1}
    output d
    output z
    output b
    signature serve(in=x) -> (out=d, other=b)
    graph second
    input p: float32[1,4,3]
    o = RELU(p)
    output o)");
  EXPECT_TRUE(graph) << graph.error().message;
  auto bytes = WriteTfliteToMemory(*graph);
  EXPECT_TRUE(bytes);
  return *std::move(bytes);
}

// Reads, and uses what was read as the rest of the program would.
bool ReadAndUse(std::span<const std::byte> bytes) {
  const auto graph = ReadTflite(bytes, nullptr, "damaged");
  if (!graph) {
    EXPECT_FALSE(graph.error().message.empty());
    return false;
  }
  EXPECT_TRUE(graph::Verify(*graph));
  for (const graph::Subgraph& subgraph : graph->subgraphs) {
    auto known = graph::StoredTensors(*graph, subgraph);
    (void)graph::InferSubgraph(*graph, subgraph, known);
  }
  (void)graph::ToText(*graph);
  const auto again = WriteTfliteToMemory(*graph);
  EXPECT_TRUE(again) << again.error().message;
  return true;
}

TEST(DamagedFile, IsReadWhole) { EXPECT_TRUE(ReadAndUse(SmallModel())); }

TEST(DamagedFile, CutOffAnywhereIsNoCrash) {
  const std::vector<std::byte> model = SmallModel();
  for (size_t size = 0; size < model.size(); ++size) {
    // A copy of its own, so that a sanitizer sees reads behind the end.
    const std::vector<std::byte> cut(model.begin(), model.begin() + size);
    ReadAndUse(cut);
  }
}

TEST(DamagedFile, WithFlippedBytesIsNoCrash) {
  const std::vector<std::byte> model = SmallModel();
  std::mt19937 random(1);
  int read = 0;
  constexpr int kRounds = 20000;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::byte> damaged = model;
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      // Small numbers reach further than any byte does.
      const auto value = random() % 2 == 0 ? random() % 256 : random() % 4;
      damaged[random() % damaged.size()] = static_cast<std::byte>(value);
    }
    read += ReadAndUse(damaged);
  }
  // Both outcomes occur, or the test tests nothing.
  EXPECT_GT(read, 0);
  EXPECT_LT(read, kRounds);
}

}  // namespace
}  // namespace lathe::format

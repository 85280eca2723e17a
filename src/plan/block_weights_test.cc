// Weights with a scale, and perhaps a zero point, for each block of a row.

#include <cmath>
#include <cstring>

#include "gmock/gmock.h"
#include "src/base/half.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

using testing::HasSubstr;

// Two weights rows of 8 numbers in blocks of 4, packed by text as int4.
constexpr std::string_view kHead = R"(graph main
const s: float32[2,2] = 0.5 2 1 0.25
const z: int8[2,2] = 1 -2 0 3
const w: int4[2,8] = 0x2143ab8967452301
)";
constexpr float kScales[] = {0.5f, 2, 1, 0.25f};
constexpr int kZeros[] = {1, -2, 0, 3};
constexpr int kWeights[] = {1, 2, 3, 4, -5, -6, -7, -8, 7, 6, 5, 4, 3, 2, 1, 0};

float Real(size_t i, bool zeros) {
  return kScales[i / 4] *
         static_cast<float>(kWeights[i] - (zeros ? kZeros[i / 4] : 0));
}

int32_t Find(const graph::Graph& graph, std::string_view name) {
  const auto& tensors = graph.subgraphs[0].tensors;
  return static_cast<int32_t>(
      std::ranges::find(tensors, name, &graph::Tensor::name) - tensors.begin());
}

// `rest` behind kHead, with w in blocks of `size`.
graph::Graph Blockwise(std::string_view rest, bool zeros, int32_t size = 4,
                       std::string_view head = kHead) {
  graph::Graph graph = ReadGraph(std::string(head) + std::string(rest));
  graph::Quantization q;
  q.details = graph::Quantization::Details::kBlockwise;
  q.block_size = size;
  q.scales_tensor = Find(graph, "s");
  q.zero_points_tensor = zeros ? Find(graph, "z") : graph::kNoTensor;
  graph.subgraphs[0].tensors[Find(graph, "w")].quantization = q;
  return graph;
}

constexpr std::string_view kLookup = R"(const ids: int32[3] = 1 0 1
y = EMBEDDING_LOOKUP(ids, w)
output y
)";

TEST(BlockWeights, OfATableGiveTheRowsThatTheyStandFor) {
  for (const bool zeros : {false, true}) {
    const Bench bench(Blockwise(kLookup, zeros));
    ASSERT_TRUE(bench.status()) << bench.status().error().message;
    ASSERT_TRUE(bench.Run());
    const std::vector<float> y = bench.Output(0);
    for (size_t i = 0; i < 24; ++i) {
      EXPECT_EQ(y[i], Real((i / 8 == 1 ? 0 : 8) + i % 8, zeros)) << i;
    }
  }
}

TEST(BlockWeights, AreDequantizedAsTheyStand) {
  for (const bool zeros : {false, true}) {
    const Bench bench(Blockwise("y = DEQUANTIZE(w)\noutput y\n", zeros));
    ASSERT_TRUE(bench.status()) << bench.status().error().message;
    ASSERT_TRUE(bench.Run());
    const std::vector<float> y = bench.Output(0);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(y[i], Real(i, zeros)) << i;
  }
}

// Rows from 0 to 255 or from -255 to 0 have no rounding error.
TEST(BlockWeights, OfAProductScaleTheSumsOfTheirBlocks) {
  for (const std::string_view op : {"y = FULLY_CONNECTED(x, w, -)",
                                    "y = BATCH_MATMUL(x, w) {adj_y=true}"}) {
    for (const Isa isa : IsasHere()) {
      for (const bool zeros : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << op << " " << Name(isa) << " " << zeros);
        PlanOptions options;
        options.isa = isa;
        const Bench bench(Blockwise("input x: float32[3,8]\n" +
                                        std::string(op) + "\noutput y\n",
                                    zeros),
                          options);
        ASSERT_TRUE(bench.status()) << bench.status().error().message;
        for (size_t i = 0; i < 24; ++i) {
          bench.Input(0)[i] = static_cast<float>(i % 8 == 0   ? 0
                                                 : i % 8 == 7 ? 255
                                                              : i * 31 % 256);
        }
        ASSERT_TRUE(bench.Run());
        const std::vector<float> y = bench.Output(0);
        for (size_t i = 0; i < 3; ++i) {
          for (size_t j = 0; j < 2; ++j) {
            float sum = 0;
            for (size_t p = 0; p < 8; ++p) {
              sum += bench.Input(0)[i * 8 + p] * Real(j * 8 + p, zeros);
            }
            EXPECT_EQ(y[i * 2 + j], sum) << i << " " << j;
          }
        }
      }
    }
  }
}

TEST(BlockWeights, OfSeveralMatricesEachHaveTheirOwnScales) {
  const Bench bench(Blockwise(R"(input x: float32[2,1,4]
y = BATCH_MATMUL(x, w) {adj_y=true}
output y
)",
                              false, 4, R"(graph main
const s: float32[2,2,1] = 0.5 2 1 0.25
const w: int4[2,2,4] = 0x2143ab8967452301
)"));
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  std::ranges::copy(std::vector<float>{0, 255, 3, 9, 0, 7, 255, 1},
                    bench.Input(0).begin());
  ASSERT_TRUE(bench.Run());
  for (size_t i = 0; i < 4; ++i) {
    float sum = 0;
    for (size_t p = 0; p < 4; ++p) {
      sum += bench.Input(0)[i / 2 * 4 + p] * Real(i * 4 + p, false);
    }
    EXPECT_EQ(bench.Output(0)[i], sum) << i;
  }
}

TEST(BlockWeights, AreRefusedByWhatIsWrongWithThem) {
  const auto error = [](graph::Graph graph) {
    const Bench bench(std::move(graph));
    return bench.status() ? "" : bench.status().error().message;
  };
  const std::string product = R"(input x: float32[3,8]
y = FULLY_CONNECTED(x, w, -)
output y
)";
  EXPECT_THAT(error(Blockwise(product, false, 1, R"(graph main
const s: float32[16]
const w: int4[2,8]
)")),
              HasSubstr("blocks of 1 weights have no kernel"));
  EXPECT_THAT(error(Blockwise(kLookup, false, 2)),
              HasSubstr("scales of \"w\" are \"s\" float32[2,2]; needed are 8 "
                        "constant 16- or 32-bit floats"));
  EXPECT_THAT(error(Blockwise(kLookup, true, 4, R"(graph main
const s: float32[4]
const z: int8[2]
const w: int4[2,8]
)")),
              HasSubstr("zero points of \"w\" are \"z\" int8[2]; needed are 4 "
                        "constant int8, uint8, int16, int32 or int64"));
  EXPECT_THAT(error(Blockwise(kLookup, true, 4, R"(graph main
const s: float32[4]
const z: int8[4] = 0 0 8 0
const w: int4[2,8]
)")),
              HasSubstr("zero point 2 of \"w\" is 8; int4 allows -8 to 7"));
  EXPECT_THAT(error(Blockwise(product, true, 4, R"(graph main
const s: float32[4]
const z: int8[4] = 0 0 8 0
const w: int8[2,8]
)")),
              HasSubstr("blocks of int8 weights with zero points"));
}

}  // namespace
}  // namespace lathe::plan

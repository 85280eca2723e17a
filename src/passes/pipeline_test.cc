// The pipeline: names, skipping, folding through the callback.

#include "src/passes/pipeline.h"

#include <algorithm>
#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/text.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using testing::HasSubstr;

constexpr std::string_view kTwoConstants = R"(graph main
input x: float32[2]
const a: float32[2] = 1 2
const b: float32[2] = 3 4
sum = ADD(a, b)
y = MUL(x, sum)
output y
)";

graph::Graph Read(std::string_view text) {
  auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? *std::move(graph) : graph::Graph::Empty();
}

// Adds two constants; knows nothing else.
Result<std::vector<std::vector<std::byte>>> AddTwo(
    const graph::Graph& graph, const graph::Subgraph& subgraph,
    const graph::Op& op) {
  if (op.code != graph::OpCode::kAdd) return Unsupported("only ADD");
  std::vector<std::byte> sum(8);
  for (size_t i = 0; i < 2; ++i) {
    float total = 0;
    for (const int32_t input : op.inputs) {
      float value;
      std::memcpy(&value,
                  graph.BufferOf(subgraph.tensors[input]).bytes.data() + 4 * i,
                  4);
      total += value;
    }
    std::memcpy(sum.data() + 4 * i, &total, 4);
  }
  return std::vector<std::vector<std::byte>>{sum};
}

TEST(Pipeline, NamesAllPassesWhenOneIsUnknown) {
  graph::Graph graph = Read(kTwoConstants);
  PassOptions options;
  options.skip = {"mark_silu", "mark_sillu"};
  const Status status = RunPasses(graph, options);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUsage);
  EXPECT_THAT(status.error().message, HasSubstr("\"mark_sillu\""));
  for (const Pass& pass : AllPasses()) {
    EXPECT_THAT(status.error().message, HasSubstr(std::string(pass.name)));
  }
}

TEST(Pipeline, FoldsThroughTheCallback) {
  graph::Graph graph = Read(kTwoConstants);
  PassOptions options;
  options.fold = AddTwo;
  ASSERT_TRUE(RunPasses(graph, options));
  EXPECT_THAT(graph::ToText(graph), HasSubstr("sum: float32[2] = 4 6"));
  EXPECT_EQ(graph.subgraphs[0].ops.size(), 1u);
}

TEST(Pipeline, LeavesArithmeticAloneWithoutACallback) {
  graph::Graph graph = Read(kTwoConstants);
  ASSERT_TRUE(RunPasses(graph, {}));
  EXPECT_EQ(graph.subgraphs[0].ops.size(), 2u);
}

TEST(Pipeline, FoldsNothingAboveTheLimit) {
  graph::Graph graph = Read(kTwoConstants);
  PassOptions options;
  options.fold = AddTwo;
  options.largest_fold_bytes = 7;
  ASSERT_TRUE(RunPasses(graph, options));
  EXPECT_EQ(graph.subgraphs[0].ops.size(), 2u);
}

TEST(Pipeline, KeepsAnOperatorWhoseCallbackFailsOrGivesTheWrongSize) {
  for (const size_t size : {size_t{0}, size_t{7}, size_t{9}}) {
    graph::Graph graph = Read(kTwoConstants);
    PassOptions options;
    options.fold =
        [size](
            const graph::Graph&, const graph::Subgraph&,
            const graph::Op&) -> Result<std::vector<std::vector<std::byte>>> {
      if (size == 0) return Unsupported("nothing");
      return std::vector<std::vector<std::byte>>{std::vector<std::byte>(size)};
    };
    ASSERT_TRUE(RunPasses(graph, options));
    EXPECT_EQ(graph.subgraphs[0].ops.size(), 2u);
  }
}

TEST(Pipeline, KeepsOutputsComputed) {
  graph::Graph graph = Read(R"(graph main
input x: float32[2]
const a: float32[2] = 1 2
sum = ADD(a, a)
output sum
)");
  PassOptions options;
  options.fold = AddTwo;
  ASSERT_TRUE(RunPasses(graph, options));
  EXPECT_EQ(graph.subgraphs[0].ops.size(), 1u);
}

TEST(Pipeline, DropsRegionsThatWereThereBefore) {
  graph::Graph graph = Read(R"(graph main
input x: float32[2]
w = LOGISTIC(x)
y = MUL(x, w)
region snake(x) -> y {ops=0-1}
output y
)");
  PassOptions options;
  options.skip = {"mark_silu"};
  ASSERT_TRUE(RunPasses(graph, options));
  EXPECT_TRUE(graph.subgraphs[0].regions.empty());
}

TEST(Pipeline, SaysEachPassOnce) {
  for (const Pass& pass : AllPasses()) {
    EXPECT_FALSE(pass.says.empty()) << pass.name;
    EXPECT_EQ(std::ranges::count(AllPasses(), pass.name, &Pass::name), 1);
  }
}

// Found by fuzz_open_plan_run: the tensor moved while it was held.
TEST(InlineComposites, BringsTheScalesThatBlocksOfWeightsName) {
  graph::Graph graph = Read(R"(graph main
input x: float32[1,8]
y: float32[1,2] = STABLEHLO_COMPOSITE(x) {name="a" decomposition_subgraph_index=1}
output y
graph body
input x: float32[1,8]
const scales: float32[2,2] = 0.5 2 1 0.25
const w: int8[2,8]
y: float32[1,2] = FULLY_CONNECTED(x, w, -)
output y
)");
  std::vector<graph::Tensor>& body = graph.subgraphs[1].tensors;
  const auto named = [](std::vector<graph::Tensor>& tensors,
                        std::string_view name) {
    return static_cast<int32_t>(
        std::ranges::find(tensors, name, &graph::Tensor::name) -
        tensors.begin());
  };
  graph::Quantization q;
  q.details = graph::Quantization::Details::kBlockwise;
  q.block_size = 4;
  q.scales_tensor = named(body, "scales");
  q.zero_points_tensor = graph::kNoTensor;
  body[static_cast<size_t>(named(body, "w"))].quantization = q;
  std::vector<graph::Tensor>& main = graph.subgraphs[0].tensors;
  // Room for one more: the weights; their scales move all.
  main.shrink_to_fit();
  main.reserve(main.size() + 1);
  ASSERT_TRUE(InlineComposites(graph, {}));
  ASSERT_EQ(graph.subgraphs[0].ops.size(), 1u);
  const int32_t w = graph.subgraphs[0].ops[0].inputs[1];
  EXPECT_EQ(main[static_cast<size_t>(w)].name, "w");
  const auto& moved = main[static_cast<size_t>(w)].quantization;
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->scales_tensor, named(main, "scales"));
}

}  // namespace
}  // namespace lathe::passes

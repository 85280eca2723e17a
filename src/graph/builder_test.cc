// Authoring a graph.

#include "src/graph/builder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/text.h"
#include "src/graph/verify.h"

namespace lathe::graph {
namespace {

TEST(Builder, AuthorsAGraphThatVerifies) {
  Graph graph = Graph::Empty();
  Builder builder(graph, "main");
  const TensorId x = builder.Input("x", Type::kFloat32, {1, 2, 3}, {1, -1, 3});
  builder.SetScope("layer/");
  const float weights[] = {1, 2, 3, 4, 5, 6};
  const TensorId w = builder.Floats("w", {2, 3}, weights);
  const TensorId y = builder.Op(OpCode::kFullyConnected, {x, w, kNoTensor},
                                {{"keep_num_dims", true}}, "y");
  const int32_t axis[] = {1};
  const TensorId halves_axis = builder.Ints("axis", {}, axis);
  const TensorId operands[] = {halves_axis, y};
  const auto halves =
      builder.Ops(OpCode::kSplit, operands, {{"num_splits", int64_t{2}}}, 2);
  EXPECT_EQ(builder.ShapeOf(y), (Shape{1, 2, 2}));
  const std::pair<std::string, TensorId> in[] = {{"x", x}};
  const std::pair<std::string, TensorId> out[] = {{"a", halves[0]},
                                                  {"b", halves[1]}};
  const Status finished = builder.Finish("serve", in, out);
  ASSERT_TRUE(finished) << finished.error().message;
  ASSERT_TRUE(Verify(graph));
  EXPECT_EQ(ToText(graph), R"(graph main
input  x: float32[1,2,3] resizable[1,-1,3]
const  layer/w: float32[2,3] = 1 2 3 4 5 6
const  layer/axis: int32[] = 1
layer/y: float32[1,2,2] = FULLY_CONNECTED@5(x, layer/w, -) {keep_num_dims=true}
"layer/SPLIT_1:0": float32[1,1,2], "layer/SPLIT_1:1": float32[1,1,2] = SPLIT(layer/axis, layer/y) {num_splits=2}
output "layer/SPLIT_1:0"
output "layer/SPLIT_1:1"
signature serve(x=x) -> (a="layer/SPLIT_1:0", b="layer/SPLIT_1:1")
)");
}

TEST(Builder, KeepsTheFirstError) {
  Graph graph = Graph::Empty();
  Builder builder(graph, "main");
  const TensorId x = builder.Input("x", Type::kFloat32, {2});
  const TensorId y = builder.Input("y", Type::kFloat32, {3});
  const TensorId sum = builder.Op(OpCode::kAdd, {x, y}, {}, "first");
  builder.Op(OpCode::kMean, {sum, x}, {}, "second");
  const Status finished = builder.Finish("serve", {}, {});
  ASSERT_FALSE(finished);
  EXPECT_THAT(finished.error().message, testing::HasSubstr("ADD 'first'"));
}

TEST(Builder, RefusesConstantsOfAnotherSize) {
  Graph graph = Graph::Empty();
  Builder builder(graph, "main");
  const float values[] = {1, 2};
  builder.Floats("w", {3}, values);
  const Status finished = builder.Finish("serve", {}, {});
  ASSERT_FALSE(finished);
  EXPECT_THAT(finished.error().message,
              testing::HasSubstr("constant 'w': 8 bytes"));
}

}  // namespace
}  // namespace lathe::graph

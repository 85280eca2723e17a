// Shape rules of windows and slices: what comes out, or words of the error.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/graph/shapes.h"

namespace lathe::graph {
namespace {

using Values = std::vector<int64_t>;

KnownTensor Float(Shape shape) {
  return {Type::kFloat32, std::move(shape), std::nullopt};
}
KnownTensor Int(Shape shape) {
  return {Type::kInt32, std::move(shape), std::nullopt};
}
KnownTensor Longs(Values values) {
  return {Type::kInt64, {static_cast<int32_t>(values.size())}, values};
}

std::string Infer(OpCode code, std::vector<KnownTensor> inputs,
                  std::vector<Attribute> fields = {}) {
  const Graph graph = Graph::Empty();
  Op op;
  op.code = code;
  op.inputs.assign(inputs.size(), 0);
  op.outputs = {0};
  op.options.table = FactsOf(code).options;
  op.options.fields = std::move(fields);
  std::vector<const KnownTensor*> pointers;
  for (const KnownTensor& input : inputs) pointers.push_back(&input);
  const auto result = InferOp(graph, op, pointers);
  return result ? ToString((*result)[0].shape) : result.error().message;
}

TEST(StablehloPadRule, AddsEdgesAndInteriorsAndCuts) {
  const auto pad = [](Values low, Values high, Values interior) {
    return Infer(OpCode::kStablehloPad, {Float({3, 0}), Float({})},
                 {{"edge_padding_low", low},
                  {"edge_padding_high", high},
                  {"interior_padding", interior}});
  };
  EXPECT_EQ(pad({1, 2}, {-2, 0}, {2, 5}), "[6,2]");
  EXPECT_NE(pad({-9, 0}, {0, 0}, {0, 0}).find("must be 0 to"),
            std::string::npos);
  EXPECT_NE(pad({0, 0}, {0, 0}, {-1, 0}).find("interior"), std::string::npos);
  EXPECT_NE(pad({0}, {0, 0}, {0, 0}).find("1 values; allowed: 2"),
            std::string::npos);
  EXPECT_NE(Infer(OpCode::kStablehloPad, {Float({3}), Int({})})
                .find("must be one float32"),
            std::string::npos);
}

TEST(ReduceWindowRule, CountsTheWindowsThatFit) {
  const auto reduce = [](Values window, Values stride, Values dilation) {
    return Infer(OpCode::kReduceWindow,
                 {Float({7, 4}), Float({}), Longs(window), Longs(stride),
                  Longs(dilation)});
  };
  EXPECT_EQ(reduce({3, 1}, {2, 3}, {1, 9}), "[3,2]");
  EXPECT_EQ(reduce({5, 1}, {1, 1}, {2, 1}), "[0,4]");
  EXPECT_NE(reduce({0, 1}, {1, 1}, {1, 1}).find("the window"),
            std::string::npos);
  EXPECT_NE(reduce({1, 1}, {1, 0}, {1, 1}).find("the strides"),
            std::string::npos);
  EXPECT_EQ(Infer(OpCode::kStablehloReduceWindow, {Float({4}), Float({})},
                  {{"window_dimensions", Values{2}},
                   {"base_dilations", Values{2}},
                   {"padding", Values{1, -1}}}),
            "[6]");
}

TEST(StablehloGatherRule, PutsSlicesWhereOffsetsStand) {
  const auto gather = [](Values sizes, Values offset, Values collapsed,
                         Values map, int64_t vectors) {
    return Infer(OpCode::kStablehloGather, {Float({5, 6, 7}), Int({3, 2, 4})},
                 {{"offset_dims", offset},
                  {"collapsed_slice_dims", collapsed},
                  {"start_index_map", map},
                  {"index_vector_dim", vectors},
                  {"slice_sizes", sizes}});
  };
  EXPECT_EQ(gather({1, 2, 3}, {1, 3}, {0}, {2, 0}, 1), "[3,2,4,3]");
  EXPECT_NE(gather({1, 2, 8}, {1, 3}, {0}, {2, 0}, 1).find("slice size 8"),
            std::string::npos);
  EXPECT_NE(gather({0, 2, 3}, {1, 3}, {0}, {2, 0}, 1).find("dropped"),
            std::string::npos);
  EXPECT_NE(gather({1, 2, 3}, {1, 3}, {0}, {2, 3}, 1).find("axis 3"),
            std::string::npos);
  EXPECT_NE(gather({1, 2, 3}, {1, 3}, {0}, {2, 2}, 1).find("once"),
            std::string::npos);
  EXPECT_NE(gather({1, 2, 3}, {1, 3}, {0}, {2, 0}, 4).find("allowed: 0 to 3"),
            std::string::npos);
  EXPECT_NE(gather({1, 2, 3}, {3, 1}, {0}, {2, 0}, 1).find("rising"),
            std::string::npos);
}

TEST(StablehloScatterRule, KeepsTheInputAndChecksTheUpdates) {
  const auto scatter = [](Shape updates, Values window, Values inserted) {
    return Infer(OpCode::kStablehloScatter,
                 {Float({5, 6}), Int({3, 1}), Float(updates)},
                 {{"update_window_dims", window},
                  {"inserted_window_dims", inserted},
                  {"scatter_dims_to_operand_dims", Values{0}},
                  {"index_vector_dim", int64_t{1}}});
  };
  EXPECT_EQ(scatter({3, 6}, {1}, {0}), "[5,6]");
  EXPECT_NE(scatter({3, 7}, {1}, {0}).find("do not fit into"),
            std::string::npos);
  EXPECT_NE(scatter({4, 6}, {1}, {0}).find("do not fit indices"),
            std::string::npos);
  EXPECT_NE(scatter({3, 6}, {1}, {}).find("1 window and 0 inserted"),
            std::string::npos);
}

}  // namespace
}  // namespace lathe::graph

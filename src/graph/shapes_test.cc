// Shape rules: a table of operators, their operands and what comes out.

#include "src/graph/shapes.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::graph {
namespace {

using Values = std::vector<int64_t>;

KnownTensor Float(Shape shape) {
  return {Type::kFloat32, std::move(shape), std::nullopt};
}
KnownTensor Bool(Shape shape) {
  return {Type::kBool, std::move(shape), std::nullopt};
}
KnownTensor Int(Shape shape) {
  return {Type::kInt32, std::move(shape), std::nullopt};
}
KnownTensor List(Values values) {
  return {Type::kInt32, {static_cast<int32_t>(values.size())}, values};
}
KnownTensor One(int64_t value) { return {Type::kInt32, {}, Values{value}}; }

struct Case {
  std::string label;
  OpCode code;
  std::vector<KnownTensor> inputs;
  std::vector<Attribute> fields;
  // What comes out, as text; or words of the error.
  std::string expected;
  size_t outputs = 1;
};

std::string Infer(const Case& c) {
  Graph graph = Graph::Empty();
  Op op;
  op.code = c.code;
  op.inputs.assign(c.inputs.size(), 0);
  op.outputs.assign(c.outputs, 0);
  op.options.table = FactsOf(c.code).options;
  op.options.fields = c.fields;
  std::vector<const KnownTensor*> inputs;
  for (const KnownTensor& input : c.inputs) inputs.push_back(&input);
  const auto result = InferOp(graph, op, inputs);
  if (!result) return result.error().message;
  std::string text;
  for (const KnownTensor& tensor : *result) {
    if (!text.empty()) text += ' ';
    text += std::string(Name(tensor.type)) + ToString(tensor.shape);
    if (tensor.values) {
      text += '=';
      for (const int64_t value : *tensor.values) {
        text += std::to_string(value) + ',';
      }
    }
  }
  return text;
}

Attribute A(std::string name, AttributeValue value) {
  return {std::move(name), std::move(value)};
}
Attribute I(std::string name, int64_t value) {
  return A(std::move(name), value);
}

std::vector<Attribute> Conv(int64_t stride, bool valid, int64_t dilation = 1) {
  return {I("padding", valid), I("stride_w", stride), I("stride_h", stride),
          I("dilation_w_factor", dilation), I("dilation_h_factor", dilation)};
}

const Case kCases[] = {
    {"sum of broadcast operands",
     OpCode::kAdd,
     {Float({4, 1, 3}), Float({5, 1})},
     {},
     "float32[4,5,3]"},
    {"an empty operand wins over 1",
     OpCode::kAdd,
     {Float({1, 3}), Float({0, 3})},
     {},
     "float32[0,3]"},
    {"operands that do not broadcast",
     OpCode::kMul,
     {Float({4, 2}), Float({3})},
     {},
     "do not broadcast"},
    {"operands of two types",
     OpCode::kMul,
     {Float({4}), Int({4})},
     {},
     "of one type"},
    {"comparison gives bool",
     OpCode::kLess,
     {Float({2, 1}), Float({3})},
     {},
     "bool[2,3]"},
    {"logical needs bool",
     OpCode::kLogicalAnd,
     {Int({2}), Int({2})},
     {},
     "allowed: bool"},
    {"select broadcasts three",
     OpCode::kSelectV2,
     {Bool({3, 1}), Float({1, 4}), Float({})},
     {},
     "float32[3,4]"},
    {"alpha wider than x",
     OpCode::kPrelu,
     {Float({3}), Float({2, 3})},
     {},
     "alpha"},
    {"cast takes its option",
     OpCode::kCast,
     {Int({2})},
     {I("in_data_type", 2)},
     "float32[2]"},

    {"SAME convolution of odd size",
     OpCode::kConv2d,
     {Float({1, 7, 9, 4}), Float({6, 3, 3, 4}), Float({6})},
     Conv(2, false),
     "float32[1,4,5,6]"},
    {"VALID dilated convolution",
     OpCode::kConv2d,
     {Float({2, 1, 20, 4}), Float({6, 1, 7, 4})},
     Conv(1, true, 2),
     "float32[2,1,8,6]"},
    {"grouped convolution",
     OpCode::kConv2d,
     {Float({1, 4, 4, 6}), Float({4, 1, 1, 3})},
     Conv(1, true),
     "float32[1,4,4,4]"},
    {"groups that do not divide",
     OpCode::kConv2d,
     {Float({1, 4, 4, 5}), Float({4, 1, 1, 3})},
     Conv(1, true),
     "groups"},
    {"stride 0",
     OpCode::kConv2d,
     {Float({1, 4, 4, 3}), Float({4, 1, 1, 3})},
     {},
     "stride 0"},
    {"wrong bias",
     OpCode::kConv2d,
     {Float({1, 4, 4, 3}), Float({4, 1, 1, 3}), Float({3})},
     Conv(1, true),
     "bias"},
    {"window larger than the input",
     OpCode::kConv2d,
     {Float({1, 1, 2, 3}), Float({4, 1, 3, 3})},
     Conv(1, true),
     "does not fit"},
    {"depthwise with multiplier",
     OpCode::kDepthwiseConv2d,
     {Float({1, 5, 5, 3}), Float({1, 3, 3, 6})},
     Conv(2, true),
     "float32[1,2,2,6]"},
    {"transposed convolution",
     OpCode::kTransposeConv,
     {List({1, 1, 16, 2}), Float({2, 1, 8, 3}), Float({1, 1, 4, 3}),
      Float({2})},
     Conv(4, false),
     "float32[1,1,16,2]"},
    {"transposed convolution of an impossible size",
     OpCode::kTransposeConv,
     {List({1, 1, 17, 2}), Float({2, 1, 8, 3}), Float({1, 1, 4, 3})},
     Conv(4, false),
     "belongs to an input of 5"},
    {"rows flattened",
     OpCode::kFullyConnected,
     {Float({2, 3, 4}), Float({5, 12})},
     {},
     "float32[2,5]"},
    {"leading dims kept",
     OpCode::kFullyConnected,
     {Float({2, 3, 4}), Float({5, 4}), Float({5})},
     {A("keep_num_dims", true)},
     "float32[2,3,5]"},
    {"leading dims cannot be kept",
     OpCode::kFullyConnected,
     {Float({2, 3, 4}), Float({5, 12})},
     {A("keep_num_dims", true)},
     "for weights"},
    {"matrix product, broadcast batch",
     OpCode::kBatchMatmul,
     {Float({2, 1, 3, 4}), Float({5, 6, 4})},
     {A("adj_y", true)},
     "float32[2,5,3,6]"},
    {"matrix product, inner sizes",
     OpCode::kBatchMatmul,
     {Float({3, 4}), Float({5, 6})},
     {},
     "inner sizes 4 and 5"},

    {"mean over two axes",
     OpCode::kMean,
     {Float({2, 3, 4}), List({-1, 1})},
     {},
     "float32[2]"},
    {"mean that keeps dims",
     OpCode::kMean,
     {Float({2, 3, 4}), One(1)},
     {A("keep_dims", true)},
     "float32[2,1,4]"},
    {"axis out of range",
     OpCode::kSum,
     {Float({2}), One(1)},
     {},
     "axis 1; allowed: -1 to 0"},
    {"axes known only at run time",
     OpCode::kSum,
     {Float({2}), Int({1})},
     {},
     "only known when the model runs"},
    {"arg max",
     OpCode::kArgMax,
     {Float({2, 3}), One(-1)},
     {I("output_type", 4)},
     "int64[2]"},
    {"top k",
     OpCode::kTopkV2,
     {Float({2, 9}), One(3)},
     {},
     "float32[2,3] int32[2,3]",
     2},
    {"k too large",
     OpCode::kTopkV2,
     {Float({2, 9}), One(10)},
     {},
     "allowed: 0 to 9",
     2},

    {"reshape with an open dim",
     OpCode::kReshape,
     {Float({2, 3, 4}), List({4, -1})},
     {},
     "float32[4,6]"},
    {"reshape by option",
     OpCode::kReshape,
     {Float({2, 3})},
     {A("new_shape", Values{3, 2})},
     "float32[3,2]"},
    {"reshape to a scalar, old form",
     OpCode::kReshape,
     {Float({1})},
     {A("new_shape", Values{0})},
     "float32[]"},
    {"reshape to a scalar by an empty list",
     OpCode::kReshape,
     {Float({1, 1}), List({})},
     {},
     "float32[]"},
    {"reshape of another count",
     OpCode::kReshape,
     {Float({2, 3}), List({4})},
     {},
     "has 6 values, the new shape 4"},
    {"reshape with two open dims",
     OpCode::kReshape,
     {Float({4}), List({-1, -1})},
     {},
     "more than one"},
    {"transpose",
     OpCode::kTranspose,
     {Float({2, 3, 4}), List({2, 0, -2})},
     {},
     "float32[4,2,3]"},
    {"transpose with an axis twice",
     OpCode::kTranspose,
     {Float({2, 3}), List({1, 1})},
     {},
     "stands twice"},
    {"concatenation",
     OpCode::kConcatenation,
     {Float({2, 3}), Float({2, 1}), Float({2, 0})},
     {I("axis", -1)},
     "float32[2,4]"},
    {"concatenation that does not fit",
     OpCode::kConcatenation,
     {Float({2, 3}), Float({3, 3})},
     {I("axis", 1)},
     "does not join"},
    {"split",
     OpCode::kSplit,
     {One(1), Float({2, 6})},
     {I("num_splits", 2)},
     "float32[2,3] float32[2,3]",
     2},
    {"split that does not divide",
     OpCode::kSplit,
     {One(1), Float({2, 5})},
     {I("num_splits", 2)},
     "5 along axis 1",
     2},
    {"split into sizes",
     OpCode::kSplitV,
     {Float({7}), List({2, -1}), One(0)},
     {I("num_splits", 2)},
     "float32[2] float32[5]",
     2},
    {"pack",
     OpCode::kPack,
     {Float({2}), Float({2})},
     {I("values_count", 2), I("axis", 1)},
     "float32[2,2]"},
    {"unpack",
     OpCode::kUnpack,
     {Float({2, 3})},
     {I("num", 2)},
     "float32[3] float32[3]",
     2},
    {"slice to the end",
     OpCode::kSlice,
     {Float({4, 5}), List({1, 2}), List({2, -1})},
     {},
     "float32[2,3]"},
    {"slice beyond the end",
     OpCode::kSlice,
     {Float({4}), List({1}), List({4})},
     {},
     "begin 1 and size 4"},
    {"strided slice with a shrunk axis",
     OpCode::kStridedSlice,
     {Float({4, 5, 6}), List({1, 0, 5}), List({2, 5, 0}), List({1, 2, -2})},
     {I("shrink_axis_mask", 1)},
     "float32[3,3]"},
    {"strided slice with ellipsis and new axis",
     OpCode::kStridedSlice,
     {Float({4, 5, 6}), List({0, 0, -2}), List({0, 0, 99}), List({1, 1, 1})},
     {I("ellipsis_mask", 1), I("new_axis_mask", 2)},
     "float32[4,5,1,2]"},
    {"strided slice with masks",
     OpCode::kStridedSlice,
     {Float({9}), List({7}), List({1}), List({-3})},
     {I("begin_mask", 1), I("end_mask", 1)},
     "float32[3]"},
    {"strided slice, offset end",
     OpCode::kStridedSlice,
     {Float({9}), List({2}), List({3}), List({1})},
     {A("offset", true)},
     "float32[3]"},
    {"strided slice of stride 0",
     OpCode::kStridedSlice,
     {Float({9}), List({0}), List({3}), List({0})},
     {},
     "stride 0"},
    {"expand dims",
     OpCode::kExpandDims,
     {Float({2, 3}), One(-1)},
     {},
     "float32[2,3,1]"},
    {"squeeze all", OpCode::kSqueeze, {Float({1, 3, 1})}, {}, "float32[3]"},
    {"squeeze one",
     OpCode::kSqueeze,
     {Float({1, 3, 1})},
     {A("squeeze_dims", Values{-1})},
     "float32[1,3]"},
    {"squeeze what is not 1",
     OpCode::kSqueeze,
     {Float({1, 3})},
     {A("squeeze_dims", Values{1})},
     "is not 1"},
    {"pad",
     OpCode::kPad,
     {Float({2, 3}), {Type::kInt32, {2, 2}, Values{0, 1, 2, 0}}},
     {},
     "float32[3,5]"},
    {"negative padding",
     OpCode::kPad,
     {Float({2}), {Type::kInt32, {1, 2}, Values{-1, 0}}},
     {},
     "paddings -1"},
    {"reflection needs room",
     OpCode::kMirrorPad,
     {Float({2}), {Type::kInt32, {1, 2}, Values{2, 0}}},
     {},
     "0 to 1"},
    {"tile", OpCode::kTile, {Float({2, 3}), List({2, 0})}, {}, "float32[4,0]"},
    {"broadcast to",
     OpCode::kBroadcastTo,
     {Float({3, 1}), List({2, 3, 4})},
     {},
     "float32[2,3,4]"},

    {"gather rows",
     OpCode::kGather,
     {Float({9, 4}), Int({2, 3})},
     {},
     "float32[2,3,4]"},
    {"gather with batch dims",
     OpCode::kGather,
     {Float({2, 9}), Int({2, 3})},
     {I("axis", 1), I("batch_dims", 1)},
     "float32[2,3]"},
    {"gather by coordinates",
     OpCode::kGatherNd,
     {Float({4, 5, 6}), Int({7, 2})},
     {},
     "float32[7,6]"},
    {"gather by too many coordinates",
     OpCode::kGatherNd,
     {Float({4}), Int({7, 2})},
     {},
     "indices of 2"},
    {"embedding",
     OpCode::kEmbeddingLookup,
     {Int({3}), Float({9, 4})},
     {},
     "float32[3,4]"},
    {"update slice",
     OpCode::kDynamicUpdateSlice,
     {Float({8, 4}), Float({1, 4}), Int({2})},
     {},
     "float32[8,4]"},
    {"update larger than the operand",
     OpCode::kDynamicUpdateSlice,
     {Float({8, 4}), Float({9, 4}), Int({2})},
     {},
     "does not fit"},
    {"one hot",
     OpCode::kOneHot,
     {Int({3}), One(5), Float({}), Float({})},
     {I("axis", -1)},
     "float32[3,5]"},

    {"max pool",
     OpCode::kMaxPool2d,
     {Float({1, 5, 5, 3})},
     {I("stride_w", 2), I("stride_h", 2), I("filter_width", 2),
      I("filter_height", 2), I("padding", 1)},
     "float32[1,2,2,3]"},
    {"resize",
     OpCode::kResizeBilinear,
     {Float({1, 2, 2, 3}), List({4, 5})},
     {},
     "float32[1,4,5,3]"},
    {"resize to nothing",
     OpCode::kResizeBilinear,
     {Float({1, 2, 2, 3}), List({0, 5})},
     {},
     "at least 1"},
    {"space to depth",
     OpCode::kSpaceToDepth,
     {Float({1, 4, 6, 3})},
     {I("block_size", 2)},
     "float32[1,2,3,12]"},
    {"depth to space",
     OpCode::kDepthToSpace,
     {Float({1, 2, 3, 12})},
     {I("block_size", 2)},
     "float32[1,4,6,3]"},
    {"space to batch",
     OpCode::kSpaceToBatchNd,
     {Float({1, 4, 5, 3}),
      List({2, 2}),
      {Type::kInt32, {2, 2}, Values{0, 0, 1, 0}}},
     {},
     "float32[4,2,3,3]"},
    {"batch to space",
     OpCode::kBatchToSpaceNd,
     {Float({4, 2, 3, 3}),
      List({2, 2}),
      {Type::kInt32, {2, 2}, Values{0, 0, 1, 0}}},
     {},
     "float32[1,4,5,3]"},

    {"shape is a value", OpCode::kShape, {Float({2, 3})}, {}, "int32[2]=2,3,"},
    {"rank is a value", OpCode::kRank, {Float({2, 3})}, {}, "int32[]=2,"},
    {"sizes are multiplied",
     OpCode::kMul,
     {List({2, 3}), One(4)},
     {},
     "int32[2]=8,12,"},
    {"division by zero is not followed",
     OpCode::kFloorDiv,
     {List({2}), One(0)},
     {},
     "int32[1]"},
    {"floor division follows the divisor's sign",
     OpCode::kFloorDiv,
     {List({-7}), One(2)},
     {},
     "int32[1]=-4,"},
    {"int32 wraps",
     OpCode::kAdd,
     {List({INT32_MAX}), One(1)},
     {},
     "int32[1]=-2147483648,"},
    {"one size cut out",
     OpCode::kStridedSlice,
     {List({2, 3, 4}), List({1}), List({2}), List({1})},
     {I("shrink_axis_mask", 1)},
     "int32[]=3,"},
    {"sizes reversed",
     OpCode::kStridedSlice,
     {List({2, 3, 4}), List({0}), List({0}), List({-1})},
     {I("begin_mask", 1), I("end_mask", 1)},
     "int32[3]=4,3,2,"},
    {"sizes packed",
     OpCode::kPack,
     {One(2), One(3)},
     {I("values_count", 2)},
     "int32[2]=2,3,"},
    {"sizes joined",
     OpCode::kConcatenation,
     {List({1}), List({2, 3})},
     {},
     "int32[3]=1,2,3,"},
    {"sizes picked",
     OpCode::kGather,
     {List({5, 6, 7}), List({2, 0})},
     {},
     "int32[2]=7,5,"},
    {"product of sizes",
     OpCode::kReduceProd,
     {List({2, 3, 4}), One(0)},
     {},
     "int32[]=24,"},
    {"sizes apart",
     OpCode::kUnpack,
     {List({7, 8})},
     {I("num", 2)},
     "int32[]=7, int32[]=8,",
     2},
    {"range", OpCode::kRange, {One(5), One(0), One(-2)}, {}, "int32[3]=5,3,1,"},
    {"range that never ends",
     OpCode::kRange,
     {One(0), One(5), One(0)},
     {},
     "steps of 0"},
    {"fill", OpCode::kFill, {List({2, 1}), One(9)}, {}, "int32[2,1]=9,9,"},
    {"fill of negative size",
     OpCode::kFill,
     {List({-2}), One(9)},
     {},
     "each must be 0 to"},
    {"size chosen",
     OpCode::kSelectV2,
     {{Type::kBool, {2}, Values{1, 0}}, List({1, 2}), One(7)},
     {},
     "int32[2]=1,7,"},
    {"broadcast args",
     OpCode::kBroadcastArgs,
     {List({1, 4}), List({3, 1})},
     {},
     "int32[2]=3,4,"},

    {"an operator without a rule",
     OpCode::kSkipGram,
     {Bool({2})},
     {},
     "SKIP_GRAM has no shape rule"},
    {"too few inputs", OpCode::kAdd, {Float({2})}, {}, "1 inputs; allowed: 2"},
    {"a dim that overflows",
     OpCode::kTile,
     {Float({65536, 2}), List({65536, 1})},
     {},
     "each must be 0 to"},
};

class ShapeRules : public testing::TestWithParam<Case> {};

TEST_P(ShapeRules, GiveWhatTheTableSays) {
  const std::string text = Infer(GetParam());
  // Errors are matched by their words, outputs exactly.
  if (text.find(']') != std::string::npos &&
      GetParam().expected.find('[') != std::string::npos) {
    EXPECT_EQ(text, GetParam().expected);
  } else {
    EXPECT_THAT(text, testing::HasSubstr(GetParam().expected));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ShapeRules, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& info) {
                           std::string name;
                           for (const char c : info.param.label)
                             name += std::isalnum(c) ? c : '_';
                           return name;
                         });

// b = reshape(x, [shape(x)[1], -1]) follows a new size of x.
TEST(InferSubgraph, FollowsSizesThroughTheGraph) {
  Graph graph = Graph::Empty();
  Subgraph subgraph;
  const auto add = [&](std::string name, Type type, Shape shape,
                       std::vector<int32_t> values) {
    Tensor tensor;
    tensor.name = std::move(name);
    tensor.type = type;
    tensor.shape = std::move(shape);
    if (!values.empty()) {
      tensor.buffer = static_cast<uint32_t>(graph.buffers.size());
      graph.buffers.push_back(MakeBuffer(std::as_bytes(std::span(values))));
    }
    subgraph.tensors.push_back(tensor);
    return static_cast<int32_t>(subgraph.tensors.size() - 1);
  };
  const int32_t x = add("x", Type::kFloat32, {2, 3}, {});
  const int32_t one = add("one", Type::kInt32, {1}, {1});
  const int32_t two = add("two", Type::kInt32, {1}, {2});
  const int32_t open = add("open", Type::kInt32, {}, {-1});
  const int32_t shape = add("shape", Type::kInt32, {2}, {});
  const int32_t width = add("width", Type::kInt32, {}, {});
  const int32_t target = add("target", Type::kInt32, {2}, {});
  const int32_t y = add("y", Type::kFloat32, {3, 2}, {});
  subgraph.inputs = {x};
  subgraph.outputs = {y};
  const auto op = [&](OpCode code, std::vector<int32_t> in, int32_t out,
                      std::vector<Attribute> fields) {
    Op made;
    made.code = code;
    made.inputs = std::move(in);
    made.outputs = {out};
    made.options = {std::string(FactsOf(code).options), std::move(fields)};
    subgraph.ops.push_back(std::move(made));
  };
  op(OpCode::kShape, {x}, shape, {I("out_type", 2)});
  op(OpCode::kStridedSlice, {shape, one, two, one}, width,
     {I("shrink_axis_mask", 1)});
  op(OpCode::kPack, {width, open}, target, {I("values_count", 2)});
  op(OpCode::kReshape, {x, target}, y, {});

  std::vector<KnownTensor> known = StoredTensors(graph, subgraph);
  known[x].shape = {4, 7};
  const Status status = InferSubgraph(graph, subgraph, known);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(known[y].shape, (Shape{7, 4}));

  subgraph.ops[3].code = OpCode::kSkipGram;
  const Status refused = InferSubgraph(graph, subgraph, known);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              testing::HasSubstr("operator 3 SKIP_GRAM 'y'"));
}

}  // namespace
}  // namespace lathe::graph

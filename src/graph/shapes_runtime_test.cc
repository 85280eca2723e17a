#include "src/graph/shapes_runtime.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::graph {
namespace {

using testing::HasSubstr;

struct Operand {
  KnownTensor facts;
  std::vector<std::byte> bytes;
};

template <typename T>
Operand Of(Type type, Shape shape, const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {{type, std::move(shape), {}},
          {bytes, bytes + values.size() * sizeof(T)}};
}
Operand Ints(Shape shape, const std::vector<int32_t>& values) {
  return Of(Type::kInt32, std::move(shape), values);
}
Operand Floats(Shape shape, const std::vector<float>& values) {
  return Of(Type::kFloat32, std::move(shape), values);
}

// What comes out, as text; or the error.
std::string Infer(OpCode code, const std::vector<Operand>& operands,
                  size_t outputs = 1, std::vector<Attribute> fields = {},
                  const std::vector<Type>& stored = {}) {
  const Graph graph = Graph::Empty();
  Op op;
  op.code = code;
  op.inputs.assign(operands.size(), 0);
  op.outputs.assign(outputs, 0);
  op.options.table = FactsOf(code).options;
  op.options.fields = std::move(fields);
  std::vector<const KnownTensor*> inputs;
  std::vector<std::span<const std::byte>> bytes;
  for (const Operand& operand : operands) {
    inputs.push_back(&operand.facts);
    bytes.push_back(operand.bytes);
  }
  const auto result = InferOpWithValues(graph, op, inputs, bytes, stored);
  if (!result) return result.error().message;
  std::string text;
  for (const KnownTensor& tensor : *result) {
    if (!text.empty()) text += ' ';
    text += std::string(Name(tensor.type)) + ToString(tensor.shape);
  }
  return text;
}

TEST(WithValues, WhereCountsWhatIsNotZero) {
  EXPECT_EQ(Infer(OpCode::kWhere, {Floats({2, 3}, {0, -0.0f, 1, NAN, 0, -2})}),
            "int64[3,2]");
  EXPECT_EQ(Infer(OpCode::kWhere, {Of<uint8_t>(Type::kBool, {3}, {1, 0, 7})}),
            "int64[2,1]");
  EXPECT_EQ(Infer(OpCode::kWhere, {Of<int64_t>(Type::kInt64, {}, {5})}),
            "int64[1,0]");
  EXPECT_EQ(Infer(OpCode::kWhere,
                  {Of<uint16_t>(Type::kFloat16, {3}, {0x8000, 1, 0x3C00})}),
            "int64[2,1]");
  EXPECT_EQ(Infer(OpCode::kWhere, {Floats({0, 3}, {})}), "int64[0,2]");
}

TEST(WithValues, WhereCountsAlsoMoreThanIsFollowed) {
  std::vector<int32_t> many(5000, 1);
  many[77] = 0;
  EXPECT_EQ(Infer(OpCode::kWhere, {Ints({5000}, many)}), "int64[4999,1]");
}

TEST(WithValues, UniqueCountsWhatDiffers) {
  EXPECT_EQ(Infer(OpCode::kUnique, {Ints({5}, {3, 1, 3, 3, 2})}, 2),
            "int32[3] int32[5]");
  EXPECT_EQ(Infer(OpCode::kUnique, {Floats({5}, {NAN, 1, NAN, 0, -0.0f})}, 2,
                  {{"idx_out_type", static_cast<int64_t>(Type::kInt64)}}),
            "float32[3] int64[5]");
  EXPECT_EQ(Infer(OpCode::kUnique, {Of<int16_t>(Type::kInt16, {0}, {})}, 2),
            "int16[0] int32[0]");
}

TEST(WithValues, RangesHaveALength) {
  const auto floats = [](float a, float b, float c) {
    return Infer(OpCode::kRange,
                 {Floats({}, {a}), Floats({}, {b}), Floats({}, {c})});
  };
  EXPECT_EQ(floats(0, 1, 0.25f), "float32[4]");
  EXPECT_EQ(floats(0, 1, 0.3f), "float32[4]");
  EXPECT_EQ(floats(1, 0, -0.5f), "float32[2]");
  EXPECT_EQ(floats(1, 1, 1), "float32[0]");
  EXPECT_THAT(floats(0, 1, -1), HasSubstr("a range from 0 to 1 in steps of"));
  EXPECT_THAT(floats(0, 1, 0), HasSubstr("a range from 0 to 1"));
  EXPECT_THAT(floats(NAN, 1, 1), HasSubstr("a range from nan"));
  EXPECT_THAT(floats(0, INFINITY, 1), HasSubstr("too long"));
  const auto ints = [](int64_t a, int64_t b, int64_t c) {
    return Infer(OpCode::kRange, {Of<int64_t>(Type::kInt64, {}, {a}),
                                  Of<int64_t>(Type::kInt64, {1}, {b}),
                                  Of<int64_t>(Type::kInt64, {}, {c})});
  };
  EXPECT_EQ(ints(3, 10, 3), "int64[3]");
  EXPECT_EQ(ints(10, -1, -3), "int64[4]");
  EXPECT_EQ(ints(INT64_MIN, INT64_MAX, INT64_MAX), "int64[3]");
  EXPECT_EQ(ints(INT64_MAX, INT64_MIN, INT64_MIN), "int64[2]");
  EXPECT_THAT(ints(INT64_MIN, INT64_MAX, 1), HasSubstr("too long"));
}

TEST(WithValues, SizesAreReadFromAnyInteger) {
  EXPECT_EQ(Infer(OpCode::kFill,
                  {Of<int64_t>(Type::kInt64, {2}, {2, 3}), Floats({}, {1})}),
            "float32[2,3]");
  EXPECT_EQ(Infer(OpCode::kTopkV2,
                  {Floats({2, 3}, {1, 2, 3, 4, 5, 6}),
                   Of<int16_t>(Type::kInt16, {}, {2})},
                  2),
            "float32[2,2] int32[2,2]");
  EXPECT_EQ(Infer(OpCode::kTile,
                  {Floats({2}, {1, 2}), Of<uint32_t>(Type::kUint32, {1}, {3})}),
            "float32[6]");
  EXPECT_EQ(Infer(OpCode::kReshape,
                  {Floats({6}, {1, 2, 3, 4, 5, 6}), Ints({2}, {-1, 2})}),
            "float32[3,2]");
  EXPECT_EQ(Infer(OpCode::kSlice,
                  {Floats({4}, {1, 2, 3, 4}), Ints({1}, {1}), Ints({1}, {-1})}),
            "float32[3]");
  EXPECT_THAT(Infer(OpCode::kFill, {Floats({1}, {2}), Floats({}, {1})}),
              HasSubstr("allowed are integers"));
}

TEST(WithValues, SegmentsAndBucketsAreCounted) {
  const Operand x = Floats({4, 1}, {1, 2, 3, 4});
  EXPECT_EQ(Infer(OpCode::kSegmentSum, {x, Ints({4}, {0, 0, 1, 3})}),
            "float32[4,1]");
  EXPECT_THAT(Infer(OpCode::kSegmentSum, {x, Ints({4}, {0, 1, 0, 3})}),
              HasSubstr("must ascend"));
  EXPECT_THAT(Infer(OpCode::kSegmentSum, {x, Ints({4}, {-1, 0, 0, 3})}),
              HasSubstr("must ascend"));
  EXPECT_EQ(Infer(OpCode::kEmbeddingLookupSparse,
                  {Ints({2}, {0, 1}), Ints({2, 3}, {0, 0, 0, 1, 2, 0}),
                   Ints({3}, {2, 3, 4}), Floats({2}, {1, 1}), x}),
            "float32[2,3,1]");
}

TEST(WithValues, BytesMustFitTheShape) {
  Operand x = Ints({2}, {1, 2});
  x.bytes.pop_back();
  EXPECT_THAT(Infer(OpCode::kWhere, {x}),
              HasSubstr("input 0 is int32[2], but has 7 bytes"));
}

TEST(WithValues, BitcastKnowsTheStoredType) {
  const Operand x = Floats({2}, {1, 2});
  EXPECT_EQ(Infer(OpCode::kBitcast, {x}, 1, {}, {Type::kUint8}), "uint8[2,4]");
  EXPECT_EQ(Infer(OpCode::kBitcast, {x}, 1, {}, {Type::kInt64}), "int64[]");
  EXPECT_EQ(Infer(OpCode::kBitcast, {x}, 1, {}, {Type::kInt32}), "int32[2]");
  EXPECT_THAT(Infer(OpCode::kBitcast, {x}, 1, {}, {Type::kComplex128}),
              HasSubstr("needs a last dim of 4"));
}

// Before the model runs.
TEST(WithoutValues, OneIndexAndWholeAxesGiveAShape) {
  const Graph graph = Graph::Empty();
  const KnownTensor x{Type::kFloat32, {4, 5, 6}, {}};
  const KnownTensor later{Type::kInt32, {2}, {}};
  const KnownTensor ones{Type::kInt32, {2}, std::vector<int64_t>{1, 1}};
  const KnownTensor* inputs[] = {&x, &later, &later, &ones};
  Op op;
  op.code = OpCode::kStridedSlice;
  op.outputs = {0};
  op.options.fields = {{"begin_mask", int64_t{2}},
                       {"end_mask", int64_t{2}},
                       {"shrink_axis_mask", int64_t{1}}};
  const auto whole = InferOp(graph, op, inputs);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ((*whole)[0].shape, (Shape{5, 6}));
  op.options.fields = {{"shrink_axis_mask", int64_t{1}}};
  const auto open = InferOp(graph, op, inputs);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, ErrorCode::kUnsupported);

  const KnownTensor three{Type::kInt32, {3}, {}};
  const KnownTensor sizes{Type::kInt32, {3}, std::vector<int64_t>{1, 5, 2}};
  const KnownTensor rest{Type::kInt32, {3}, std::vector<int64_t>{1, -1, 2}};
  Op slice;
  slice.code = OpCode::kSlice;
  slice.outputs = {0};
  const KnownTensor* sized[] = {&x, &three, &sizes};
  const auto part = InferOp(graph, slice, sized);
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ((*part)[0].shape, (Shape{1, 5, 2}));
  const KnownTensor* unsized[] = {&x, &three, &rest};
  EXPECT_FALSE(InferOp(graph, slice, unsized));
}

}  // namespace
}  // namespace lathe::graph

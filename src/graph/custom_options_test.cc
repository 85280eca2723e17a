// FlexBuffer maps and raw structs, sound and broken.

#include "src/graph/custom_options.h"

#include <random>

#include "gtest/gtest.h"
#include "src/graph/flex_map.h"
#include "src/graph/shapes.h"

namespace lathe::graph {
namespace {

using Bytes = std::vector<uint8_t>;

// {"a": -2, "b": 1.5 as float, "c": "hi", "d": [1, 2, 300]}
Bytes Sample() {
  Bytes b;
  const auto put = [&](std::initializer_list<int> values) {
    for (const int v : values) b.push_back(static_cast<uint8_t>(v));
  };
  put({'a', 0, 'b', 0, 'c', 0, 'd', 0});  // 0: keys
  put({2, 'h', 'i', 0});                  // 8: length, then the string at 9
  put({3, 0, 1, 0, 2, 0, 44, 1});         // 12: count, then int16 from 14
  put({4, 21, 20, 19, 18});               // 20: key vector from 21
  // 25: three bytes to a multiple of four, then keys offset, width, count.
  put({0, 0, 0});
  put({7, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0});    // 28: 28 - 7 = 21
  put({254, 255, 255, 255, 0, 0, 0xC0, 0x3F});  // 40: -2, 1.5f
  put({39, 0, 0, 0, 38, 0, 0, 0});              // 48 - 39 = 9, 52 - 38 = 14
  // Types: int, float, string of bytes, int vector of 16 bits.
  put({1 << 2 | 2, 3 << 2 | 2, 5 << 2, 11 << 2 | 1});
  put({20, 9 << 2 | 2, 1});  // 60 - 20 = 40: a map of 32 bits.
  return b;
}

TEST(FlexMap, ReadsScalarsTextAndVectors) {
  const auto map = ReadFlexMap(Sample());
  ASSERT_TRUE(map.has_value()) << map.error().message;
  EXPECT_EQ(map->fields.size(), 4u);
  EXPECT_EQ(map->Int("a"), -2);
  EXPECT_EQ(map->Float("b"), 1.5);
  EXPECT_EQ(map->Text("c"), "hi");
  EXPECT_EQ(map->Ints("d"), std::vector<int64_t>({1, 2, 300}));
  EXPECT_EQ(map->Int("c", 7), 7);  // Of another type: the default.
}

TEST(FlexMap, SurvivesEveryCutAndEveryByte) {
  const Bytes whole = Sample();
  for (size_t n = 0; n < whole.size(); ++n) {
    (void)ReadFlexMap(std::span(whole).first(n));
    (void)ReadFlexMap(std::span(whole).subspan(n));
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      Bytes changed = whole;
      changed[i] = static_cast<uint8_t>(value);
      (void)ReadFlexMap(changed);
    }
  }
  std::mt19937 rng(1);
  for (int round = 0; round < 20000; ++round) {
    Bytes noise(rng() % 40);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(rng() % 48);
    (void)ReadFlexMap(noise);
  }
}

TEST(FlexMap, NeedsKeysThatEnd) {
  // A map of one entry in bytes; no zero stands behind the key.
  Bytes open = {'k', 'e', 1, 3, 1, 1, 1, 5, 1 << 2, 2, 9 << 2, 1};
  EXPECT_FALSE(ReadFlexMap(open).has_value());
  open[1] = 0;
  const auto map = ReadFlexMap(open);
  ASSERT_TRUE(map.has_value()) << map.error().message;
  EXPECT_EQ(map->Int("k"), 5);
}

Op Custom(std::string_view name, std::initializer_list<int32_t> raw) {
  Op op;
  op.code = OpCode::kCustom;
  op.custom_name = name;
  for (const int32_t value : raw) {
    for (int i = 0; i < 4; ++i) {
      op.custom_options.push_back(
          static_cast<uint8_t>(static_cast<uint32_t>(value) >> 8 * i));
    }
  }
  return op;
}

TEST(CustomWindow, ChecksRawStructs) {
  const auto good = ReadCustomWindow(Custom(kMaxPoolTap, {1, 2, 3, 4, 5, 1}));
  ASSERT_TRUE(good.has_value());
  EXPECT_TRUE(good->same_padding);
  EXPECT_EQ(good->stride_h, 3);
  EXPECT_EQ(good->filter_w, 4);
  EXPECT_EQ(good->activation, 1);
  for (const auto& raw : {std::initializer_list<int32_t>{},
                          {1, 2},
                          {0, 1, 1, 1, 1, 0},
                          {3, 1, 1, 1, 1, 0},
                          {1, 0, 1, 1, 1, 0},
                          {1, 1, 1, -5, 1, 0},
                          {1, 1, 1, 1, 1, 4}}) {
    EXPECT_FALSE(ReadCustomWindow(Custom(kMaxPoolTap, raw)).has_value());
  }
  EXPECT_TRUE(ReadCustomWindow(Custom(kTransposeConvBias, {2, 2, 2})));
}

std::string Infer(Op op, std::vector<KnownTensor> inputs, size_t outputs) {
  const Graph graph = Graph::Empty();
  op.inputs.assign(inputs.size(), 0);
  op.outputs.assign(outputs, 0);
  std::vector<const KnownTensor*> pointers;
  for (const KnownTensor& input : inputs) pointers.push_back(&input);
  const auto result = InferOp(graph, op, pointers);
  if (!result) return result.error().message;
  std::string text;
  for (const KnownTensor& tensor : *result) {
    text += std::string(Name(tensor.type)) + ToString(tensor.shape);
  }
  return text;
}

TEST(CustomRules, FindOperatorsByName) {
  const auto f = [](Shape shape) {
    return KnownTensor{Type::kFloat32, std::move(shape), std::nullopt};
  };
  EXPECT_EQ(
      Infer(Custom(kMaxPoolTap, {1, 2, 2, 2, 2, 0}), {f({1, 5, 4, 3})}, 2),
      "float32[1,3,2,3]float32[1,3,2,3]");
  EXPECT_EQ(Infer(Custom(kTransposeConvBias, {1, 2, 2}),
                  {f({1, 4, 4, 3}), f({8, 3, 3, 3}), f({8})}, 1),
            "float32[1,8,8,8]");
  EXPECT_EQ(Infer(Custom(kMaxUnpool, {1, 2, 2, 2, 2, 0}),
                  {f({1, 3, 2, 3}), f({1, 3, 2, 3})}, 1),
            "float32[1,6,4,3]");
  EXPECT_EQ(Infer(Custom("nobody", {}), {f({1})}, 1),
            "custom operator 'nobody' has no shape rule");
  EXPECT_NE(Infer(Custom(kDetectionPostProcess, {1}),
                  {f({1, 2, 4}), f({1, 2, 3}), f({2, 4})}, 4)
                .find("FlexBuffer"),
            std::string::npos);
}

}  // namespace
}  // namespace lathe::graph

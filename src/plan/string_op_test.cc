#include "src/plan/string_op.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/shapes_runtime.h"
#include "src/kernels/strings/strings.h"

namespace lathe::plan {
namespace {

using graph::KnownTensor;
using graph::OpCode;
using graph::Shape;
using graph::Type;
using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;
using Blob = std::vector<std::byte>;

// An operand with its bytes.
struct Operand {
  KnownTensor facts;
  Blob bytes;
};

Operand Strings(Shape shape, const Texts& texts) {
  Operand operand{{Type::kString, std::move(shape), {}}, {}};
  EXPECT_TRUE(kernels::WriteStrings(
      texts.size(), [&](size_t i) { return texts[i]; }, operand.bytes));
  return operand;
}

Operand Ints(Shape shape, const std::vector<int32_t>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {{Type::kInt32, std::move(shape), {}},
          {bytes, bytes + values.size() * sizeof(int32_t)}};
}

Operand Truths(Shape shape, const std::vector<uint8_t>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return {{Type::kBool, std::move(shape), {}}, {bytes, bytes + values.size()}};
}

struct Outcome {
  Status status;
  std::vector<KnownTensor> facts;
  std::vector<Blob> bytes;

  Texts texts(size_t i = 0) const {
    const kernels::StringsView view(bytes[i].data());
    EXPECT_TRUE(
        kernels::CheckStrings(bytes[i], graph::ElementCount(facts[i].shape)));
    Texts all;
    for (size_t k = 0; k < view.size(); ++k) all.emplace_back(view[k]);
    return all;
  }
};

Outcome RunOn(OpCode code, const std::vector<Operand>& operands,
              std::vector<graph::Attribute> fields = {}, size_t outputs = 1) {
  const graph::Graph graph = graph::Graph::Empty();
  graph::Op op;
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
  Outcome outcome;
  auto facts = graph::InferOpWithValues(graph, op, inputs, bytes);
  if (!facts) {
    outcome.status = std::unexpected(facts.error());
    return outcome;
  }
  outcome.facts = *facts;
  outcome.bytes.resize(outputs, Blob(5));
  outcome.status = RunStringOp(op, inputs, bytes, outcome.facts, outcome.bytes);
  EXPECT_TRUE(outcome.status) << outcome.status.error().message;
  return outcome;
}

const Texts kSix = {"a", "", "ccc", "dd", "eee", "f"};

TEST(StringOp, ReshapesAndNamesSizes) {
  const Operand x = Strings({2, 3}, kSix);
  const Outcome flat = RunOn(OpCode::kReshape, {x, Ints({1}, {-1})});
  EXPECT_EQ(flat.facts[0].shape, (Shape{6}));
  EXPECT_EQ(flat.texts(), kSix);
  const Outcome sizes = RunOn(OpCode::kShape, {x});
  EXPECT_EQ(sizes.bytes[0], Ints({2}, {2, 3}).bytes);
}

TEST(StringOp, TakesParts) {
  const Operand x = Strings({2, 3}, kSix);
  EXPECT_THAT(
      RunOn(OpCode::kSlice, {x, Ints({2}, {0, 1}), Ints({2}, {2, -1})}).texts(),
      ElementsAre("", "ccc", "eee", "f"));
  EXPECT_THAT(
      RunOn(OpCode::kStridedSlice,
            {x, Ints({2}, {1, -1}), Ints({2}, {2, -4}), Ints({2}, {1, -2})},
            {{"shrink_axis_mask", int64_t{1}}})
          .texts(),
      ElementsAre("f", "dd"));
  const Outcome split = RunOn(OpCode::kSplit, {Ints({}, {1}), x},
                              {{"num_splits", int64_t{3}}}, 3);
  EXPECT_THAT(split.texts(0), ElementsAre("a", "dd"));
  EXPECT_THAT(split.texts(2), ElementsAre("ccc", "f"));
  const Outcome rows = RunOn(OpCode::kUnpack, {x}, {{"num", int64_t{2}}}, 2);
  EXPECT_THAT(rows.texts(1), ElementsAre("dd", "eee", "f"));
}

TEST(StringOp, ReordersAndRepeats) {
  const Operand x = Strings({2, 3}, kSix);
  EXPECT_THAT(RunOn(OpCode::kTranspose, {x, Ints({2}, {1, 0})}).texts(),
              ElementsAre("a", "dd", "", "eee", "ccc", "f"));
  EXPECT_THAT(RunOn(OpCode::kReverseV2, {x, Ints({1}, {-1})}).texts(),
              ElementsAre("ccc", "", "a", "f", "eee", "dd"));
  const Operand two = Strings({2, 1}, {"x", "y"});
  EXPECT_THAT(RunOn(OpCode::kTile, {two, Ints({2}, {2, 2})}).texts(),
              ElementsAre("x", "x", "y", "y", "x", "x", "y", "y"));
  EXPECT_THAT(RunOn(OpCode::kBroadcastTo, {two, Ints({3}, {2, 2, 2})}).texts(),
              ElementsAre("x", "x", "y", "y", "x", "x", "y", "y"));
  EXPECT_THAT(
      RunOn(OpCode::kFill, {Ints({2}, {1, 3}), Strings({}, {"so"})}).texts(),
      ElementsAre("so", "so", "so"));
}

TEST(StringOp, Joins) {
  const Operand a = Strings({2}, {"a", "b"}), b = Strings({2}, {"c", "d"});
  EXPECT_THAT(RunOn(OpCode::kPack, {a, b},
                    {{"values_count", int64_t{2}}, {"axis", int64_t{1}}})
                  .texts(),
              ElementsAre("a", "c", "b", "d"));
  EXPECT_THAT(RunOn(OpCode::kConcatenation, {a, b, a}).texts(),
              ElementsAre("a", "b", "c", "d", "a", "b"));
}

TEST(StringOp, Gathers) {
  const Operand x = Strings({2, 3}, kSix);
  EXPECT_THAT(
      RunOn(OpCode::kGather, {x, Ints({2}, {2, 0})}, {{"axis", int64_t{1}}})
          .texts(),
      ElementsAre("ccc", "a", "f", "dd"));
  EXPECT_THAT(RunOn(OpCode::kGather, {x, Ints({2, 2}, {2, 0, 1, 1})},
                    {{"axis", int64_t{1}}, {"batch_dims", int64_t{1}}})
                  .texts(),
              ElementsAre("ccc", "a", "eee", "eee"));
  EXPECT_THAT(RunOn(OpCode::kGatherNd, {x, Ints({2, 2}, {1, 1, 0, 2})}).texts(),
              ElementsAre("eee", "ccc"));
}

TEST(StringOp, SelectsAndCompares) {
  const Operand x = Strings({2, 3}, kSix), no = Strings({}, {"dd"});
  EXPECT_THAT(RunOn(OpCode::kSelectV2, {Truths({2, 1}, {0, 1}), x, no}).texts(),
              ElementsAre("dd", "dd", "dd", "dd", "eee", "f"));
  EXPECT_EQ(RunOn(OpCode::kEqual, {x, no}).bytes[0],
            Truths({6}, {0, 0, 0, 1, 0, 0}).bytes);
  EXPECT_EQ(RunOn(OpCode::kNotEqual, {x, no}).bytes[0],
            Truths({6}, {1, 1, 1, 0, 1, 1}).bytes);
}

TEST(StringOp, RefusesBytesThatAreNoTextsAndIndicesOutOfRange) {
  graph::Op op;
  op.code = OpCode::kGather;
  const Operand x = Strings({3}, {"a", "b", "c"}), at = Ints({1}, {3});
  const KnownTensor* inputs[] = {&x.facts, &at.facts};
  const KnownTensor y{Type::kString, {1}, {}};
  Blob out;
  const auto run = [&](std::span<const std::byte> table) {
    const std::span<const std::byte> bytes[] = {table, at.bytes};
    return RunStringOp(op, inputs, bytes, {&y, 1}, {&out, 1}).error().message;
  };
  EXPECT_THAT(run(x.bytes), HasSubstr("index 0 is 3, allowed 0 to 2"));
  EXPECT_THAT(run({}), HasSubstr("input 0: 0 bytes are no list of 3 texts"));
}

}  // namespace
}  // namespace lathe::plan

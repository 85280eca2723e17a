#include "lathe/validate.hpp"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lathe/calibrate.hpp"
#include "lathe/quantize.hpp"
#include "src/api/test_support.h"
#include "src/graph/builder.h"

namespace lathe {
namespace {

using testing::HasSubstr;

// FillAll of another seed for each sample.
Samples Random(uint64_t count) {
  return {.signature = "", .count = count, .fill = [](Session& s, uint64_t i) {
            FillAll(s, static_cast<uint32_t>(i + 1));
            return Status();
          }};
}

void WriteText(const std::string& path, std::string_view text) {
  const auto graph = graph::FromText(text);
  ASSERT_TRUE(graph) << graph.error().message;
  const Status written = format::WriteTflite(*graph, path);
  ASSERT_TRUE(written) << written.error().message;
}

// x -> FULLY_CONNECTED h -> TANH a -> FULLY_CONNECTED y.
void WriteNet(const std::string& path) {
  std::mt19937 rng(3);
  const auto floats = [&](size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(rng()) / 2147483648.0f - 1;
    return values;
  };
  graph::Graph graph = graph::Graph::Empty();
  graph::Builder b(graph, "main");
  const auto x = b.Input("x", graph::Type::kFloat32, {4, 8}, {});
  const auto w = b.Floats("w", {6, 8}, floats(48));
  const auto w_bias = b.Floats("wb", {6}, floats(6));
  const auto v = b.Floats("v", {3, 6}, floats(18));
  const auto v_bias = b.Floats("vb", {3}, floats(3));
  const auto h = b.Op(graph::OpCode::kFullyConnected, {x, w, w_bias}, {}, "h");
  const auto a = b.Op(graph::OpCode::kTanh, {h}, {}, "a");
  const auto y = b.Op(graph::OpCode::kFullyConnected, {a, v, v_bias}, {}, "y");
  const std::pair<std::string, graph::TensorId> inputs[] = {{"x", x}};
  const std::pair<std::string, graph::TensorId> outputs[] = {{"y", y}};
  ASSERT_TRUE(b.Finish("serving", inputs, outputs));
  const Status written = format::WriteTflite(graph, path);
  ASSERT_TRUE(written) << written.error().message;
}

TEST(Validate, AStaticModelOfOurOwnStatisticsIsNearTheFloatOne) {
  const TempFolder folder;
  const std::string in = folder / "m.tflite", out = folder / "q.tflite";
  WriteNet(in);
  const std::vector<Samples> data = {Random(8)};
  const auto calibrated = Calibrate(in, data, folder / "s.json", {});
  ASSERT_TRUE(calibrated) << calibrated.error().message;
  QuantizeOptions quantize;
  quantize.recipe = "static_wi8_ai8";
  quantize.stats = folder / "s.json";
  const auto made = Quantize(in, out, quantize);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->ops_quantized, 3u);

  std::vector<std::string> shown;
  ValidateOptions options;
  options.on_output = [&](const TensorInfo& output, std::span<const float> r,
                          std::span<const float> t) -> Status {
    shown.push_back(output.name);
    EXPECT_EQ(r.size(), 12u);
    EXPECT_EQ(t.size(), 12u);
    return {};
  };
  const auto report = Validate(in, out, data, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->samples, 8u);
  EXPECT_EQ(shown, std::vector<std::string>(8, "y"));
  ASSERT_EQ(report->outputs.size(), 1u);
  const TensorAccuracy& y = report->outputs[0];
  EXPECT_EQ(y.type, ElementType::kInt8);
  EXPECT_EQ(y.comparisons, 8u);
  EXPECT_EQ(y.op_type, "FULLY_CONNECTED");
  EXPECT_GT(y.mean.snr_db, 25);
  EXPECT_LT(y.mean.snr_db, 200);
  EXPECT_LE(y.worst.snr_db, y.mean.snr_db);
  std::vector<std::string> names;
  for (const TensorAccuracy& t : report->tensors) names.push_back(t.name);
  EXPECT_EQ(names, (std::vector<std::string>{"x", "h", "a"}));
  EXPECT_EQ(report->unmatched, 0u);
  EXPECT_GT(report->kept_bytes, 0u);
  EXPECT_LT(report->quantized_bytes, report->reference_bytes + 4096);

  options.outputs_only = true;
  const auto fewer = Validate(in, out, data, options);
  ASSERT_TRUE(fewer) << fewer.error().message;
  EXPECT_TRUE(fewer->tensors.empty());
  EXPECT_EQ(fewer->outputs[0].mean.mse, y.mean.mse);
}

TEST(Validate, ComparesTheWeightsToo) {
  const TempFolder folder;
  const std::string in = folder / "m.tflite", out = folder / "q.tflite";
  graph::Graph graph = graph::Graph::Empty();
  graph::Builder b(graph, "main");
  const auto x = b.Input("x", graph::Type::kFloat32, {1, 64}, {});
  std::vector<float> weights(4 * 64);
  std::mt19937 rng(3);
  for (float& v : weights) v = static_cast<float>(rng()) / 2147483648.0f - 1;
  const auto w = b.Floats("w", {4, 64}, weights);
  const std::vector<float> zeros(4);
  const auto bias = b.Floats("b", {4}, zeros);
  const auto y = b.Op(graph::OpCode::kFullyConnected, {x, w, bias}, {}, "y");
  const std::pair<std::string, graph::TensorId> inputs[] = {{"x", x}};
  const std::pair<std::string, graph::TensorId> outputs[] = {{"y", y}};
  ASSERT_TRUE(b.Finish("serving", inputs, outputs));
  ASSERT_TRUE(format::WriteTflite(graph, in));
  const std::vector<Samples> data = {Random(1)};
  const struct {
    const char* recipe;
    ElementType type;
    double least_db, most_db;
  } recipes[] = {
      {"dynamic_wi8_afp32", ElementType::kInt8, 44, 52},
      {"dynamic_wi4_afp32", ElementType::kInt4, 19, 26},
      {"dynamic_wi4b32_afp32", ElementType::kInt4, 19, 27},
      {"dynamic_wi2b32_afp32", ElementType::kInt2, 2, 12},
      {"weight_only_wi8_afp32", ElementType::kInt8, 44, 52},
      {"examples/recipes/fp16.json", ElementType::kFloat16, 70, 85},
  };
  for (const auto& [recipe, type, least, most] : recipes) {
    SCOPED_TRACE(recipe);
    QuantizeOptions options;
    options.recipe = recipe;
    const auto made = Quantize(in, out, options);
    ASSERT_TRUE(made) << made.error().message;
    const auto report = Validate(in, out, data, {});
    ASSERT_TRUE(report) << report.error().message;
    // The bias is stored as it was.
    ASSERT_EQ(report->constants.size(), 1u);
    const TensorAccuracy& row = report->constants[0];
    EXPECT_EQ(row.problem, "");
    EXPECT_EQ(row.name, "w");
    EXPECT_EQ(row.role, TensorAccuracy::Role::kConstant);
    EXPECT_EQ(row.type, type);
    EXPECT_EQ(row.op_type, "FULLY_CONNECTED");
    EXPECT_EQ(row.elements, 256u);
    EXPECT_EQ(row.comparisons, 1u);
    EXPECT_GT(row.mean.snr_db, least);
    EXPECT_LT(row.mean.snr_db, most);
  }
  ValidateOptions fewer;
  fewer.outputs_only = true;
  EXPECT_TRUE(Validate(in, out, data, fewer)->constants.empty());
}

// Reference A20.
TEST(Validate, AStaticModelWithALoopAndATensorOfNobodyIsNearTheFloatOne) {
  const TempFolder folder;
  const std::string in = folder / "m.tflite", out = folder / "q.tflite";
  auto graph = graph::FromText(R"(graph main
input  x: float32[1]
const  two: float32[1] = 2
y: float32[1] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
z: float32[1] = ADD(y, two)
output z
graph cond
input  c: float32[1]
const  limit: float32[1] = 8
more: bool[1] = LESS(c, limit)
output more
graph body
input  b: float32[1]
const  three: float32[1] = 3
next: float32[1] = ADD(b, three)
output next
)");
  ASSERT_TRUE(graph) << graph.error().message;
  graph->subgraphs[0].tensors.push_back(
      {.name = "nobody", .type = graph::Type::kFloat32, .shape = {7}});
  const Status written = format::WriteTflite(*graph, in);
  ASSERT_TRUE(written) << written.error().message;
  const std::vector<Samples> data = {Random(4)};
  const auto calibrated = Calibrate(in, data, folder / "s.json", {});
  ASSERT_TRUE(calibrated) << calibrated.error().message;
  QuantizeOptions quantize;
  quantize.recipe = "static_wi8_ai8";
  quantize.stats = folder / "s.json";
  const auto made = Quantize(in, out, quantize);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GT(made->ops_quantized, 0u);
  const auto report = Validate(in, out, data, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->outputs[0].mean.snr_db, 30);
}

TEST(ValidateThreads, AModelAgainstItselfDiffersNowhereRoundByRound) {
  const TempFolder folder;
  const std::string in = folder / "m.tflite";
  WriteText(in, R"(graph main
input  x: float32[1]
y: float32[1] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
z: float32[1] = NEG(y)
output z
graph cond
input  c: float32[1]
const  limit: float32[1] = 8
more: bool[1] = LESS(c, limit)
output more
graph body
input  b: float32[1]
const  three: float32[1] = 3
more: float32[1] = ADD(b, three)
output more
)");
  const std::vector<Samples> data = {Random(2)};
  const auto report = Validate(in, in, data, {});
  ASSERT_TRUE(report) << report.error().message;
  bool seen = false;
  for (const TensorAccuracy& t : report->tensors) {
    EXPECT_EQ(t.mean.max_abs_diff, 0) << t.name;
    EXPECT_EQ(t.mean.snr_db, 200) << t.name;
    if (t.subgraph != 2 || t.op < 0) continue;
    seen = true;
    EXPECT_GE(t.comparisons, 5u);
    EXPECT_EQ(t.node, "more");
  }
  EXPECT_TRUE(seen);
  EXPECT_EQ(report->graphs, (std::vector<std::string>{"main", "cond", "body"}));
}

TEST(Validate, SaysWhatItCannotCompare) {
  const TempFolder folder;
  const std::string in = folder / "m.tflite", other = folder / "o.tflite";
  WriteNet(in);
  WriteText(other, R"(graph main
input  x: float32[4,8]
y: float32[4,8] = NEG(x)
output y
)");
  const std::vector<Samples> data = {Random(1)};
  const auto report = Validate(in, other, data, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->outputs[0].problem, HasSubstr("12 values against 32"));
  EXPECT_EQ(report->unmatched, 2u);  // h, a

  const auto empty = Validate(in, in, {}, {});
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalidInput);

  WriteText(other, R"(graph main
input  x: float32[4,8]
input  z: float32[4,8]
y: float32[4,8] = ADD(x, z)
output y
)");
  const auto inputs = Validate(in, other, data, {});
  ASSERT_FALSE(inputs);
  EXPECT_THAT(inputs.error().message, HasSubstr("1 inputs"));
}

}  // namespace
}  // namespace lathe

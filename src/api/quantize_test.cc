#include "lathe/quantize.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lathe/lathe.hpp"
#include "src/api/test_support.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/builder.h"

namespace lathe {
namespace {

using graph::OpCode;
using graph::TensorId;
using testing::HasSubstr;

std::vector<float> Random(size_t count, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<float> values(count);
  for (float& x : values) x = static_cast<float>(rng()) / 2147483648.0f - 1;
  return values;
}

// A file with one FULLY_CONNECTED of `width` inputs. `weights`: another file
// in its folder, which holds them from byte 2 on.
void WriteModel(const std::string& path, int32_t width,
                const std::string& weights = {}) {
  graph::Graph graph = graph::Graph::Empty();
  graph::Builder b(graph, "main");
  const TensorId x =
      b.Input("x", graph::Type::kFloat32, {2, width}, {-1, width});
  const TensorId w =
      b.Floats("w", {8, width}, Random(static_cast<size_t>(8 * width), 3));
  const TensorId bias = b.Floats("b", {8}, Random(8, 4));
  const TensorId y = b.Op(OpCode::kFullyConnected, {x, w, bias}, {}, "y");
  const std::pair<std::string, TensorId> inputs[] = {{"x", x}};
  const std::pair<std::string, TensorId> outputs[] = {{"y", y}};
  ASSERT_TRUE(b.Finish("serving", inputs, outputs));
  if (!weights.empty()) {
    graph::Tensor& tensor = graph.subgraphs[0].tensors[w];
    const std::span<const std::byte> bytes = graph.BufferOf(tensor).bytes;
    std::ofstream(std::filesystem::path(path).parent_path() / weights,
                  std::ios::binary)
        .write("..", 2)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    graph.external_buffer_groups = {weights};
    graph.external_buffers = {{1, 0, 2, bytes.size(), ""}};
    tensor.external_buffer = 1;
    tensor.buffer = 0;
  }
  const Status written = format::WriteTflite(graph, path);
  ASSERT_TRUE(written) << written.error().message;
}

std::vector<float> RunModel(const std::string& path, int32_t width) {
  const auto model = Model::Open(path);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto session = Session::Create(*model);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  Fill(*session, "x", Random(static_cast<size_t>(2 * width), 5));
  const Status ran = session->Run();
  EXPECT_TRUE(ran) << ran.error().message;
  return Read(*session, "y");
}

TEST(Quantize, EveryKindOfRotationRunsHere) {
  const TempFolder folder;
  // No rotation, one factor, two, three.
  for (const int32_t width : {3, 12, 64, 96, 128, 1024, 8192}) {
    SCOPED_TRACE(width);
    const std::string in = folder / "in.tflite", out = folder / "out.tflite";
    WriteModel(in, width);
    QuantizeOptions options;
    options.recipe = "dynamic_wi8c_hr_afp32";
    const auto report = Quantize(in, out, options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->ops_quantized, 1u);
    const std::vector<float> expected = RunModel(in, width);
    const std::vector<float> found = RunModel(out, width);
    ASSERT_EQ(expected.size(), found.size());
    double error = 0, size = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(expected[i] - found[i], 2);
      size += std::pow(expected[i], 2);
    }
    // 8 bits and dynamic activations: 0.7 % is usual.
    EXPECT_LT(std::sqrt(error / size), 0.02);
  }
}

TEST(Quantize, OfWeightsInAnotherFileGivesTheSameModel) {
  const TempFolder folder;
  WriteModel(folder / "whole.tflite", 4096);
  WriteModel(folder / "parts.tflite", 4096, "weights.bin");
  EXPECT_EQ(RunModel(folder / "whole.tflite", 4096),
            RunModel(folder / "parts.tflite", 4096));
  QuantizeOptions options;
  options.recipe = "dynamic_wi8_afp32";
  for (const std::string name : {"whole", "parts"}) {
    const auto report = Quantize(folder / (name + ".tflite"),
                                 folder / (name + "8.tflite"), options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GT(report->input_bytes, 4096u * 8 * 4);
  }
  EXPECT_EQ(RunModel(folder / "whole8.tflite", 4096),
            RunModel(folder / "parts8.tflite", 4096));
}

TEST(ExternalBuffers, CountInTheHashOfTheModel) {
  const TempFolder folder;
  WriteModel(folder / "model.tflite", 64, "weights.bin");
  const uint64_t before = *Model::Open(folder / "model.tflite")->ContentHash();
  EXPECT_EQ(*Model::Open(folder / "model.tflite")->ContentHash(), before);
  std::fstream(folder / "weights.bin",
               std::ios::binary | std::ios::in | std::ios::out)
      .put('!');
  EXPECT_NE(*Model::Open(folder / "model.tflite")->ContentHash(), before);
}

TEST(Quantize, ATableInBlocksRunsHere) {
  const TempFolder folder;
  const std::string in = folder / "in.tflite", out = folder / "out.tflite";
  graph::Graph graph = graph::Graph::Empty();
  graph::Builder b(graph, "main");
  const TensorId ids = b.Input("x", graph::Type::kInt32, {3});
  std::vector<float> table = Random(5 * 64, 3);
  for (size_t i = 0; i < 32; ++i) table[64 + i] *= 100;  // A block of its own.
  const TensorId w = b.Floats("w", {5, 64}, table);
  const TensorId y = b.Op(OpCode::kEmbeddingLookup, {ids, w}, {}, "y");
  const std::pair<std::string, TensorId> inputs[] = {{"x", ids}};
  const std::pair<std::string, TensorId> outputs[] = {{"y", y}};
  ASSERT_TRUE(b.Finish("serving", inputs, outputs));
  ASSERT_TRUE(format::WriteTflite(graph, in));
  QuantizeOptions options;
  options.recipe = "dynamic_wi4b32_afp32";
  const auto report = Quantize(in, out, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->ops_quantized, 1u);
  const auto model = Model::Open(out);
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<int32_t> rows = {4, 1, 1};
  Fill(*session, "x", rows);
  ASSERT_TRUE(session->Run());
  const std::vector<float> found = Read(*session, "y");
  ASSERT_EQ(found.size(), 3 * 64u);
  for (size_t i = 0; i < found.size(); ++i) {
    const size_t from = static_cast<size_t>(rows[i / 64]) * 64 + i % 64;
    const float largest = from / 32 == 2 ? 100.0f : 1.0f;
    // Half a step, and 1 % for the scale's own rounding.
    EXPECT_NEAR(found[i], table[from], largest * (1 / 14.0f + 0.01f));
  }
}

TEST(Quantize, WithoutATargetItOnlyPredicts) {
  const TempFolder folder;
  const std::string in = folder / "in.tflite", out = folder / "out.tflite";
  WriteModel(in, 512);
  QuantizeOptions options;
  options.recipe = "dynamic_wi8_afp32";
  const auto predicted = Quantize(in, "", options);
  ASSERT_TRUE(predicted) << predicted.error().message;
  const auto written = Quantize(in, out, options);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->output_bytes, std::filesystem::file_size(out));
  EXPECT_NEAR(static_cast<double>(predicted->output_bytes),
              static_cast<double>(written->output_bytes), 512);
  ASSERT_EQ(written->ops.size(), 1u);
  EXPECT_EQ(written->ops[0].type, "FULLY_CONNECTED");
  EXPECT_THAT(written->ops[0].rule, HasSubstr("rule 0"));
}

TEST(Quantize, AFailureLeavesTheOldFile) {
  const TempFolder folder;
  const std::string in = folder / "in.tflite", out = folder / "out.tflite";
  WriteModel(in, 48);  // Not a multiple of 32.
  std::ofstream(out) << "old";
  QuantizeOptions options;
  options.recipe = "dynamic_wi4b32_afp32";
  const auto report = Quantize(in, out, options);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("tensor \"w\""));
  EXPECT_EQ(std::filesystem::file_size(out), 3u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()),
                          std::filesystem::directory_iterator()),
            2);
}

}  // namespace
}  // namespace lathe

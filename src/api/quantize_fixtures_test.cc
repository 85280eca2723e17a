// What AI Edge Quantizer made of real models and recipes, against what we make
// in its mode. The fixtures lie beside the project; without them this skips.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "lathe/quantize.hpp"
#include "nlohmann/json.hpp"
#include "src/api/test_support.h"
#include "src/format/tflite/tflite.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kRoot = "../shared/fixtures/quant";

// Searched scales are sums in another order than NumPy's.
constexpr float kScaleTolerance = 1e-6f;

bool SameScales(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) {
    return x == y || std::fabs(x - y) <= kScaleTolerance * std::fabs(x);
  });
}

bool SameZeroPoints(const std::vector<int64_t>& a,
                    const std::vector<int64_t>& b) {
  const auto zeros = [](const std::vector<int64_t>& v) {
    return std::ranges::all_of(v, [](int64_t z) { return z == 0; });
  };
  return a == b || (zeros(a) && zeros(b));
}

void ExpectSameTensor(const graph::Graph& a, const graph::Tensor& x,
                      const graph::Graph& b, const graph::Tensor& y) {
  EXPECT_EQ(x.name, y.name);
  SCOPED_TRACE(x.name);
  EXPECT_EQ(Name(x.type), Name(y.type));
  EXPECT_EQ(x.shape, y.shape);
  const auto& s = x.shape_signature;
  const auto& t = y.shape_signature;
  EXPECT_EQ(s.empty() ? x.shape : s, t.empty() ? y.shape : t);
  const graph::Quantization none;
  const auto& q = x.quantization ? *x.quantization : none;
  const auto& r = y.quantization ? *y.quantization : none;
  EXPECT_TRUE(SameScales(q.scale, r.scale));
  EXPECT_TRUE(SameZeroPoints(q.zero_point, r.zero_point));
  if (q.scale.size() > 1) {
    EXPECT_EQ(q.axis, r.axis);
  }
  EXPECT_EQ(q.block_size, r.block_size);
  if (q.block_size > 0) {
    EXPECT_EQ(q.scales_tensor, r.scales_tensor);
  }
  EXPECT_TRUE(std::ranges::equal(a.BufferOf(x).bytes, b.BufferOf(y).bytes));
}

void ExpectSameOp(const graph::Op& x, const graph::Op& y) {
  EXPECT_EQ(Name(x.code), Name(y.code));
  EXPECT_EQ(x.version, y.version);
  EXPECT_EQ(x.inputs, y.inputs);
  EXPECT_EQ(x.outputs, y.outputs);
  EXPECT_EQ(x.custom_options, y.custom_options);
}

void ExpectSameGraph(const graph::Graph& a, const graph::Graph& b) {
  ASSERT_EQ(a.subgraphs.size(), b.subgraphs.size());
  for (size_t s = 0; s < a.subgraphs.size(); ++s) {
    const graph::Subgraph& x = a.subgraphs[s];
    const graph::Subgraph& y = b.subgraphs[s];
    EXPECT_EQ(x.inputs, y.inputs);
    EXPECT_EQ(x.outputs, y.outputs);
    ASSERT_EQ(x.tensors.size(), y.tensors.size());
    for (size_t t = 0; t < x.tensors.size(); ++t) {
      ExpectSameTensor(a, x.tensors[t], b, y.tensors[t]);
    }
    ASSERT_EQ(x.ops.size(), y.ops.size());
    for (size_t i = 0; i < x.ops.size(); ++i) {
      SCOPED_TRACE(i);
      ExpectSameOp(x.ops[i], y.ops[i]);
    }
  }
  EXPECT_EQ(a.signatures, b.signatures);
}

TEST(QuantizeFixtures, AreMadeAsTheOlderToolMadeThem) {
  if (!fs::exists(kRoot)) GTEST_SKIP() << kRoot << " is not here";
  const TempFolder folder;
  const std::string out = folder / "out.tflite";
  const Threads threads(1);
  std::ifstream in(kRoot / "manifest.json");
  const Json manifest = Json::parse(in);
  size_t compared = 0;
  for (const Json& one : manifest["cases"]) {
    if (one.contains("suspect") && !one["suspect"].empty()) continue;
    const auto id = one["id"].get<std::string>();
    SCOPED_TRACE(id);
    QuantizeOptions options;
    options.recipe = kRoot / one["recipe"].get<std::string>();
    options.compat = true;
    options.threads = &threads;
    const fs::path stats = kRoot / "cases" / id / "stats.json";
    if (fs::exists(stats)) options.stats = stats;
    const auto report =
        Quantize(kRoot / one["float"].get<std::string>(), out, options);
    ++compared;
    if (one.contains("expected_error")) {
      EXPECT_FALSE(report);
      continue;
    }
    ASSERT_TRUE(report) << report.error().message;
    const auto made = format::OpenTflite(out);
    const auto expected =
        format::OpenTflite(kRoot / one["expected"].get<std::string>());
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_TRUE(expected) << expected.error().message;
    ExpectSameGraph(*expected, *made);
  }
  EXPECT_GT(compared, 0u);
}

// Reference A22: the older tool reads ADD for every operator of such files.
TEST(QuantizeFixtures, FilesOfOldOperatorCodesAreQuantized) {
  if (!fs::exists(kRoot)) GTEST_SKIP() << kRoot << " is not here";
  for (const char* name : {"conv-dilation", "fullyconnected-relu6"}) {
    QuantizeOptions options;
    options.recipe = "dynamic_wi8_afp32";
    const auto report = Quantize(
        kRoot / "models" / (std::string("oldcodes_") + name + ".tflite"), "",
        options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->ops_quantized, 1u) << name;
  }
}

TEST(QuantizeFixtures, BadRecipesAreRefusedInBothModes) {
  if (!fs::exists(kRoot)) GTEST_SKIP() << kRoot << " is not here";
  size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "cases")) {
    const std::string id = entry.path().filename();
    const size_t dot = id.find(".err_");
    if (dot == std::string::npos) continue;
    ++seen;
    for (const bool compat : {false, true}) {
      SCOPED_TRACE(id);
      QuantizeOptions options;
      options.recipe = entry.path() / "recipe.json";
      options.compat = compat;
      const auto report = Quantize(
          kRoot / "models" / (id.substr(0, dot) + ".tflite"), "", options);
      ASSERT_FALSE(report);
      EXPECT_EQ(report.error().code, ErrorCode::kInvalidInput);
    }
  }
  EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace lathe

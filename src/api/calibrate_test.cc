#include "lathe/calibrate.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lathe/quantize.hpp"
#include "nlohmann/json.hpp"
#include "src/api/test_support.h"
#include "src/quant/statistics.h"

namespace lathe {
namespace {

using testing::HasSubstr;

// Samples whose only float input "x" takes these values.
Samples Of(std::vector<std::vector<float>> values, std::string signature = "") {
  return {.signature = std::move(signature),
          .count = values.size(),
          .fill = [values](Session& session, uint64_t sample) {
            return session.SetInput("x",
                                    std::as_bytes(std::span(values[sample])));
          }};
}

void WriteText(const std::string& path, std::string_view text) {
  const auto graph = graph::FromText(text);
  ASSERT_TRUE(graph) << graph.error().message;
  const Status written = format::WriteTflite(*graph, path);
  ASSERT_TRUE(written) << written.error().message;
}

constexpr std::string_view kNegate = R"(graph main
input  x: float32[2]
y: float32[2] = NEG(x)
output y
)";

TEST(Calibrate, WritesTheRangeOfEveryTensorThatQuantizeReads) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", kNegate);
  const std::vector<Samples> data = {Of({{1, -2}, {8, 3}})};
  const auto report =
      Calibrate(folder / "m.tflite", data, folder / "s.json", {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->samples, 2u);
  ASSERT_EQ(report->tensors.size(), 2u);
  const auto statistics = quant::ReadStatistics(folder / "s.json");
  ASSERT_TRUE(statistics) << statistics.error().message;
  const auto* y = statistics->Find("y");
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->min, (std::vector<double>{-8}));
  EXPECT_EQ(y->max, (std::vector<double>{2}));
  EXPECT_EQ(y->rank, 1);
}

TEST(Calibrate, MovingAverageIsTheOlderTools) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", kNegate);
  CalibrateOptions options;
  options.method = CalibrationMethod::kMovingAverage;
  const std::vector<Samples> data = {Of({{0, 1}, {0, 3}})};
  const auto report = Calibrate(folder / "m.tflite", data, "", options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FLOAT_EQ(report->tensors[0].high, 0.95f + 0.05f * 3);
}

TEST(Calibrate, EntersTheBodiesOfLoopsAndTheBranchesTaken) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", R"(graph main
input  x: float32[1]
y: float32[1] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
const  limit: float32[1] = 100
big: bool[1] = GREATER(y, limit)
z: float32[1] = IF(big, y) {then_subgraph_index=3 else_subgraph_index=4}
output z
graph cond
input  c: float32[1]
const  limit: float32[1] = 8
more: bool[1] = LESS(c, limit)
output more
graph body
input  b: float32[1]
twice: float32[1] = ADD(b, b)
output twice
graph then
input  p: float32[1]
never: float32[1] = NEG(p)
output never
graph else
input  q: float32[1]
taken: float32[1] = NEG(q)
output taken
)");
  const std::vector<Samples> data = {Of({{3}, {5}})};
  const auto report =
      Calibrate(folder / "m.tflite", data, folder / "s.json", {});
  ASSERT_TRUE(report) << report.error().message;
  std::map<std::string, TensorRange> by_name;
  for (const TensorRange& t : report->tensors) by_name[t.name] = t;
  EXPECT_EQ(by_name["twice"].low, 6);
  EXPECT_EQ(by_name["twice"].high, 12);
  EXPECT_EQ(by_name["twice"].values_seen, 3u);  // 6, 12; 10.
  EXPECT_EQ(by_name["taken"].low, -12);
  EXPECT_FALSE(by_name.contains("never"));
  EXPECT_EQ(report->not_reached, (std::vector<std::string>{"then"}));
}

// Reference A14: samples from a generator were counted and then gone.
TEST(Calibrate, AsksForEverySampleOnce) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", kNegate);
  std::vector<uint64_t> asked;
  Samples samples = Of({{1, 2}, {3, 4}, {5, 6}});
  samples.fill = [&, fill = samples.fill](Session& session, uint64_t i) {
    asked.push_back(i);
    return fill(session, i);
  };
  const std::vector<Samples> data = {samples};
  const auto report = Calibrate(folder / "m.tflite", data, "", {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->samples, 3u);
  EXPECT_EQ(asked, (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(report->tensors[0].high, 6);
}

// Reference A14.
TEST(Calibrate, RefusesNoSamples) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", kNegate);
  for (const std::vector<Samples>& data :
       {std::vector<Samples>(), std::vector<Samples>{Of({})}}) {
    const auto report =
        Calibrate(folder / "m.tflite", data, folder / "s.json", {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kInvalidInput);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "s.json"));
}

TEST(Calibrate, NamesTheFirstTensorThatIsNotFinite) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", R"(graph main
input  x: float32[2]
bad: float32[2] = LOG(x)
worse: float32[2] = NEG(bad)
output worse
)");
  const std::vector<Samples> data = {Of({{-1, -2}})};
  const auto report =
      Calibrate(folder / "m.tflite", data, folder / "s.json", {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(report.error().message, HasSubstr("\"bad\""));
  EXPECT_FALSE(std::filesystem::exists(folder / "s.json"));
}

TEST(Calibrate, StopsWhenToldSoAndLeavesNoFile) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", kNegate);
  const std::atomic<bool> stop = true;
  CalibrateOptions options;
  options.stop = &stop;
  const std::vector<Samples> data = {Of({{1, 2}})};
  const auto report =
      Calibrate(folder / "m.tflite", data, folder / "s.json", options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kInterrupted);
  EXPECT_FALSE(std::filesystem::exists(folder / "s.json"));
}

TEST(Calibrate, MeasuresWhatOscarAndGptqNeed) {
  const TempFolder folder;
  WriteText(folder / "m.tflite", R"(graph main
input  x: float32[2,2]
const  w: float32[3,2] = 1 2 3 4 5 6
y: float32[2,3] = FULLY_CONNECTED(x, w, -)
output y
)");
  CalibrateOptions options;
  options.moments = options.hessians = true;
  const std::vector<Samples> data = {Of({{1, 2, 3, 4}})};
  const auto report =
      Calibrate(folder / "m.tflite", data, folder / "s.json", options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->moments, 1u);
  EXPECT_EQ(report->hessians, 1u);
  const auto statistics = quant::ReadStatistics(folder / "s.json");
  ASSERT_TRUE(statistics) << statistics.error().message;
  EXPECT_EQ(statistics->Find("x")->mu2, (std::vector<double>{5, 10}));
  // 2 / 2 of X^T X.
  EXPECT_EQ(statistics->Find("x")->hessian,
            (std::vector<float>{10, 14, 14, 20}));
  EXPECT_FALSE(statistics->Find("y")->has_hessian());

  options.hessian_limit_bytes = 15;
  const auto beyond = Calibrate(folder / "m.tflite", data, "", options);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, HasSubstr("16 bytes"));
}

// What the older tool measured on the same samples, where the fixtures are.
TEST(CalibrateFixtures, GiveTheOlderToolsStatistics) {
  namespace fs = std::filesystem;
  const fs::path root = "../shared/fixtures/quant";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not here";
  // One float input each, so that reading is short; 6 stacked samples.
  const struct {
    const char *model, *recipe, *input;
  } cases[] = {{"fc_single", "s8", "args_0"}, {"conv_net", "s8", "args_0"}};
  for (const auto& [name, recipe, input] : cases) {
    SCOPED_TRACE(name);
    std::ifstream in(root / "inputs" / name / "calibration/serving_default" /
                         (std::string(input) + ".npy"),
                     std::ios::binary);
    ASSERT_TRUE(in);
    const std::string npy{std::istreambuf_iterator<char>(in),
                          std::istreambuf_iterator<char>()};
    const size_t start = 10 + static_cast<unsigned char>(npy[8]) +
                         256u * static_cast<unsigned char>(npy[9]);
    const size_t each = (npy.size() - start) / 6;
    const Samples samples = {
        .signature = "serving_default",
        .count = 6,
        .fill = [&, input = input](Session& session, uint64_t sample) {
          return session.SetInput(
              input, std::as_bytes(
                         std::span(npy.data() + start + sample * each, each)));
        }};
    CalibrateOptions options;
    options.method = CalibrationMethod::kMovingAverage;
    const TempFolder folder;
    const auto report =
        Calibrate(root / "models" / (std::string(name) + ".tflite"),
                  std::span(&samples, 1), folder / "s.json", options);
    ASSERT_TRUE(report) << report.error().message;
    const auto ours = quant::ReadStatistics(folder / "s.json");
    const auto theirs = quant::ReadStatistics(
        root / "cases" / (std::string(name) + "." + recipe) / "stats.json");
    ASSERT_TRUE(ours && theirs);
    for (const auto& [tensor, expected] : theirs->of) {
      const auto* found = ours->Find(tensor);
      ASSERT_NE(found, nullptr) << tensor;
      const double width = expected.max[0] - expected.min[0];
      EXPECT_NEAR(found->min[0], expected.min[0], 1e-6 * width) << tensor;
      EXPECT_NEAR(found->max[0], expected.max[0], 1e-6 * width) << tensor;
    }
  }
}

}  // namespace
}  // namespace lathe

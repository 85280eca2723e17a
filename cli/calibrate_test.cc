// lathe calibrate and lathe validate: from samples to statistics, to a
// quantized model, to a verdict.

#include <algorithm>
#include <string>
#include <vector>

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

TEST_F(Cli, CalibrateQuantizeAndValidateWorkInARow) {
  const Ran made = Lathe("calibrate " + Nano("decoder") +
                         "--data random:2 -o s.json --json -q");
  ASSERT_EQ(made.code, 0) << made.out << made.err;
  const Json json = Json::parse(made.out);
  EXPECT_EQ(json.begin().key(), "schema");
  EXPECT_EQ(json["schema"], "lathe.calibrate/1");
  for (const char* field : {"samples", "times_ms", "peak_rss_bytes",
                            "peak_private_bytes", "statistics_bytes"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  EXPECT_EQ(json["samples"], 2);
  const Json stats = Json::parse(Read("s.json"));
  EXPECT_EQ(stats["model_qsvs"].size(), json["tensors"].size());
  EXPECT_EQ(stats["metadata"]["num_samples_calibrated"], 2);

  ASSERT_EQ(Lathe("quantize " + Nano("decoder") +
                  "--recipe static_wi8_ai8 --stats s.json -o q.tflite")
                .code,
            0);
  EXPECT_EQ(Lathe("run q.tflite").code, 0);

  const std::string validate = "validate " + Nano("decoder") + "q.tflite ";
  const Ran ran = Lathe(validate +
                        "--overlay o.json --audio --metric snr_db --min 20 "
                        "--metric mse --max 0.1 --json -q");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_EQ(report["schema"], "lathe.validate/1");
  EXPECT_EQ(report["within"], true);
  ASSERT_EQ(report["outputs"].size(), 1u);
  EXPECT_GT(report["outputs"][0]["mean"]["snr_db"].get<double>(), 20);
  EXPECT_EQ(report["audio"][0]["problem"], "");
  EXPECT_GT(report["audio"][0]["metrics"]["nsim"].get<double>(), 0);
  EXPECT_GT(report["kept_bytes"].get<uint64_t>(), 0u);

  // What Model Explorer opens: one graph, ascending thresholds, a number for
  // each node.
  const Json overlay = Json::parse(Read("o.json"));
  EXPECT_EQ(overlay["name"], "snr_db");
  EXPECT_GT(overlay["results"].size(), 100u);
  for (const auto& [node, result] : overlay["results"].items()) {
    EXPECT_TRUE(result["value"].is_number()) << node;
  }
  double last = -1e300;
  for (const Json& threshold : overlay["thresholds"]) {
    EXPECT_GT(threshold["value"].get<double>(), last);
    last = threshold["value"].get<double>();
    EXPECT_EQ(threshold["bgColor"].get<std::string>().size(), 7u);
  }

  // The answer is no.
  EXPECT_EQ(Lathe(validate + "--metric snr_db --min 190").code, 1);
  EXPECT_EQ(Lathe(validate + "--outputs-only --metric mse --max 0").code, 1);
  EXPECT_EQ(Lathe(validate + "--metric cosine --min 0.5").code, 0);
}

TEST_F(Cli, CalibrateReadsOneSampleStackedSamplesAndFolders) {
  const Ran inspected = Lathe("inspect " + Nano("decoder") + "--json");
  const Json facts = Json::parse(inspected.out);
  const Json& signature = facts["signatures"][0];
  const Json& input = signature["inputs"][0];
  std::string shape;
  int width = 1;
  for (const Json& dim : input["shape"]) {
    shape += dim.dump() + ", ";
    width *= dim.get<int>();
  }
  const std::string name = input["name"];
  const auto file = [&](int count) {
    std::vector<float> values;
    for (int k = 0; k < std::max(1, count); ++k) {
      values.insert(values.end(), static_cast<size_t>(width),
                    static_cast<float>(k + 1));
    }
    if (count == 0) values.clear();
    const std::string lead = count == 1 ? "" : std::to_string(count) + ", ";
    return Npy<float>("<f4", "(" + lead + shape + ")", values);
  };
  const std::string calibrate =
      "calibrate " + Nano("decoder") + "-o s.json --json -q --data ";
  const auto samples = [&](const Ran& ran) {
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.code == 0 ? Json::parse(ran.out)["samples"].get<int>() : -1;
  };
  const auto highest = [&] {
    const Json all = Json::parse(Read("s.json"))["model_qsvs"];
    Json at = all[input["tensor"].get<std::string>()]["max"];
    while (at.is_array()) at = at[0];
    return at.get<double>();
  };
  Write("one.npy", file(1));
  EXPECT_EQ(samples(Lathe(calibrate + name + "=one.npy")), 1);
  EXPECT_EQ(highest(), 1);
  Write("three.npy", file(3));
  EXPECT_EQ(samples(Lathe(calibrate + name + "=three.npy")), 3);
  EXPECT_EQ(highest(), 3);

  const std::string key = signature["key"].get<std::string>().empty()
                              ? "main"
                              : signature["key"].get<std::string>();
  std::system(("mkdir -p '" + folder_ + "/data/" + key + "'").c_str());
  const Ran missing = Lathe(calibrate + "data");
  EXPECT_EQ(missing.code, 3);
  EXPECT_NE(missing.err.find("\"" + name + "\""), std::string::npos)
      << missing.err;
  Write("data/" + key + "/" + name + ".npy", file(2));
  EXPECT_EQ(samples(Lathe(calibrate + "data")), 2);
  EXPECT_EQ(highest(), 2);

  Write("none.npy", file(0));
  Write("wrong.npy", Npy<float>("<f4", "(3,)", {1, 2, 3}));
  Write("ints.npy", Npy<int32_t>("<i4", "(3,)", {1, 2, 3}));
  std::system(("mkdir -p '" + folder_ + "/empty'").c_str());
  const struct {
    std::string data;
    int code;
  } lines[] = {
      {name + "=none.npy", 3},
      {name + "=wrong.npy", 3},
      {name + "=ints.npy", 3},
      {name + "=gone.npy", 3},
      {"empty", 3},
      {"nowhere", 3},
      {"random:0", 3},
      {"random:x", 2},
      {"nobody=one.npy", 2},
      {"random random", 2},
  };
  Write("s.json", "old");
  for (const auto& [data, code] : lines) {
    const Ran ran = Lathe(calibrate + data);
    EXPECT_EQ(ran.code, code) << data << "\n" << ran.err;
  }
  EXPECT_EQ(Read("s.json"), "old");
}

// Reference A17: of the whole range of int32 no row of a table is found.
TEST_F(Cli, ValidateFillsIntegersWithWhatTheModelTakes) {
  const Ran ran = Lathe("validate " + Nano("conditioner") +
                        Nano("conditioner") + "--json -q");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["outputs"][0]["mean"]["snr_db"], 200);
}

TEST_F(Cli, ValidateTellsEverySoundMetricOfAWaveformAsANumber) {
  const Ran ran = Lathe("validate " + Nano("decoder") + Nano("decoder") +
                        "--outputs-only --audio --json -q");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  ASSERT_EQ(json["audio"].size(), 1u);
  const Json& metrics = json["audio"][0]["metrics"];
  EXPECT_EQ(metrics["nsim"], 1);
  for (const auto& [name, value] : metrics.items()) {
    EXPECT_TRUE(value.is_number()) << name;
  }
}

TEST_F(Cli, CalibrateAndValidateRefuseWrongLines) {
  const std::string model = Nano("decoder");
  const struct {
    std::string line;
    int code;
  } lines[] = {
      {"calibrate " + model + "--data random", 2},
      {"calibrate " + model + "-o s.json", 2},
      {"calibrate " + model + "--data random -o s.txt", 2},
      {"calibrate " + model + "--data random -o /nowhere/s.json", 3},
      {"calibrate " + model + "--data random --method mean -o s.json", 2},
      {"calibrate " + model + "--data random --percentile 99 -o s.json", 2},
      {"calibrate " + model + "--data random --signature no -o s.json", 2},
      {"calibrate gone.tflite --data random -o s.json", 3},
      {"validate " + model, 2},
      {"validate " + model + "gone.tflite", 3},
      {"validate " + model + model + "--metric snrdb --min 1", 2},
      {"validate " + model + model + "--metric audio.nsim --min 1", 2},
      {"validate " + model + model + "--min 1", 2},
      {"validate " + model + model + "--metric mse", 2},
      {"validate " + model + model + "--overlay o.txt", 2},
      {"validate " + model + model + "--overlay o.json --outputs-only", 2},
      {"validate " + model + model + "--overlay-metric none", 2},
  };
  for (const auto& [line, code] : lines) {
    const Ran ran = Lathe(line);
    EXPECT_EQ(ran.code, code) << line << "\n" << ran.err;
  }
  EXPECT_EQ(Left(), "");
}

}  // namespace
}  // namespace lathe::cli

// lathe quantize: a smaller model, as a recipe says.

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

TEST_F(Cli, QuantizeMakesASmallerModelThatRuns) {
  const Ran ran = Lathe("quantize " + Nano("decoder") +
                        "--recipe dynamic_wi8_afp32 -o q.tflite --json -q");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json.begin().key(), "schema");
  EXPECT_EQ(json["schema"], "lathe.quantize/1");
  for (const char* field :
       {"ops_quantized", "ops_float", "input_bytes", "output_bytes", "times_ms",
        "peak_rss_bytes", "peak_private_bytes"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  EXPECT_FALSE(json.contains("ops"));
  EXPECT_EQ(ReadAll(folder_ + "/q.tflite").size(),
            json["output_bytes"].get<size_t>());
  EXPECT_LT(json["output_bytes"].get<double>(),
            json["input_bytes"].get<double>());
  EXPECT_EQ(Lathe("run q.tflite").code, 0);
}

TEST_F(Cli, QuantizeExplainsEveryOperatorAndPredictsTheSize) {
  const Ran ran = Lathe("quantize " + Nano("decoder") +
                        "--recipe dynamic_wi8_afp32 --explain --json -q");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["predicted"], true);
  EXPECT_EQ(json["ops"].size(), json["ops_quantized"].get<size_t>() +
                                    json["ops_float"].get<size_t>());
  for (const Json& op : json["ops"]) {
    EXPECT_FALSE(op["type"].get<std::string>().empty());
    EXPECT_TRUE(op["quantized"].get<bool>() ||
                !op["reason"].get<std::string>().empty())
        << op;
  }
  EXPECT_EQ(Lathe("quantize " + Nano("decoder") +
                  "--recipe dynamic_wi8_afp32 --explain")
                .code,
            0);
}

// Reference A18: the older tool exits 0 here.
TEST_F(Cli, QuantizeRefusesWhatItCannotDoBeforeAnyWork) {
  Write("empty.json", "[]");
  Write("typo.json",
        R"([{"regex": ".*", "operation": "*", "algorithm_key": "OCTAV",
             "op_config": {"weight_tensor_config": {"num_bits": 8,
               "granularity": "PER_CHANNEL"},
               "compute_precision": "INTEGER"}}])");
  const std::string model = "quantize " + Nano("decoder");
  const struct {
    std::string line;
    int code;
  } lines[] = {
      {model + "--recipe dynamic_wi8_afp32", 2},
      {model + "--recipe dynamic_wi8_afp32 -o q.bin", 2},
      {model + "--recipe dynamic_wi8_afp32 -o /nowhere/q.tflite", 2},
      {model + "--recipe dynamic_wi8_afp32 -o q.tflite --strict --compat", 2},
      {model + "--recipe dynamic_wi8_afp23 -o q.tflite", 3},
      {model + "--recipe empty.json -o q.tflite", 3},
      {model + "--recipe empty.json --compat -o q.tflite", 3},
      {model + "--recipe typo.json -o q.tflite", 3},
      // Two tensors of one name, which the older tool refuses.
      {model + "--recipe dynamic_wi8_afp32 --compat -o s.tflite", 3},
      {model + "--recipe static_wi8_ai8 -o s.tflite", 3},
      {"quantize /nowhere.tflite --recipe dynamic_wi8_afp32 -o s.tflite", 3},
  };
  for (const auto& [line, code] : lines) {
    const Ran ran = Lathe(line);
    EXPECT_EQ(ran.code, code) << line << "\n" << ran.err;
  }
  EXPECT_EQ(ReadAll(folder_ + "/s.tflite"), "");
}

// The long form is ./dev prove-quantize.
TEST_F(Cli, AKilledQuantizeLeavesTheOldFileOrTheWholeNewOne) {
  const std::string line =
      "quantize " + Nano("dit") + "--recipe dynamic_wi8_afp32 -q -o ";
  ASSERT_EQ(Lathe(line + "new.tflite").code, 0);
  const std::string fresh = Read("new.tflite"), old = "the file before";
  ASSERT_GT(fresh.size(), old.size());
  int killed = 0;
  for (int i = 0; i < 12; ++i) {
    Write("out.tflite", old);
    // Delays of 5 ms and more, up to the end of a run.
    const std::string command = "cd '" + folder_ + "' && timeout -s KILL 0." +
                                std::to_string(1005 + 15 * i).substr(1) + " '" +
                                program_ + "' " + line +
                                "out.tflite >/dev/null 2>&1";
    killed += std::system(command.c_str()) != 0;
    const std::string found = Read("out.tflite");
    EXPECT_TRUE(found == old || found == fresh) << i;
  }
  EXPECT_GT(killed, 0);
  // What is left has its own name, and hurts no later run.
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    if (name == "new.tflite" || name == "out.tflite") continue;
    EXPECT_TRUE(name == ".out" || name == ".err" ||
                name.starts_with("out.tflite.part-"))
        << name;
  }
  EXPECT_EQ(Lathe(line + "out.tflite").code, 0);
  EXPECT_TRUE(Read("out.tflite") == fresh);
}

TEST_F(Cli, ConvertQuantizesOnTheWayAsQuantizeDoesAfterwards) {
  const std::string nano = Source() + "/models/nano/model.safetensors";
  const Ran ran = Lathe("convert '" + nano +
                        "' --recipe weight_only_wi8_afp32 --recipe decoder=" +
                        "dynamic_wi8_afp32 -o folder --json -q");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_GT(json["outputs"][i]["ops_quantized"], 0) << i;
  }
  const std::pair<const char*, const char*> models[] = {
      {"dit", "weight_only_wi8_afp32"}, {"decoder", "dynamic_wi8_afp32"}};
  for (const auto& [model, recipe] : models) {
    const std::string name(model);
    ASSERT_EQ(Lathe("quantize " + Nano(name) + "--recipe " + recipe + " -o " +
                    name + ".tflite")
                  .code,
              0);
    EXPECT_TRUE(Read(name + ".tflite") == Read("folder/" + name + ".tflite"))
        << name;
  }
}

TEST_F(Cli, ConvertRefusesRecipesItCannotFollow) {
  const std::string line =
      "convert '" + Source() + "/models/nano/model.safetensors' -o folder ";
  EXPECT_EQ(Lathe(line + "--recipe dti=dynamic_wi8_afp32").code, 2);
  EXPECT_EQ(Lathe(line + "--recipe dynamic_wi8_afp32 --recipe "
                         "dynamic_wi4_afp32")
                .code,
            2);
  EXPECT_EQ(Lathe(line + "--recipe dit=dynamic_wi9_afp32").code, 3);
  EXPECT_EQ(Lathe(line + "--recipe static_wi8_ai8").code, 3);
  EXPECT_EQ(Left(), "");
}

}  // namespace
}  // namespace lathe::cli

// lathe compare, explain, profile, inspect: facts about a model.

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

TEST_F(Cli, CompareSaysYesAndNoByItsExitCode) {
  Write("size.npy", Npy<int32_t>("<i4", "(2,)", {1, 6}));
  const std::string size = " --input size=size.npy";
  Ran ran = Lathe("compare " + Model("reshape") + Model("reshape") + size);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  Write("x.npy", Npy<float>("<f4", "(2, 3)", {1, 2, 3, 4, 5, 6}));
  const std::string both = size + " --input x=x.npy";
  ran = Lathe("compare " + Model("reshape") + Model("reshape_clipped") + both +
              " --json");
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  Json json = Json::parse(ran.out);
  EXPECT_EQ(json["schema"], "lathe.compare/1");
  EXPECT_EQ(json["within"], false);
  const Json& y = json["outputs"][0];
  EXPECT_EQ(y["elements"], 6);
  EXPECT_EQ(y["over"], 6);
  EXPECT_EQ(y["max_abs"], 23);  // 4 * 6 against 1.
  EXPECT_EQ(y["max_rel"], 23);
  EXPECT_NEAR(y["rms"].get<double>(), 14.6, 0.1);
  ran = Lathe("compare " + Model("reshape") + Model("reshape_clipped") + both +
              " --atol 23");
  EXPECT_EQ(ran.code, 0) << ran.out;
  ran = Lathe("compare " + Model("reshape") + Model("reshape_clipped") + both +
              " --rtol 22.9");
  EXPECT_EQ(ran.code, 1) << ran.out;
  ran = Lathe("compare " + Model("reshape") + Model("reshape_clipped") + both +
              " --all --json");
  EXPECT_EQ(ran.code, 1) << ran.out;
  json = Json::parse(ran.out);
  ASSERT_EQ(json["tensors"].size(), 3u);
  EXPECT_EQ(json["tensors"][0]["name"], "sum");
  EXPECT_EQ(json["tensors"][0]["within"], true);
}

TEST_F(Cli, CompareRunsOneFileOnTwoLevels) {
  const Ran ran = Lathe("compare " + Nano("decoder") +
                        "--isa scalar --isa scalar --atol 0 --json");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["a"]["isa"], "scalar");
  EXPECT_EQ(json["b"]["isa"], "scalar");
  EXPECT_EQ(json["filled"], Json({"latent"}));
  EXPECT_EQ(json["outputs"][0]["max_abs"], 0);
}

TEST_F(Cli, CompareReadsAFolderOfOutputs) {
  ASSERT_EQ(Lathe("run " + Model("media") + "--output o").code, 0);
  EXPECT_EQ(Lathe("compare " + Model("media") + "o").code, 0);
  Write("o/out0.json", R"(["other"])");
  EXPECT_EQ(Lathe("compare " + Model("media") + "o").code, 1);
  ::unlink((folder_ + "/o/out2.npy").c_str());
  ::unlink((folder_ + "/o/out3.npy").c_str());
  const Ran ran = Lathe("compare " + Model("media") + "o");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("out2.npy"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("out3.npy"), std::string::npos) << ran.err;
}

TEST_F(Cli, CompareTakesRealValuesOfAQuantizedOutput) {
  ASSERT_EQ(Lathe("run " + Model("types") + "--input i8=ones --output o").code,
            0);
  // real = 0.5 * (1 - 1)
  Write("o/out3.npy", Npy<float>("<f4", "(2, 3)", {0, 0, 0, 0, 0, 0}));
  Ran ran = Lathe("compare " + Model("types") + "o --input i8=ones --json");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["outputs"][3]["compared"], "real");
  Write("o/out3.npy", Npy<float>("<f4", "(6,)", {0, 0, 0, 0, 0, 0}));
  ran = Lathe("compare " + Model("types") + "o --input i8=ones");
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.out.find("against"), std::string::npos) << ran.out;
}

TEST_F(Cli, CompareRefusesFilesThatTakeNoCommonInput) {
  Ran ran = Lathe("compare " + Model("types") + Model("dynamic"));
  EXPECT_EQ(ran.code, 3);
  ran = Lathe("compare " + Model("reshape") + Model("custom"));
  EXPECT_EQ(ran.code, 4);
}

TEST_F(Cli, ExplainTellsStepsArenaAndPeak) {
  Ran ran = Lathe("explain " + Nano("decoder") + "--json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["schema"], "lathe.explain/1");
  size_t ops = json["without_step"].size();
  bool fused = false;
  for (const Json& step : json["steps"]) {
    ops += step["ops"].size();
    fused = fused || step["ops"].size() > 1;
    EXPECT_EQ(step["ops"].size(), step["op_names"].size());
  }
  EXPECT_TRUE(fused);
  EXPECT_EQ(json["ops"], ops);  // Every operator is somewhere.
  EXPECT_EQ(json["stages"].size(), 1u);
  EXPECT_LT(json["peak_step"].get<size_t>(), json["steps"].size());
  EXPECT_GT(json["packed_bytes"].get<size_t>(), 0u);
  ASSERT_FALSE(json["arena"].empty());
  const size_t arena = json["arena_bytes"].get<size_t>();
  for (const Json& block : json["arena"]) {
    EXPECT_LE(block["offset"].get<size_t>() + block["bytes"].get<size_t>(),
              arena);
    EXPECT_LE(block["first_step"], block["last_step"]);
  }
  EXPECT_LE(json["peak_bytes"].get<size_t>(), arena);
  ran = Lathe("explain " + Nano("decoder"));
  EXPECT_NE(ran.out.find("snake+CONV_2D"), std::string::npos);
}

TEST_F(Cli, ExplainShowsStagesThatWaitForValues) {
  Ran ran = Lathe("explain " + Model("reshape") + "--json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  Json json = Json::parse(ran.out);
  EXPECT_NE(json["unplanned"].get<std::string>().find("RESHAPE"),
            std::string::npos);
  Write("size.npy", Npy<int32_t>("<i4", "(2,)", {3, 2}));
  ran = Lathe("explain " + Model("reshape") + "--input 1=size.npy --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json = Json::parse(ran.out);
  EXPECT_EQ(json["unplanned"], "");
  ASSERT_EQ(json["stages"].size(), 2u);
  EXPECT_NE(json["stages"][1]["waits_for"].get<std::string>().find("\"size\""),
            std::string::npos);
}

TEST_F(Cli, ExplainAndProfileShowTheStepsInsideALoop) {
  Ran ran = Lathe("explain " + Model("loop"));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("subgraph 2, which WHILE \"y\" runs, is planned when "
                         "it first does"),
            std::string::npos)
      << ran.out;
  ran = Lathe("explain " + Model("loop") + "--input x=ones --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  Json json = Json::parse(ran.out);
  EXPECT_EQ(json["subgraph_name"], "main");
  ASSERT_EQ(json["called"].size(), 2u);
  EXPECT_EQ(json["called"][1]["subgraph"], 2);
  EXPECT_EQ(json["called"][1]["subgraph_name"], "double");
  EXPECT_EQ(json["called"][1]["steps"][0]["tensor_name"], "twice");
  EXPECT_FALSE(json["called"][1].contains("isa"));

  ran = Lathe("profile " + Model("loop") + "--input x=ones --runs 2 -q --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json = Json::parse(ran.out);
  ASSERT_EQ(json["steps"].size(), 1u);
  ASSERT_EQ(json["inner"].size(), 2u);
  EXPECT_EQ(json["inner"][0]["name"], "LESS");
  EXPECT_EQ(json["inner"][0]["times"], 8);
  EXPECT_EQ(json["inner"][1]["subgraph_name"], "double");
  EXPECT_EQ(json["inner"][1]["times"], 7);  // 1 to 128.
  ran = Lathe("profile " + Model("loop") + "--input x=ones --runs 2 -q");
  EXPECT_NE(ran.out.find("2 double"), std::string::npos) << ran.out;
}

TEST_F(Cli, ProfileTimesStepsAndWritesATrace) {
  Ran ran = Lathe("profile " + Nano("decoder") +
                  "--runs 3 --warmup 1 -o t.json -q --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["schema"], "lathe.profile/1");
  EXPECT_EQ(json["runs"], 3);
  double share = 0;
  for (const Json& step : json["steps"]) {
    share += step["share"].get<double>();
    EXPECT_LE(step["min_ms"], step["median_ms"]);
  }
  EXPECT_GT(share, 0.5);
  EXPECT_LE(share, 1.001);
  const Json trace = Json::parse(Read("t.json"));
  size_t events = 0;
  double end = 0;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    ++events;
    EXPECT_GE(event["ts"].get<double>(), end - 0.001);
    end = event["ts"].get<double>() + event["dur"].get<double>();
  }
  EXPECT_EQ(events, 3 * json["steps"].size());
  ran = Lathe("profile " + Nano("decoder") + "--runs 1 --group -q");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("steps  name"), std::string::npos) << ran.out;
  EXPECT_EQ(Left(), "t.json\n");
}

TEST_F(Cli, ProfileReplacesATraceOnlyWhenItIsComplete) {
  Write("t.json", "old");
  Ran ran = Lathe("profile " + Nano("decoder") +
                  "--runs 10000 --time-limit 0.3 -o t.json -q");
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_EQ(Read("t.json"), "old");
  EXPECT_EQ(Left(), "t.json\n");
  ran = Lathe("profile " + Nano("decoder") + "--runs 1 -o /dev/full -q");
  EXPECT_EQ(ran.code, 5) << ran.err;
}

TEST_F(Cli, InspectTellsTypesScalesAndSignatures) {
  Ran ran = Lathe("inspect " + Model("types") + "--json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  Json json = Json::parse(ran.out);
  const Json& i8 = json["subgraphs"][0]["tensors"][3];
  EXPECT_EQ(i8["type"], "int8");
  EXPECT_EQ(i8["parameters"]["scales"], Json({0.5}));
  ran = Lathe("inspect " + Model("dynamic") + "--json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json = Json::parse(ran.out);
  EXPECT_EQ(json["signatures"][0]["key"], "serve");
  EXPECT_EQ(json["signatures"][0]["inputs"][0]["tensor"], "b:0");
  ran = Lathe("inspect " + Model("reshape_clipped") + "--all");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("fused_activation_function=2"), std::string::npos)
      << ran.out;
}

}  // namespace
}  // namespace lathe::cli

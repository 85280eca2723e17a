// Runs the built program over good and wrong command lines.

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

constexpr const char* kQuick = " --seconds 0.2 --steps 1 --seed 7 -q ";

TEST_F(Cli, EveryVerbHasHelpWithAnExample) {
  for (const char* verb :
       {"generate", "convert", "inspect", "run", "compare", "listen-test",
        "explain", "profile", "bench", "doctor"}) {
    const Ran ran = Lathe(std::string(verb) + " --help");
    EXPECT_EQ(ran.code, 0) << verb;
    const size_t example = ran.out.find("Example:\n  lathe ");
    ASSERT_NE(example, std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("  lathe " + std::string(verb), example),
              std::string::npos)
        << ran.out;
  }
}

TEST_F(Cli, WrongWordsGetTheNearestOne) {
  Ran ran = Lathe("genrate x");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("generate"), std::string::npos) << ran.err;
  ran = Lathe("generate kick --secnds 1");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("--seconds"), std::string::npos) << ran.err;
}

TEST_F(Cli, BadValuesAreRefusedWithTheirCode) {
  const struct {
    const char* arguments;
    int code;
  } cases[] = {
      {"", 2},
      {"generate ''", 3},
      {"generate '   '", 3},
      {"generate", 3},
      {"generate \"$(printf 'kick \\377')\"", 3},
      {"generate kick --seconds 0", 3},
      {"generate kick --seconds=-1", 3},
      {"generate kick --seconds nan", 3},
      {"generate kick --seconds 1e9", 3},
      {"generate kick --seconds abc", 2},
      {"generate kick --seed=-1", 2},
      {"generate kick --seed 99999999999999999999", 2},
      {"generate kick --steps 0", 2},
      {"generate kick --sampler heun", 2},
      {"generate kick --bits 12", 2},
      {"generate kick --threads 0", 2},
      {"generate kick --precision int8", 4},
      {"generate kick --precision f64", 2},
      {"generate kick --isa vax", 2},
      {"generate kick --model /nowhere", 3},
      {"generate kick -o /nowhere/a.wav", 3},
      {"generate kick -o /tmp", 3},
      {"generate kick -o a.mp3", 2},
      {"generate kick -o a.flac --bits 32", 2},
      {"generate kick --init /nowhere.wav", 3},
      {"generate --from /nowhere.wav", 3},
      {"inspect", 2},
      {"inspect /nowhere.tflite", 3},
      {"bench /nowhere.tflite", 3},
      {"run /nowhere.tflite", 3},
      {"convert", 2},
      {"explain", 2},
      {"explain /nowhere.tflite", 3},
      {"profile /nowhere.tflite", 3},
      {"profile x.tflite -o trace.txt", 2},
      {"profile x.tflite -o /nowhere/trace.json", 3},
      {"profile x.tflite -o /tmp", 3},
      {"profile x.tflite -o -", 2},
      {"profile x.tflite --runs 0", 2},
      {"compare", 2},
      {"compare /nowhere.tflite", 2},
      {"compare /nowhere.tflite --isa scalar", 2},
      {"compare /nowhere.tflite /nowhere.tflite", 3},
      {"compare /nowhere.tflite /tmp --all", 2},
      {"compare /nowhere.tflite /tmp --isa scalar --isa scalar", 2},
      {"compare a b --isa a --isa b --isa c", 2},
      {"compare a b --atol -1", 2},
      {"compare a b --rtol nan", 2},
      {"listen-test", 2},
      {"listen-test a.wav", 2},
      {"listen-test /nowhere/a.wav /nowhere/b.wav", 3},
      {"listen-test a.wav b.wav --metric snr", 2},
      {"listen-test a.wav b.wav --metric nsim", 2},
      {"listen-test a.wav b.wav --min 3", 2},
      {"listen-test a.wav b.wav --metric nsim --min nan", 2},
      {"listen-test a.wav b.wav --threads 2", 2},
      {"run x.tflite --output /nowhere/out", 3},
      {"run x.tflite --output /dev/null", 3},
      {"run x.tflite --steps 0", 2},
      {"run x.tflite --memory-limit -1", 2},
      {"run x.tflite --memory-limit lots", 2},
      {"run x.tflite --time-limit 0", 2},
      {"run x.tflite --time-limit nan", 2},
      {"run x.tflite --time-limit inf", 2},
      {"doctor --precision f32", 2},
      {"doctor --memory-limit 5", 2},
      {"doctor --time-limit 5", 2},
      {"inspect x.tflite --threads 2", 2},
  };
  for (const auto& c : cases) {
    const Ran ran = Lathe(c.arguments);
    // A missing file may count as the system's (5) where it is only opened.
    EXPECT_TRUE(ran.code == c.code ||
                (ran.code == 5 &&
                 std::string(c.arguments).find("nowhere") != std::string::npos))
        << c.arguments << ": " << ran.code << "\n"
        << ran.err;
    EXPECT_NE(ran.err, "") << c.arguments;
    EXPECT_EQ(Left(), "") << c.arguments;
  }
}

TEST_F(Cli, GenerateGivesTheFieldsOfTheContract) {
  const Ran ran =
      Lathe(std::string("generate 'kick drum' -o a.wav --json") + kQuick);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json.begin().key(), "schema");
  EXPECT_EQ(json["schema"], "lathe.generate/1");
  for (const char* field :
       {"prompt", "seed", "seconds", "steps", "model", "precision", "isa",
        "threads", "peak_rss_bytes", "peak_private_bytes"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  for (const char* stage : {"load", "tokenize", "condition", "diffuse",
                            "decode", "write", "total"}) {
    EXPECT_TRUE(json["times_ms"].contains(stage)) << stage;
  }
  const Json& output = json["output"];
  EXPECT_EQ(output["frames"], 8820);  // 0.2 s at 44,100 Hz.
  EXPECT_EQ(output["rate"], 44100);
  EXPECT_EQ(output["channels"], 2);
  EXPECT_EQ(output["xxh3"].get<std::string>().size(), 16u);
  EXPECT_TRUE(output.contains("peak_dbfs"));
}

TEST_F(Cli, ThreadsAndRunsNeverChangeAByte) {
  for (const char* line : {"generate kick -o a.wav --threads 1",
                           "generate kick -o b.wav --threads 2",
                           "generate kick -o c.wav --threads 2"}) {
    const Ran ran = Lathe(line + std::string(kQuick));
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const std::string a = ReadAll(folder_ + "/a.wav");
  EXPECT_GT(a.size(), 1000u);
  EXPECT_EQ(a, ReadAll(folder_ + "/b.wav"));
  EXPECT_EQ(a, ReadAll(folder_ + "/c.wav"));
}

TEST_F(Cli, FromRepeatsAFileFromItsMetadata) {
  for (const char* ending : {"wav", "flac"}) {
    const std::string e = ending;
    ASSERT_EQ(
        Lathe("generate 'soft kick' -o a." + e + " --bits 24" + kQuick).code,
        0);
    const Ran ran = Lathe("generate --from a." + e + " -o b." + e + " -q");
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ReadAll(folder_ + "/a." + e), ReadAll(folder_ + "/b." + e));
  }
}

TEST_F(Cli, StandardOutputGetsTheSameBytesAsAFile) {
  ASSERT_EQ(Lathe(std::string("generate kick -o a.wav") + kQuick).code, 0);
  const Ran ran = Lathe(std::string("generate kick -o -") + kQuick);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, ReadAll(folder_ + "/a.wav"));
}

TEST_F(Cli, CountNumbersFilesAndSeeds) {
  const Ran ran =
      Lathe(std::string("generate kick -o a.wav --count 2 --json") + kQuick);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  ASSERT_EQ(json["sounds"].size(), 2u);
  EXPECT_EQ(json["sounds"][0]["seed"], 7);
  EXPECT_EQ(json["sounds"][1]["seed"], 8);
  EXPECT_EQ(Left(), "a-1.wav\na-2.wav\n");
}

TEST_F(Cli, BatchMakesOneSoundALine) {
  std::ofstream(folder_ + "/jobs.jsonl")
      << R"({"prompt": "kick", "output": "k.wav", "seed": 1})" << "\n\n"
      << R"({"prompt": "snare", "output": "s.flac", "steps": 2})" << "\n";
  Ran ran = Lathe(std::string("generate --batch jobs.jsonl") + kQuick);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Left(), "jobs.jsonl\nk.wav\ns.flac\n");
  std::ofstream(folder_ + "/bad.jsonl") << R"({"prompt": "kick"})" << "\n"
                                        << R"({"prompt": 3})" << "\n";
  ran = Lathe(std::string("generate --batch bad.jsonl") + kQuick);
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("line 2"), std::string::npos) << ran.err;
}

TEST_F(Cli, AnInitSoundOfAnotherRateIsTaken) {
  ASSERT_EQ(Lathe(std::string("generate kick -o a.wav") + kQuick).code, 0);
  const Ran ran =
      Lathe(std::string("generate snare -o b.wav --init a.wav --strength 0.5") +
            kQuick);
  EXPECT_EQ(ran.code, 0) << ran.err;
}

TEST_F(Cli, APromptOfTenThousandWordsIsCutWithAWarning) {
  const Ran ran =
      Lathe("generate \"$(yes kick | head -n 10000 | tr '\\n' ' ')\" -o a.wav" +
            std::string(kQuick));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("cut"), std::string::npos) << ran.err;
  EXPECT_EQ(Left(), "a.wav\n");
}

TEST_F(Cli, AFullDiskIsASystemErrorAndLeavesNothing) {
  const Ran ran = Lathe(std::string("generate kick -o /dev/full") + kQuick);
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_EQ(Left(), "");
}

TEST_F(Cli, CtrlCStopsWithinASecondAndLeavesNothing) {
  const std::string command =
      "cd '" + folder_ + "' && timeout -s INT 0.5 '" + program_ +
      "' generate kick -o a.wav --steps 1000 -q 2>.err; echo $? >.code";
  std::system(command.c_str());
  // timeout gives 124 when it had to send the signal, our own code otherwise.
  EXPECT_EQ(ReadAll(folder_ + "/.code"), "124\n");
  EXPECT_NE(ReadAll(folder_ + "/.err").find("interrupted"), std::string::npos);
  ::unlink((folder_ + "/.code").c_str());
  EXPECT_EQ(Left(), "");
}

TEST_F(Cli, ATimeLimitIsASystemError) {
  const Ran ran =
      Lathe("generate kick -o a.wav --steps 1000 --time-limit 0.3 -q");
  EXPECT_EQ(ran.code, 5);
  EXPECT_NE(ran.err.find("time limit"), std::string::npos) << ran.err;
  EXPECT_EQ(Left(), "");
}

TEST_F(Cli, AnExistingFileIsReplacedOnlyWhenNamed) {
  std::ofstream(folder_ + "/a.wav") << "old";
  ASSERT_EQ(Lathe(std::string("generate kick -o a.wav") + kQuick).code, 0);
  EXPECT_GT(ReadAll(folder_ + "/a.wav").size(), 1000u);
  ASSERT_EQ(Lathe(std::string("generate kick") + kQuick).code, 0);
  ASSERT_EQ(Lathe(std::string("generate kick") + kQuick).code, 0);
  EXPECT_EQ(Left(), "a.wav\nkick-7-2.wav\nkick-7.wav\n");
}

TEST_F(Cli, DoctorInspectAndBenchSpeakJson) {
  Ran ran = Lathe("doctor --json");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["schema"], "lathe.doctor/1");
  const std::string model =
      program_.substr(0, program_.rfind('/')) + "/models/nano/";
  ran = Lathe("inspect '" + model + "decoder.tflite' --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["schema"], "lathe.inspect/1");
  ran = Lathe("bench '" + model +
              "conditioner.tflite' --runs 2 --warmup 1 --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  for (const char* field :
       {"model", "signature", "threads", "isa", "precision", "load_ms",
        "first_ms", "median_ms", "min_ms", "max_ms", "runs", "peak_rss_bytes",
        "arena_bytes", "weights_bytes", "machine"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
}

}  // namespace
}  // namespace lathe::cli

// lathe run: every kind of value, names and positions, outputs.

#include <png.h>

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

const std::vector<float> kSix = {0, 1, 2, 3, 4, 5};

TEST_F(Cli, RunWritesOutputsAndTheirList) {
  const Ran ran = Lathe("run " + Nano("conditioner") +
                        "--signature condition --input attention_mask=ones "
                        "--output out --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json list = Json::parse(Read("out/outputs.json"));
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["name"], "context");
  EXPECT_FALSE(Read("out/out0.npy").empty());
  const Json json = Json::parse(ran.out);
  for (const char* field : {"signature", "inputs", "outputs", "filled",
                            "times_ms", "peak_rss_bytes", "peak_private_bytes",
                            "arena_bytes", "threads", "isa", "precision"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  for (const char* time : {"load", "first", "run"}) {
    EXPECT_TRUE(json["times_ms"].contains(time)) << time;
  }
}

TEST_F(Cli, EveryTypeGoesThroughNpyUnchanged) {
  struct Case {
    const char *input, *descr;
    size_t bytes;
  };
  const Case cases[] = {
      {"f32", "<f4", 4}, {"f16", "<f2", 2}, {"f64", "<f8", 8},
      {"i8", "|i1", 1},  {"u8", "|u1", 1},  {"i16", "<i2", 2},
      {"i32", "<i4", 4}, {"i64", "<i8", 8}, {"bool", "|b1", 1},
      {"c64", "<c8", 8}, {"i4", "|i1", 1}};
  std::string line = "run " + Model("types") + "--output out";
  std::vector<std::string> files;
  for (const Case& c : cases) {
    std::vector<uint8_t> bytes(6 * c.bytes);
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<uint8_t>(i % 2);  // Fits bool and int4.
    }
    files.push_back(Npy(c.descr, "(2, 3)", bytes));
    Write(std::string(c.input) + ".npy", files.back());
    line += std::string(" --input ") + c.input + "=" + c.input + ".npy";
  }
  const Ran ran = Lathe(line);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("random:0"), std::string::npos) << ran.out;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string out = Read("out/out" + std::to_string(i) + ".npy");
    EXPECT_EQ(Values<uint8_t>(out), Values<uint8_t>(files[i]))
        << cases[i].input;
    EXPECT_NE(out.find(cases[i].descr), std::string::npos) << out;
  }
  const Json list = Json::parse(Read("out/outputs.json"));
  EXPECT_EQ(list[10]["type"], "int4");
  EXPECT_EQ(list[3]["quantization"]["scales"], Json({0.5}));
  EXPECT_EQ(list[3]["quantization"]["zero_points"], Json({1}));
  EXPECT_TRUE(list[0]["quantization"].is_null());
}

TEST_F(Cli, ForeignByteAndAxisOrdersAreConverted) {
  Write("a.npy", Npy<float>("<f4", "(2, 3)", {0, 3, 1, 4, 2, 5}, true));
  ASSERT_EQ(
      Lathe("run " + Model("types") + "--input 0=a.npy --output out").code, 0);
  EXPECT_EQ(Values<float>(Read("out/out0.npy")), kSix);
  Write("b.npy",
        Npy<uint8_t>(">i2", "(2, 3)", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6}));
  ASSERT_EQ(
      Lathe("run " + Model("types") + "--input i16=b.npy --output out").code,
      0);
  EXPECT_EQ(Values<int16_t>(Read("out/out5.npy")),
            (std::vector<int16_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(Cli, WordsAndRawBytesFillInputs) {
  Write("x.bin", std::string(24, '\0'));
  Write("short.bin", "abc");
  const std::string run = "run " + Model("types") + "--output out ";
  Ran ran = Lathe(run +
                  "--input f32=x.bin --input 6=ones --input '#4=zeros' "
                  "--input i64=random:7");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Values<float>(Read("out/out0.npy")), std::vector<float>(6, 0));
  EXPECT_EQ(Values<int32_t>(Read("out/out6.npy")), std::vector<int32_t>(6, 1));
  EXPECT_EQ(Values<uint8_t>(Read("out/out4.npy")), std::vector<uint8_t>(6, 0));
  const std::string random = Read("out/out7.npy");
  ASSERT_EQ(Lathe(run + "--input i64=random:7").code, 0);
  EXPECT_EQ(Read("out/out7.npy"), random);
  ran = Lathe(run + "--input f32=short.bin");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("24"), std::string::npos) << ran.err;
}

TEST_F(Cli, WrongInputsAreToldTogether) {
  Write("i.npy", Npy<int32_t>("<i4", "(2, 3)", {1, 2, 3, 4, 5, 6}));
  Write("w.npy", Npy<float>("<f4", "(6,)", kSix));
  Write("bad.npy", "nonsense");
  Write("nine.npy", Npy<int8_t>("|i1", "(2, 3)", {1, 2, 3, 4, 5, 9}));
  const std::string run = "run " + Model("types") + "--output out ";
  Ran ran = Lathe(run +
                  "--input f32=i.npy --input f64=bad.npy --input i64=gone.bin "
                  "--input nope=zeros --input u8=what");
  EXPECT_EQ(ran.code, 2);
  for (const char* word : {"gone.bin", "nope", "what"}) {
    EXPECT_NE(ran.err.find(word), std::string::npos) << ran.err;
  }
  ran = Lathe(run + "--input f32=i.npy --input f64=bad.npy");
  EXPECT_EQ(ran.code, 3);
  for (const char* word : {"int32", "float32", "bad.npy"}) {
    EXPECT_NE(ran.err.find(word), std::string::npos) << ran.err;
  }
  const struct {
    const char* arguments;
    int code;
  } cases[] = {{"--input f32=w.npy", 3},
               {"--input i4=nine.npy", 3},
               {"--input f32=i.json", 3},
               {"--input f32", 2},
               {"--input f32=zeros --input 0=ones", 2},
               {"--input 11=zeros", 2},
               {"--input f32=random:x", 2},
               {"--signature nope", 2},
               {"--isa vax", 2},
               {"--memory-limit 10", 3}};
  for (const auto& c : cases) {
    ran = Lathe(run + c.arguments);
    EXPECT_EQ(ran.code, c.code) << c.arguments << "\n" << ran.err;
  }
  EXPECT_EQ(Left(), "bad.npy\ni.npy\nnine.npy\nw.npy\n");
}

TEST_F(Cli, PositionsFollowTheSubgraphOrTheSignature) {
  Write("a.npy", Npy<float>("<f4", "(3, 2)", kSix));
  Ran ran =
      Lathe("run " + Model("dynamic") + "--input 0=a.npy --output o --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  Json json = Json::parse(ran.out);
  EXPECT_EQ(json["outputs"][0]["name"], "ay");
  EXPECT_EQ(json["outputs"][0]["tensor"], "a:0");
  EXPECT_EQ(json["outputs"][2]["name"], "k:0");
  EXPECT_EQ(json["outputs"][0]["shape"], Json({3, 2}));
  EXPECT_EQ(Values<float>(Read("o/out0.npy")), kSix);
  EXPECT_EQ(json["filled"], Json({"bee"}));
  ran = Lathe("run " + Model("dynamic") +
              "--signature serve --input 0=a.npy --output o --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json = Json::parse(ran.out);
  EXPECT_EQ(json["outputs"][0]["name"], "bee");
  EXPECT_EQ(Values<float>(Read("o/out0.npy")), kSix);
  for (const char* name : {"bee", "b:0", "1", "'#1'"}) {
    ran = Lathe("run " + Model("dynamic") + "--input " + name + "=a.npy");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out.find("\"bee\" float32 [3,2]"), std::string::npos)
        << ran.out;
  }
  Write("w.npy", Npy<float>("<f4", "(2, 3)", kSix));
  ran = Lathe("run " + Model("dynamic") + "--input 0=w.npy --input 1=w.npy");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("\"ay\""), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("\"bee\""), std::string::npos) << ran.err;
}

TEST_F(Cli, AConstantTakesOnlyItsOwnValue) {
  Write("k.npy", Npy<float>("<f4", "(2,)", {1, 2}));
  Write("other.npy", Npy<float>("<f4", "(2,)", {1, 3}));
  EXPECT_EQ(Lathe("run " + Model("dynamic") + "--input 2=k.npy").code, 0);
  EXPECT_EQ(Lathe("run " + Model("dynamic") + "--input 2=other.npy").code, 3);
  EXPECT_EQ(Lathe("run " + Model("dynamic") + "--input 2=random:0").code, 3);
  const Ran ran = Lathe("run " + Model("dynamic") + "--output o");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("\"k:0\" was filled"), std::string::npos) << ran.out;
  EXPECT_EQ(Values<float>(Read("o/out2.npy")), (std::vector<float>{1, 2}));
}

TEST_F(Cli, StepsReadAndWriteNumberedFiles) {
  for (int i = 0; i < 3; ++i) {
    Write("x" + std::to_string(i) + ".npy",
          Npy<float>("<f4", "(1, 2)", {1.0f * i, 2.0f * i}));
  }
  Ran ran = Lathe("run " + Model("dynamic") +
                  "--input 0=x{step}.npy --steps 3 --output o");
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Values<float>(Read("o/out0.s" + std::to_string(i) + ".npy")),
              (std::vector<float>{1.0f * i, 2.0f * i}));
  }
  EXPECT_TRUE(Read("o/out0.npy").empty());
  ran = Lathe("run " + Model("dynamic") +
              "--input 0=x{step}.npy --steps 4 --output late");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("x3.npy"), std::string::npos) << ran.err;
  // A file that turns out wrong in a later step leaves nothing either.
  Write("x2.npy", "nonsense");
  ran = Lathe("run " + Model("dynamic") +
              "--input 0=x{step}.npy --steps 3 --output late");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(Left(), "o\nx0.npy\nx1.npy\nx2.npy\n");
}

TEST_F(Cli, StringsComeFromJsonAndGoThere) {
  Write("t.json", R"(["one", "zwölf", ""])");
  Ran ran = Lathe("run " + Model("media") + "--input text=t.json --output o");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(Read("o/out0.json")), Json::parse(Read("t.json")));
  EXPECT_EQ(Json::parse(Read("o/outputs.json"))[0]["type"], "string");
  for (const char* text : {R"(["one", 2])", R"({"a": "b"})", "[", ""}) {
    Write("t.json", text);
    ran = Lathe("run " + Model("media") + "--input text=t.json");
    EXPECT_EQ(ran.code, 3) << text << ran.err;
  }
}

TEST_F(Cli, PicturesFillBytesAndFloats) {
  const uint8_t pixels[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 128, 255};
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = 2;
  image.format = PNG_FORMAT_RGB;
  ASSERT_TRUE(png_image_write_to_file(&image, (folder_ + "/p.png").c_str(), 0,
                                      pixels, 0, nullptr));
  Ran ran = Lathe("run " + Model("media") +
                  "--input picture=p.png --input light=p.png --output o");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Values<uint8_t>(Read("o/out1.npy")),
            std::vector<uint8_t>(pixels, pixels + 12));
  const auto light = Values<float>(Read("o/out2.npy"));
  ASSERT_EQ(light.size(), 12u);
  EXPECT_EQ(light[10], 128 / 255.0f);
  EXPECT_EQ(light[11], 1.0f);
  image.width = 1;
  ASSERT_TRUE(png_image_write_to_file(&image, (folder_ + "/q.png").c_str(), 0,
                                      pixels, 0, nullptr));
  ran = Lathe("run " + Model("media") + "--input light=q.png");
  EXPECT_EQ(ran.code, 3) << ran.err;
  Write("r.png", Read("p.png").substr(0, 50));
  EXPECT_EQ(Lathe("run " + Model("media") + "--input light=r.png").code, 3);
  EXPECT_EQ(Lathe("run " + Model("media") + "--input sound=p.png").code, 3);
}

TEST_F(Cli, SoundsFillFloatsAtTheirOwnRate) {
  const int16_t samples[8] = {0, 16384, -32768, 1, 2, 3, 4, 5};
  const auto wav = [&](uint16_t channels) {
    std::string file = "RIFF";
    const auto put = [&](auto v) {
      file.append(reinterpret_cast<const char*>(&v), sizeof(v));
    };
    put(uint32_t{36 + 16});
    file += "WAVEfmt ";
    put(uint32_t{16});
    put(uint16_t{1});
    put(channels);
    put(uint32_t{16000});
    put(uint32_t{32000u * channels});
    put(static_cast<uint16_t>(2 * channels));
    put(uint16_t{16});
    file += "data";
    put(uint32_t{16});
    file.append(reinterpret_cast<const char*>(samples), 16);
    return file;
  };
  Write("two.wav", wav(2));
  Write("one.wav", wav(1));
  Ran ran = Lathe("run " + Model("media") + "--input sound=two.wav --output o");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto planar = Values<float>(Read("o/out3.npy"));
  ASSERT_EQ(planar.size(), 8u);
  EXPECT_EQ(planar[1], -1.0f);  // [1, channels, frames]
  EXPECT_EQ(planar[4], 0.5f);
  ran = Lathe("run " + Model("media") + "--input sound=one.wav --output o");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Values<float>(Read("o/out3.npy"))[1], 0.5f);
  Write("bad.wav", "nonsense");
  EXPECT_EQ(Lathe("run " + Model("media") + "--input sound=bad.wav").code, 3);
  EXPECT_EQ(Lathe("run " + Model("media") + "--input light=two.wav").code, 3);
  EXPECT_EQ(Lathe("run " + Model("media") + "--input picture=one.wav").code, 3);
}

TEST_F(Cli, AnOutputThatCannotBeReplacedLeavesNothingBehind) {
  ASSERT_EQ(::mkdir((folder_ + "/o").c_str(), 0777), 0);
  ASSERT_EQ(::mkdir((folder_ + "/o/out0.npy").c_str(), 0777), 0);
  const Ran ran = Lathe("run " + Model("types") + "--output o");
  EXPECT_EQ(ran.code, 5) << ran.err;
  std::system(("ls -A '" + folder_ + "/o' > '" + folder_ + "/list'").c_str());
  EXPECT_EQ(Read("list"), "out0.npy\n");
}

TEST_F(Cli, AnOperatorWithoutAKernelIsExit4AndExplained) {
  Ran ran = Lathe("run " + Model("custom"));
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("Mystery"), std::string::npos) << ran.err;
  ran = Lathe("inspect " + Model("custom") + "--json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  ASSERT_EQ(json["unsupported"].size(), 1u);
  EXPECT_NE(json["unsupported"][0]["why"].get<std::string>().find("Mystery"),
            std::string::npos);
}

TEST_F(Cli, ACtrlCThatArrivesTwiceCountsOnce) {
  const std::string command =
      "cd '" + folder_ + "' && { '" + program_ + "' run " + Nano("decoder") +
      "--steps 100000 --output o -q 2>.err >.out & p=$!; sleep 0.5; "
      "kill -TERM $p; sleep 0.002; kill -TERM $p; wait $p; echo $? >.code; }";
  std::system(command.c_str());
  EXPECT_EQ(Read(".code"), "130\n");
  EXPECT_NE(Read(".err").find("interrupted"), std::string::npos);
  ::unlink((folder_ + "/.code").c_str());
  EXPECT_EQ(Left(), "");
}

TEST_F(Cli, ALongRunStopsOnCtrlCAndLeavesNothing) {
  const std::string command =
      "cd '" + folder_ + "' && timeout -s INT 0.5 '" + program_ + "' run " +
      Nano("decoder") +
      "--steps 100000 --output o -q 2>.err >.out; echo $? "
      ">.code";
  std::system(command.c_str());
  EXPECT_EQ(Read(".code"), "124\n");
  EXPECT_NE(Read(".err").find("interrupted"), std::string::npos);
  ::unlink((folder_ + "/.code").c_str());
  EXPECT_EQ(Left(), "");
  const Ran ran =
      Lathe("run " + Nano("decoder") + "--steps 100000 --time-limit 0.3 -q");
  EXPECT_EQ(ran.code, 5) << ran.err;
}

}  // namespace
}  // namespace lathe::cli

// lathe listen-test: numbers, limits, and what it refuses.

#include <cmath>

#include "cli/test_support.h"

namespace lathe::cli {
namespace {

// 16 bits, mono: a tone of `amplitude` with noise of `noise`.
std::string Tone(double amplitude, double noise = 0, uint32_t rate = 16000,
                 uint32_t frames = 16000) {
  std::string file = "RIFF";
  const auto put = [&](auto v) {
    file.append(reinterpret_cast<const char*>(&v), sizeof(v));
  };
  put(uint32_t{36 + 2 * frames});
  file += "WAVEfmt ";
  put(uint32_t{16});
  put(uint16_t{1});
  put(uint16_t{1});
  put(rate);
  put(2 * rate);
  put(uint16_t{2});
  put(uint16_t{16});
  file += "data";
  put(2 * frames);
  uint32_t state = 1;
  for (uint32_t i = 0; i < frames; ++i) {
    state = state * 1664525u + 1013904223u;
    const double random = static_cast<double>(state >> 8) / (1 << 23) - 1;
    put(static_cast<int16_t>(
        std::lround(32767 * (amplitude * std::sin(0.3 * i) + noise * random))));
  }
  return file;
}

TEST_F(Cli, ListenTestTellsEqualSoundsFromOthers) {
  Write("a.wav", Tone(0.5));
  Write("b.wav", Tone(0.5, 0.01));
  Ran ran = Lathe("listen-test a.wav a.wav --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  Json json = Json::parse(ran.out);
  EXPECT_EQ(json["schema"], "lathe.listen-test/1");
  EXPECT_EQ(json["metrics"]["snr_db"], 200);
  EXPECT_EQ(json["metrics"]["spectral_convergence"], 0);
  EXPECT_EQ(json["within"], true);
  EXPECT_EQ(json["reference"]["rate"], 16000);
  EXPECT_EQ(json["reference"]["frames"], 16000);

  ran = Lathe("listen-test a.wav b.wav --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  json = Json::parse(ran.out);
  // 0.5^2 / 2 over 0.01^2 / 3.
  EXPECT_NEAR(json["metrics"]["snr_db"].get<double>(), 35.7, 0.3);
  EXPECT_LT(json["metrics"]["nsim"], 1);
  for (const char* field : {"peak_rss_bytes", "peak_private_bytes"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
}

TEST_F(Cli, ListenTestHoldsEachLimitToTheMetricBeforeIt) {
  Write("a.wav", Tone(0.5));
  Write("b.wav", Tone(0.5, 0.01));
  const std::string sounds = "listen-test a.wav b.wav ";
  EXPECT_EQ(Lathe(sounds + "--metric snr_db --min 30 --max 40").code, 0);
  EXPECT_EQ(Lathe(sounds + "--metric snr_db --min 40").code, 1);
  const Ran ran = Lathe(sounds +
                        "--metric nsim --min 0.01 --metric snr_db "
                        "--max -5 --json");
  EXPECT_EQ(ran.code, 1) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["within"], false);
  ASSERT_EQ(json["limits"].size(), 2u);
  EXPECT_EQ(json["limits"][0]["metric"], "nsim");
  EXPECT_EQ(json["limits"][0]["within"], true);
  EXPECT_EQ(json["limits"][1]["max"], -5);
  EXPECT_EQ(json["limits"][1]["min"], nullptr);
  EXPECT_EQ(json["limits"][1]["within"], false);
  EXPECT_NE(Lathe(sounds + "--metric snr_db --min 40").out.find("beyond"),
            std::string::npos);
}

TEST_F(Cli, ListenTestNamesBothOfWhatDiffers) {
  Write("a.wav", Tone(0.5));
  Write("slow.wav", Tone(0.5, 0, 8000));
  Write("short.wav", Tone(0.5, 0, 16000, 100));
  Ran ran = Lathe("listen-test a.wav slow.wav");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("16000 Hz, the other 8000 Hz"), std::string::npos)
      << ran.err;
  ran = Lathe("listen-test a.wav short.wav");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("16000 frames, the other 100"), std::string::npos)
      << ran.err;
  Write("text.wav", "no sound");
  EXPECT_EQ(Lathe("listen-test a.wav text.wav").code, 3);
}

TEST_F(Cli, ListenTestNamesTheNearestMetric) {
  const Ran ran = Lathe("listen-test a.wav b.wav --metric nsin --min 1");
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("did you mean \"nsim\"?"), std::string::npos)
      << ran.err;
}

TEST_F(Cli, ListenTestTellsDriftAsAFractionOfTheDistanceBetweenSeeds) {
  Write("a.wav", Tone(0.5));
  Write("b.wav", Tone(0.5, 0.01));
  Write("seed1.wav", Tone(0.5, 0.1));
  Write("seed2.wav", Tone(0.1, 0.3));
  const auto drift = [&](const std::string& arguments) {
    const Ran ran = Lathe("listen-test a.wav " + arguments + " --json");
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out)["metrics"]["drift"].get<double>();
  };
  const auto distance = [&](const std::string& other) {
    const Ran ran = Lathe("listen-test a.wav " + other + " --json");
    return Json::parse(ran.out)["metrics"]["log_mel_distance"].get<double>();
  };
  EXPECT_NEAR(
      drift("b.wav --seeds seed1.wav seed2.wav"),
      2 * distance("b.wav") / (distance("seed1.wav") + distance("seed2.wav")),
      1e-9);
  EXPECT_EQ(drift("a.wav --seeds seed1.wav"), 0);
  EXPECT_NEAR(drift("seed1.wav --seeds seed1.wav"), 1, 1e-12);
  EXPECT_EQ(Lathe("listen-test a.wav b.wav --seeds seed1.wav --metric drift "
                  "--max 0.0001")
                .code,
            1);
  EXPECT_EQ(Lathe("listen-test a.wav b.wav --metric drift --max 1").code, 2);
  EXPECT_EQ(Lathe("listen-test a.wav b.wav --seeds a.wav").code, 3);
  EXPECT_EQ(Lathe("listen-test a.wav b.wav --seeds /nowhere.wav").code, 3);
}

}  // namespace
}  // namespace lathe::cli

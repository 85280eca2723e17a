// Schedules against the golden file, samplers against their plain formulas.

#include "apps/audio/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace lathe::audio {
namespace {

TEST(Schedule, AgreesWithTheGoldenFile) {
  // shared/ lies in the checkout or beside it.
  std::string path = "shared/fixtures/stable-audio/golden.json";
  if (!std::filesystem::exists(path)) path = "../" + path;
  std::ifstream in(path);
  if (!in) GTEST_SKIP() << "no " << path;
  const auto golden = nlohmann::json::parse(in);
  for (const auto& [key, expected] : golden["schedules"].items()) {
    const size_t comma = key.find(',');
    const auto times =
        Schedule(std::stoi(key), std::stod(key.substr(comma + 1)));
    ASSERT_EQ(times.size(), expected.size()) << key;
    for (size_t i = 0; i < times.size(); ++i) {
      EXPECT_NEAR(times[i], expected[i].get<double>(), 2e-7) << key;
    }
  }
}

TEST(Schedule, HasTheReferenceValuesForEightSteps) {
  const double expected[] = {1,          0.99330717, 0.98201376,
                             0.95257413, 0.88079703, 0.73105860,
                             0.5,        0.26894143, 0};
  const auto times = Schedule(8, 1);
  for (int i = 0; i < 9; ++i) EXPECT_NEAR(times[i], expected[i], 1e-7);
}

// A velocity that depends on x and t, and noise that counts up.
SamplerCalls Fake(int* draws) {
  SamplerCalls calls;
  calls.velocity = [](std::span<const float> x, float t,
                      std::span<float> v) -> Status {
    for (size_t i = 0; i < x.size(); ++i) v[i] = 0.5f * x[i] + t;
    return {};
  };
  calls.noise = [draws](std::span<float> values) {
    for (float& x : values) x = 0.1f * static_cast<float>(++*draws);
  };
  return calls;
}

TEST(Sample, PingPongMixesTheDenoisedEstimateWithFreshNoise) {
  int draws = 0;
  const auto times = Schedule(3, 1);
  std::vector<float> x = {1.5f, -2};
  ASSERT_TRUE(Sample("pingpong", times, x, Fake(&draws)));
  EXPECT_EQ(draws, 6);  // The last step draws as well.
  double plain[] = {1.5, -2};
  int n = 0;
  for (int i = 0; i < 3; ++i) {
    for (double& p : plain) {
      const double d = p - times[i] * (0.5 * p + times[i]);
      p = (1 - times[i + 1]) * d + times[i + 1] * 0.1 * ++n;
    }
  }
  EXPECT_NEAR(x[0], plain[0], 1e-6);
  EXPECT_NEAR(x[1], plain[1], 1e-6);
}

TEST(Sample, EulerFollowsTheVelocityAndDrawsNothing) {
  int draws = 0, heard = 0;
  const auto times = Schedule(5, 0.6);
  std::vector<float> x = {1.5f};
  SamplerCalls calls = Fake(&draws);
  calls.step_done = [&](int done, int steps) {
    EXPECT_EQ(done, ++heard);
    EXPECT_EQ(steps, 5);
  };
  ASSERT_TRUE(Sample("euler", times, x, calls));
  double plain = 1.5;
  for (int i = 0; i < 5; ++i) {
    plain += (times[i + 1] - times[i]) * (0.5 * plain + times[i]);
  }
  EXPECT_NEAR(x[0], plain, 1e-6);
  EXPECT_EQ(draws, 0);
  EXPECT_EQ(heard, 5);
}

TEST(Sample, DpmPp2MHasItsFormulaAndItsLimits) {
  int draws = 0;
  const auto times = Schedule(6, 1);
  std::vector<float> x = {1.5f};
  ASSERT_TRUE(Sample("dpmpp-2m", times, x, Fake(&draws)));
  const auto l = [](double t) { return std::log((1 - t) / t); };
  double plain = 1.5, before = 0;
  for (int i = 0; i < 6; ++i) {
    const double t = times[i], u = times[i + 1];
    const double d = plain - t * (0.5 * plain + t);
    if (u == 0) {
      plain = d;
    } else if (i == 0) {  // t = 1: e^-h is 0.
      plain = u / t * plain + (1 - u) * d;
    } else {
      const double h = l(u) - l(t);
      double used = d;
      if (i > 1) {
        const double r = (l(t) - l(times[i - 1])) / h;
        used = (1 + 1 / (2 * r)) * d - 1 / (2 * r) * before;
      }
      plain = u / t * plain - (1 - u) * (std::exp(-h) - 1) * used;
    }
    before = d;
  }
  EXPECT_NEAR(x[0], plain, 1e-5);
}

TEST(Sample, EverySamplerRecoversAFixedTargetExactly) {
  // v = (x - target) / t makes the estimate the target at every time.
  for (const std::string_view name : SamplerNames()) {
    SamplerCalls calls;
    calls.velocity = [](std::span<const float> x, float t,
                        std::span<float> v) -> Status {
      for (size_t i = 0; i < x.size(); ++i) v[i] = (x[i] - 0.25f) / t;
      return {};
    };
    calls.noise = [](std::span<float> values) {
      for (float& x : values) x = 3;
    };
    std::vector<float> x = {2, -7};
    ASSERT_TRUE(Sample(name, Schedule(8, 1), x, calls)) << name;
    EXPECT_NEAR(x[0], 0.25f, 2e-6) << name;
    EXPECT_NEAR(x[1], 0.25f, 2e-6) << name;
  }
}

TEST(Sample, NamesTheSamplersWhenThereIsNoSuchOne) {
  std::vector<float> x = {1};
  const Status status = Sample("heun", Schedule(1, 1), x, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUsage);
  EXPECT_NE(status.error().message.find("dpmpp-2m"), std::string::npos);
}

TEST(Sample, HandsOnAnErrorOfTheModelAtOnce) {
  int runs = 0;
  SamplerCalls calls;
  calls.velocity = [&](auto, float, auto) -> Status {
    ++runs;
    return std::unexpected(Error{ErrorCode::kInterrupted, "interrupted"});
  };
  std::vector<float> x = {1};
  const Status status = Sample("euler", Schedule(4, 1), x, calls);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace lathe::audio

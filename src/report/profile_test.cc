#include "src/report/profile.h"

#include <vector>

#include "gtest/gtest.h"

namespace lathe::report {
namespace {

StepInfo Info(const std::string& name) {
  StepInfo info;
  info.name = name;
  info.kernel = "k";
  return info;
}

TEST(Profile, SumsUpStepsAndKinds) {
  const std::vector<double> runs = {10, 20, 12};
  const std::vector<StepInfo> steps = {Info("ADD"), Info("MUL"), Info("ADD")};
  std::vector<StepEvent> events;
  for (size_t run = 0; run < 3; ++run) {
    events.push_back({.run = run, .step = 0, .ms = 1});
    events.push_back({.run = run, .step = 1, .ms = 6});
    events.push_back({.run = run, .step = 2, .ms = 1.0 + 3.0 * run});
  }
  const ProfileFacts facts = SumUp(runs, events, steps);
  EXPECT_EQ(facts.runs, 3u);
  EXPECT_EQ(facts.median_ms, 12);
  EXPECT_EQ(facts.mean_ms, 14);
  ASSERT_EQ(facts.steps.size(), 3u);
  EXPECT_EQ(facts.steps[2].median_ms, 4);
  EXPECT_EQ(facts.steps[2].max_ms, 7);
  EXPECT_DOUBLE_EQ(facts.steps[1].share, 6.0 / 14);
  ASSERT_EQ(facts.kinds.size(), 2u);
  EXPECT_EQ(facts.kinds[0].name, "MUL");
  EXPECT_EQ(facts.kinds[1].steps, 2u);
  EXPECT_DOUBLE_EQ(facts.kinds[1].mean_ms, 5);
  EXPECT_DOUBLE_EQ(facts.outside_ms, 3);
  EXPECT_EQ(facts.events.size(), 9u);
}

TEST(Profile, LeavesOutStepsThatNoLongerExist) {
  const std::vector<double> runs = {2, 2};
  const std::vector<StepInfo> steps = {Info("ADD")};
  const std::vector<StepEvent> events = {{.run = 0, .step = 0, .ms = 1},
                                         {.run = 0, .step = 7, .ms = 1}};
  const ProfileFacts facts = SumUp(runs, events, steps);
  ASSERT_EQ(facts.steps.size(), 1u);
  EXPECT_EQ(facts.events.size(), 1u);
  EXPECT_DOUBLE_EQ(facts.steps[0].share, 0.25);  // In one of two runs.
  EXPECT_EQ(SumUp({}, {}, {}).mean_ms, 0);
}

}  // namespace
}  // namespace lathe::report

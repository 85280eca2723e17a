#include "src/plan/arena.h"

#include <random>

#include "gtest/gtest.h"

namespace lathe::plan {
namespace {

constexpr uint64_t kAlign = 64;

// The rule every plan obeys, in the slowest and plainest form.
void ExpectNoTwoLiveBlocksShareBytes(const std::vector<Lifetime>& lives,
                                     const ArenaPlan& plan) {
  for (size_t i = 0; i < lives.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kAlign, 0u) << "block " << i;
    EXPECT_LE(plan.offsets[i] + lives[i].bytes, plan.bytes) << "block " << i;
    for (size_t j = 0; j < i; ++j) {
      const bool both_alive = lives[i].first_step <= lives[j].last_step &&
                              lives[j].first_step <= lives[i].last_step;
      const bool share = plan.offsets[i] < plan.offsets[j] + lives[j].bytes &&
                         plan.offsets[j] < plan.offsets[i] + lives[i].bytes;
      EXPECT_FALSE(both_alive && share) << "blocks " << i << " and " << j;
    }
  }
}

TEST(PlanArena, HoldsItsRuleOnRandomGraphs) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    std::vector<Lifetime> lives(rng() % 40);
    for (Lifetime& life : lives) {
      life.first_step = rng() % 30;
      life.last_step = life.first_step + rng() % 10;
      life.bytes = rng() % 1000;
    }
    const auto plan = PlanArena(lives, kAlign);
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    ExpectNoTwoLiveBlocksShareBytes(lives, *plan);
  }
}

TEST(PlanArena, ReusesMemoryOfBlocksThatAreDead) {
  const std::vector<Lifetime> chain = {
      {0, 1, 1000}, {1, 2, 1000}, {2, 3, 1000}};
  const auto plan = PlanArena(chain, kAlign);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->bytes, 1024u + 1000u);
  EXPECT_EQ(plan->offsets[0], plan->offsets[2]);
}

TEST(PlanArena, RefusesALifeThatEndsBeforeItBegins) {
  const std::vector<Lifetime> lives = {{3, 2, 8}};
  EXPECT_FALSE(PlanArena(lives, kAlign).has_value());
}

TEST(PlanArena, RefusesAnAlignmentThatIsNoPowerOfTwo) {
  EXPECT_FALSE(PlanArena({}, 48).has_value());
}

TEST(PlanArena, RefusesSizesThatWouldWrap) {
  const uint64_t huge = uint64_t{1} << 62;
  const std::vector<Lifetime> lives = {{0, 1, huge}, {0, 1, huge}};
  EXPECT_FALSE(PlanArena(lives, kAlign).has_value());
}

}  // namespace
}  // namespace lathe::plan

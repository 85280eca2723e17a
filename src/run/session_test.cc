// The loop over the steps, on plans made by hand.

#include "src/run/session.h"

#include <atomic>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::run {
namespace {

using plan::Home;
using plan::Plan;
using plan::PlanTensor;
using plan::Step;
using plan::StepContext;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kConstant[] = {10, 20};

// Tensor 0 is an input, 1 a constant, 2 = 0 + 1, 3 = 2 doubled, 4 lives
// nowhere.
Plan TwoSteps() {
  Plan plan;
  plan.tensors.resize(5);
  for (PlanTensor& tensor : plan.tensors) tensor.bytes = 8;
  for (const size_t i : {0, 2, 3}) {
    plan.tensors[i].home = Home::kArena;
    plan.tensors[i].offset = 64 * i;
  }
  plan.tensors[1].home = Home::kConstant;
  plan.tensors[1].constant = reinterpret_cast<const std::byte*>(kConstant);
  plan.inputs = {0};
  plan.outputs = {3};
  plan.arena_bytes = 320;
  Step add;
  add.name = "ADD";
  add.run = [](const StepContext& context) -> Status {
    for (size_t i = 0; i < 2; ++i) {
      context.As<float>(2)[i] =
          context.As<float>(0)[i] + context.As<float>(1)[i];
    }
    return {};
  };
  Step twice;
  twice.name = "TWICE";
  twice.scratch_bytes = 8;
  twice.scratch_offset = 256;
  twice.run = [](const StepContext& context) -> Status {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    context.pool->Run(
        2, [&](size_t i, size_t) { scratch[i] = 2 * context.As<float>(2)[i]; });
    std::memcpy(context.tensors[3], scratch, 8);
    return {};
  };
  plan.steps = {std::move(add), std::move(twice)};
  return plan;
}

Session MustCreate(Plan plan) {
  auto session = Session::Create(std::move(plan));
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

float* Floats(const Session& session, int32_t tensor) {
  return reinterpret_cast<float*>(session.Bytes(tensor).data());
}

TEST(Session, BindsTensorsAndRunsTheSteps) {
  const Session session = MustCreate(TwoSteps());
  ThreadPool pool(2);
  Floats(session, 0)[0] = 1;
  Floats(session, 0)[1] = 2;
  ASSERT_TRUE(session.Run(pool, nullptr, {}));
  EXPECT_EQ(Floats(session, 3)[0], 22);
  EXPECT_EQ(Floats(session, 3)[1], 44);
  EXPECT_EQ(session.Bytes(0).size(), 8u);
  EXPECT_EQ(Floats(session, 1), kConstant);
  EXPECT_TRUE(session.Bytes(4).empty());
  EXPECT_EQ(session.plan().steps.size(), 2u);
}

TEST(Session, StartsWithMemoryOfZeros) {
  const Session session = MustCreate(TwoSteps());
  EXPECT_EQ(Floats(session, 0)[0], 0);
  EXPECT_EQ(Floats(session, 3)[1], 0);
}

TEST(Session, TellsAProfilerEachStepWithItsTime) {
  const Session session = MustCreate(TwoSteps());
  ThreadPool pool(1);
  std::vector<size_t> steps;
  std::vector<float> results;
  const OnStep hear = [&](size_t step, double milliseconds) {
    steps.push_back(step);
    EXPECT_GE(milliseconds, 0);
    EXPECT_LT(milliseconds, 1e4);
    // Each step is done when it is heard of.
    results.push_back(Floats(session, 2)[0]);
    results.push_back(Floats(session, 3)[0]);
  };
  ASSERT_TRUE(session.Run(pool, nullptr, hear));
  EXPECT_THAT(steps, ElementsAre(0, 1));
  EXPECT_THAT(results, ElementsAre(10, 0, 10, 20));
}

TEST(Session, LooksAtTheStopTokenBeforeEachStepAndBehindTheLast) {
  for (const size_t stop_behind : {0, 1}) {
    const Session session = MustCreate(TwoSteps());
    ThreadPool pool(1);
    std::atomic<bool> stop = false;
    size_t heard = 0;
    const OnStep hear = [&](size_t step, double) {
      ++heard;
      if (step == stop_behind) stop = true;
    };
    const Status status = session.Run(pool, &stop, hear);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
    EXPECT_EQ(heard, stop_behind + 1);
  }
  const Session session = MustCreate(TwoSteps());
  ThreadPool pool(1);
  const std::atomic<bool> stop = true;
  const Status status =
      session.Run(pool, &stop, [](size_t, double) { FAIL(); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(Floats(session, 2)[0], 0);
}

TEST(Session, GivesAStepsErrorWithItsNameAndGoesNoFurther) {
  Plan plan = TwoSteps();
  plan.steps[0].run = [](const StepContext&) -> Status {
    return Invalid("index 7 is 9");
  };
  const Session session = MustCreate(std::move(plan));
  ThreadPool pool(1);
  size_t heard = 0;
  const Status status =
      session.Run(pool, nullptr, [&](size_t, double) { ++heard; });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(status.error().message, HasSubstr("step 0 ADD: index 7 is 9"));
  EXPECT_EQ(heard, 0u);
}

TEST(Session, OfNothingRuns) {
  const Session session = MustCreate(Plan());
  ThreadPool pool(1);
  EXPECT_TRUE(session.Run(pool, nullptr, {}));
}

TEST(Session, KeepsItsMemoryWhenMoved) {
  Session session = MustCreate(TwoSteps());
  Floats(session, 0)[0] = 5;
  const float* const before = Floats(session, 0);
  const Session moved = std::move(session);
  EXPECT_EQ(Floats(moved, 0), before);
  ThreadPool pool(1);
  ASSERT_TRUE(moved.Run(pool, nullptr, {}));
  EXPECT_EQ(Floats(moved, 3)[0], 30);
}

TEST(Session, SaysWhenThereIsNoMemoryForTheArena) {
  Plan plan;
  plan.arena_bytes = uint64_t{1} << 62;
  const auto session = Session::Create(std::move(plan));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kSystem);
}

}  // namespace
}  // namespace lathe::run

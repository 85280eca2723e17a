// Facts about sessions: explain, profile, resizing several inputs.

#include <set>

#include "lathe/explain.hpp"
#include "lathe/profile.hpp"
#include "src/api/test_support.h"

namespace lathe {
namespace {

constexpr const char* kChain = R"(graph main
input x: float32[1,8]
const w: float32[16,8]
const v: float32[16,16]
const s: int32[2] = 16 1
a = FULLY_CONNECTED(x, w, -)
b = EXP(a)
c = FULLY_CONNECTED(b, v, -)
d = ADD(c, a)
e = RESHAPE(d, s)
output e
)";

TEST(Explain, PlacesEveryOperatorOnce) {
  const auto model = OpenText(kChain);
  ASSERT_TRUE(model) << model.error().message;
  const auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  const auto facts = Explain(*session);
  ASSERT_TRUE(facts) << facts.error().message;
  std::multiset<uint32_t> ops;
  uint64_t packed = 0;
  for (const PlannedStep& step : facts->steps) {
    ops.insert(step.ops.begin(), step.ops.end());
    packed += step.packed_bytes;
  }
  for (const auto& [op, why] : facts->without_step) ops.insert(op);
  EXPECT_EQ(ops, (std::multiset<uint32_t>{0, 1, 2, 3, 4}));
  ASSERT_EQ(facts->steps.size(), session->steps().size());
  EXPECT_EQ(facts->steps.back().op_names,
            (std::vector<std::string>{"FULLY_CONNECTED", "ADD"}));
  EXPECT_EQ(facts->packed_bytes, packed);
  EXPECT_GE(packed, (16 * 8 + 16 * 16) * sizeof(float));
  EXPECT_EQ(facts->arena_bytes, session->stats().arena_bytes);
  EXPECT_EQ(facts->unplanned, "");
}

TEST(Explain, MapsAnArenaInWhichNothingAliveOverlaps) {
  const auto model = OpenText(kChain);
  ASSERT_TRUE(model) << model.error().message;
  const auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  const auto facts = Explain(*session);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_FALSE(facts->arena.empty());
  uint64_t at_peak = 0;
  for (const ArenaBlock& a : facts->arena) {
    EXPECT_LE(a.offset + a.bytes, facts->arena_bytes) << a.name;
    if (a.first_step <= facts->peak_step && facts->peak_step <= a.last_step) {
      at_peak += a.bytes;
    }
    for (const ArenaBlock& b : facts->arena) {
      if (&a == &b) continue;
      const bool both_alive =
          a.first_step <= b.last_step && b.first_step <= a.last_step;
      const bool share =
          a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      EXPECT_FALSE(both_alive && share) << a.name << " and " << b.name;
    }
  }
  EXPECT_EQ(at_peak, facts->peak_bytes);
}

TEST(Profiler, RecordsEachStepOfEachRun) {
  const auto model = OpenText(kChain);
  ASSERT_TRUE(model) << model.error().message;
  Profiler profiler;
  SessionOptions options;
  options.on_step = profiler.OnStep();
  auto session = Session::Create(*model, options);
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_TRUE(session->Run());  // Not recorded.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(profiler.Run(*session));
  const ProfileFacts facts = profiler.Facts(*session);
  EXPECT_EQ(facts.runs, 3u);
  EXPECT_EQ(facts.steps.size(), session->steps().size());
  EXPECT_EQ(facts.events.size(), 3 * facts.steps.size());
  double end = 0;
  for (const StepEvent& event : facts.events) {
    EXPECT_GE(event.start_ms, end - 1e-6);
    end = event.start_ms + event.ms;
  }
}

// n counts down; x doubles.
constexpr const char* kLoop = R"(graph main
input n: float32[1]
input x: float32[4]
m: float32[1], y: float32[4] = WHILE(n, x) {cond_subgraph_index=1 body_subgraph_index=2}
z = EXP(y)
output z
graph cond
input n: float32[1]
input x: float32[4]
const zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph body
input n: float32[1]
input x: float32[4]
const one: float32[1] = 1
less: float32[1] = SUB(n, one)
twice: float32[4] = ADD(x, x)
output less
output twice
)";

TEST(Explain, ShowsWhatStepsHaveRun) {
  const auto model = OpenText(kLoop);
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_TRUE(Explain(*session)->called.empty());
  Fill<float>(*session, "n", {3});
  ASSERT_TRUE(session->Run());
  const auto facts = Explain(*session);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->subgraph_name, "main");
  ASSERT_EQ(facts->called.size(), 2u);
  EXPECT_EQ(facts->called[0].subgraph_name, "cond");
  EXPECT_EQ(facts->called[1].subgraph, 2u);
  ASSERT_EQ(facts->called[1].steps.size(), 2u);
  EXPECT_EQ(facts->called[1].steps[1].tensor_name, "twice");
  EXPECT_GE(facts->arena_bytes,
            facts->called[0].arena_bytes + facts->called[1].arena_bytes);
}

TEST(Profiler, AddsUpTheStepsInsideLoops) {
  const auto model = OpenText(kLoop);
  ASSERT_TRUE(model) << model.error().message;
  Profiler profiler;
  SessionOptions options;
  options.on_step = profiler.OnStep();
  options.on_inner_step = profiler.OnInnerStep();
  auto session = Session::Create(*model, options);
  ASSERT_TRUE(session) << session.error().message;
  for (const float rounds : {3.0f, 4.0f}) {
    Fill<float>(*session, "n", {rounds});
    ASSERT_TRUE(profiler.Run(*session));
  }
  const ProfileFacts facts = profiler.Facts(*session);
  EXPECT_EQ(facts.steps.size(), 2u);
  ASSERT_EQ(facts.inner.size(), 3u);
  EXPECT_EQ(facts.inner[0].info.name, "GREATER");
  EXPECT_EQ(facts.inner[0].times, 4.5);
  EXPECT_EQ(facts.inner[2].subgraph_name, "body");
  EXPECT_EQ(facts.inner[2].info.tensor, "twice");
  EXPECT_EQ(facts.inner[2].times, 3.5);
  double inside = 0;
  for (const InnerTimes& one : facts.inner) inside += one.mean_ms;
  EXPECT_LE(inside, facts.mean_ms);
}

TEST(Session, ResizesInputsThatOnlyFitTogether) {
  const auto model = OpenText(R"(graph main
input x: float32[2,8] resizable[-1,8]
input y: float32[2,8] resizable[-1,8]
z = ADD(x, y)
output z
)");
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<int32_t> five = {5, 8};
  EXPECT_FALSE(session->Resize("x", five));  // [5,8] and [2,8].
  const std::vector<InputShape> both = {{"x", five}, {"#1", five}};
  const Status status = session->Resize(both);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(session->outputs()[0].shape, five);
  // Every shape that does not fit is named; the session stays as it was.
  const std::vector<InputShape> wrong = {{"x", {5}}, {"y", {5, 9}}};
  const Status refused = session->Resize(wrong);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("\"x\""), std::string::npos);
  EXPECT_NE(refused.error().message.find("\"y\""), std::string::npos);
  EXPECT_EQ(session->outputs()[0].shape, five);
}

}  // namespace
}  // namespace lathe

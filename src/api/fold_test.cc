#include "src/api/fold.h"

#include "gmock/gmock.h"
#include "lathe/explain.hpp"
#include "src/api/test_support.h"

namespace lathe {
namespace {

using testing::ElementsAre;

std::vector<std::string> StepsOf(const Session& session) {
  std::vector<std::string> names;
  for (const StepInfo& step : session.steps()) names.push_back(step.name);
  return names;
}

TEST(FoldedConstants, AreWorkedOutOnceWhenTheModelIsOpened) {
  constexpr std::string_view kText = R"(graph main
input x: float32[2,3]
const c: float32[3,2] = 1 4 9 16 25 36
const swap: int32[2] = 1 0
const d: float32[2,1] = 1 10
root = SQRT(c)
turned = TRANSPOSE(root, swap)
shift = MUL(turned, d)
y = ADD(x, shift)
output y
)";
  ModelOptions unfolded;
  unfolded.skip_passes = {"fold_constants"};
  const auto model = OpenText(kText), plain = OpenText(kText, unfolded);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(plain) << plain.error().message;
  auto session = Session::Create(*model), other = Session::Create(*plain);
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_THAT(StepsOf(*session), ElementsAre("ADD"));
  EXPECT_EQ(StepsOf(*other).size(), 4u);
  for (Session* each : {&*session, &*other}) {
    Fill<float>(*each, "x", {0, 0, 0, 1, 1, 1});
    ASSERT_TRUE(each->Run());
    EXPECT_THAT(Read(*each, "y"), ElementsAre(1, 3, 5, 21, 41, 61));
  }
}

TEST(FoldedConstants, AreNotMuchLargerThanWhatTheyAreMadeOf) {
  const auto model = OpenText(R"(graph main
input x: float32[1000,1000]
const c: float32[1] = 7
const shape: int32[2] = 1000 1000
root = SQRT(c)
wide = BROADCAST_TO(root, shape)
y = ADD(x, wide)
output y
)");
  ASSERT_TRUE(model) << model.error().message;
  const auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_THAT(StepsOf(*session), ElementsAre("BROADCAST_TO", "ADD"));
}

TEST(FoldedConstants, AreWeightsThatKernelsPack) {
  const auto model = OpenText(R"(graph main
input x: float32[2,40]
const c: float32[40,64]
const swap: int32[2] = 1 0
w = TRANSPOSE(c, swap)
y = FULLY_CONNECTED(x, w, -)
output y
)");
  ASSERT_TRUE(model) << model.error().message;
  const auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_THAT(StepsOf(*session), ElementsAre("FULLY_CONNECTED"));
  EXPECT_GT(session->stats().packed_bytes, 0u);
}

TEST(FoldedConstants, TakeABoundedTimeHoweverManyThereAre) {
  std::string text =
      "graph main\ninput x: float32[1]\n"
      "const c: float32[1000000]\nconst axis: int32[1] = 0\n";
  for (int i = 0; i < 100; ++i) {
    text += fmt::format("s{} = SUM(c, axis) {{keep_dims=true}}\n", i);
    text += fmt::format("y{} = ADD(x, s{})\noutput y{}\n", i, i, i);
  }
  const auto model = OpenText(text);
  ASSERT_TRUE(model) << model.error().message;
  const auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  // 4 MB and a little for each of those that were worked out.
  const size_t sums = StepsOf(*session).size() - 100;
  EXPECT_GT(sums, 30u);
  EXPECT_LT(sums, 60u);
}

TEST(FoldedConstants, AValueThatCannotBeWorkedOutIsAnErrorWhenItRuns) {
  const auto model = OpenText(R"(graph main
input x: float32[2]
const c: float32[3] = 1 2 3
const at: int32[2] = 1 7
row = GATHER(c, at)
y = ADD(x, row)
output y
)");
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::Create(*model);
  ASSERT_TRUE(session) << session.error().message;
  const Status status = session->Run();
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("index 1 is 7"), std::string::npos)
      << status.error().message;
}

}  // namespace
}  // namespace lathe

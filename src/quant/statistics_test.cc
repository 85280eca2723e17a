#include "src/quant/statistics.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::quant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Statistics, AreReadInBothForms) {
  for (const char* json :
       {R"({"model_qsvs": {"x": {"min": [[-1.5]], "max": [[2]],
           "num_samples": 3}}, "metadata": {}})",
        R"({"x": {"min": [[-1.5]], "max": [[2]]}})"}) {
    const auto read = ParseStatistics(json, "", "stats");
    ASSERT_TRUE(read) << read.error().message;
    const TensorStatistics* x = read->Find("x");
    ASSERT_NE(x, nullptr);
    EXPECT_THAT(x->min, ElementsAre(-1.5));
    EXPECT_THAT(x->max, ElementsAre(2));
    EXPECT_EQ(x->rank, 2);
    EXPECT_EQ(read->Find("y"), nullptr);
  }
}

// Reference A13.
TEST(Statistics, HoldMomentsAndMatrices) {
  const auto read = ParseStatistics(
      R"({"x": {"min": [0], "max": [1], "mu2": [1, 2],
                "num_samples": 12, "hessian": [[1, 2], [3, 4]]},
          "y": {"hessian": {"npy": "h.npy"}}})",
      "/folder", "stats");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->Find("x")->mu2, ElementsAre(1, 2));
  EXPECT_THAT(*ReadHessian(*read->Find("x"), 2), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(read->Find("x")->num_samples, 12u);
  EXPECT_EQ(read->Find("y")->num_samples, 0u);
  EXPECT_FALSE(ReadHessian(*read->Find("x"), 3));
  EXPECT_EQ(read->Find("y")->hessian_file, "/folder/h.npy");
  EXPECT_FALSE(read->Find("y")->has_range());
}

TEST(Statistics, ARangeThatIsNotFiniteIsNone) {
  const auto read = ParseStatistics(
      R"({"NaN": {"min": [-Infinity], "max": [1]},
          "x": {"min": [0], "max": [NaN]}, "y": {"min": [0], "max": [1]}})",
      "", "stats");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read->Find("NaN")->has_range());
  EXPECT_FALSE(read->Find("x")->has_range());
  EXPECT_TRUE(read->Find("y")->has_range());
}

TEST(Statistics, NameWhatIsWrong) {
  for (const char* json :
       {"[]", "{", R"({"x": 1})", R"({"x": {"min": ["a"], "max": [1]}})",
        R"({"x": {"min": [1, 2], "max": [1]}})",
        R"({"x": {"hessian": {"file": "a"}}})"}) {
    const auto read = ParseStatistics(json, "", "stats");
    ASSERT_FALSE(read) << json;
    EXPECT_THAT(read.error().message, HasSubstr("stats"));
  }
}

}  // namespace
}  // namespace lathe::quant

#include "lathe/words.hpp"

#include <array>
#include <string>

#include "gtest/gtest.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 3> kWords = {"--seconds", "--seed",
                                                    "CHANNELWISE"};

TEST(DidYouMean, NamesTheWordOfFewestEdits) {
  EXPECT_EQ(DidYouMean("--secnds", kWords), "; did you mean \"--seconds\"?");
  EXPECT_EQ(DidYouMean("--sed", kWords), "; did you mean \"--seed\"?");
}

TEST(DidYouMean, CountsNoCase) {
  EXPECT_EQ(DidYouMean("channelwise", kWords),
            "; did you mean \"CHANNELWISE\"?");
}

TEST(DidYouMean, IsSilentWhereNothingIsNear) {
  EXPECT_EQ(DidYouMean("per_tensor", kWords), "");
  EXPECT_EQ(DidYouMean("", kWords), "");
  EXPECT_EQ(DidYouMean("x", {}), "");
  EXPECT_EQ(DidYouMean(std::string(201, 'x'), kWords), "");
}

}  // namespace
}  // namespace lathe

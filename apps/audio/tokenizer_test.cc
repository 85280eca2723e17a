// The window rules, with the vocabulary of the nano model.

#include "apps/audio/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace lathe::audio {
namespace {

constexpr char kModel[] = "models/nano/t5/spiece.model";

Tokenizer Nano(int window = 32) {
  auto tokenizer = Tokenizer::Open(kModel, window);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *tokenizer;
}

TEST(Tokenizer, EndsWithOneAndPadsWithZero) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no " << kModel;
  const auto window = Nano().Encode("kick drum");
  ASSERT_TRUE(window) << window.error().message;
  ASSERT_EQ(window->ids.size(), 32u);
  ASSERT_GT(window->tokens, 0);
  EXPECT_EQ(window->cut, 0);
  EXPECT_EQ(window->ids[window->tokens], 1);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(window->mask[i], i <= window->tokens ? 1 : 0);
    if (i < window->tokens) {
      EXPECT_GT(window->ids[i], 1);
    } else if (i > window->tokens) {
      EXPECT_EQ(window->ids[i], 0);
    }
  }
}

TEST(Tokenizer, IgnoresSpacesAtBothEnds) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no " << kModel;
  EXPECT_EQ(Nano().Encode(" \t kick drum \n")->ids,
            Nano().Encode("kick drum")->ids);
}

TEST(Tokenizer, CutsALongTextAndSaysHowMuch) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no " << kModel;
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "kick drum ";
  const auto window = Nano(8).Encode(text);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->tokens, 7);
  EXPECT_EQ(window->ids[7], 1);
  EXPECT_GT(window->cut, 10000);
  EXPECT_EQ(std::ranges::count(window->mask, 1), 8);
}

TEST(Tokenizer, RefusesBlankAndBrokenText) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no " << kModel;
  for (const std::string text : {"", "   ", "\t\n", "\xC2\xA0\xE3\x80\x80"}) {
    const auto window = Nano().Encode(text);
    ASSERT_FALSE(window) << text;
    EXPECT_EQ(window.error().code, ErrorCode::kInvalidInput);
  }
  const auto window = Nano().Encode("kick \xFF drum");
  ASSERT_FALSE(window);
  EXPECT_NE(window.error().message.find("byte 5"), std::string::npos);
  EXPECT_FALSE(Nano().Encode(std::string((1 << 20) + 1, 'a')));
}

TEST(Tokenizer, RefusesAFileThatIsNoModel) {
  const auto path = std::filesystem::path(testing::TempDir()) / "no.model";
  std::ofstream(path) << "this is no model";
  const auto tokenizer = Tokenizer::Open(path, 32);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(Tokenizer::Open("/nowhere/x", 32).error().code, ErrorCode::kSystem);
}

TEST(FirstInvalidUtf8, FindsOverlongFormsSurrogatesAndCutCharacters) {
  EXPECT_EQ(FirstInvalidUtf8("a\xC3\xA9\xF0\x9F\x8E\xB5"), std::string::npos);
  EXPECT_EQ(FirstInvalidUtf8("a\xC0\x80"), 1u);
  EXPECT_EQ(FirstInvalidUtf8("ab\xED\xA0\x80"), 2u);
  EXPECT_EQ(FirstInvalidUtf8("\xF4\x90\x80\x80"), 0u);
  EXPECT_EQ(FirstInvalidUtf8("abc\xE2\x82"), 3u);
}

}  // namespace
}  // namespace lathe::audio

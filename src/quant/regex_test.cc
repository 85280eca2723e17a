#include "src/quant/regex.h"

#include <string>

#include "gtest/gtest.h"

namespace lathe::quant {
namespace {

bool Matches(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::Compile(pattern);
  EXPECT_TRUE(regex) << pattern << ": " << regex.error().message;
  if (!regex) return false;
  const auto found = regex->Search(text);
  EXPECT_TRUE(found) << pattern << ": " << found.error().message;
  return found && *found;
}

TEST(Regex, SearchesAnywhereAsPythonDoes) {
  EXPECT_TRUE(Matches("foo", "a/foo2;"));
  EXPECT_FALSE(Matches("foo;", "a/foo2;"));
  EXPECT_TRUE(Matches("^a/foo2;$", "a/foo2;"));
  EXPECT_TRUE(Matches("", "anything"));
  EXPECT_TRUE(Matches("x|foo", "foo"));
}

TEST(Regex, KnowsLookaroundNamesAndBackreferences) {
  EXPECT_TRUE(Matches("(?<!pre)fix", "a fix"));
  EXPECT_FALSE(Matches("(?<!pre)fix", "prefix"));
  EXPECT_TRUE(Matches("layer_(?!0)", "layer_1;"));
  EXPECT_FALSE(Matches("layer_(?!0)", "layer_0;"));
  EXPECT_TRUE(Matches("(?P<d>[0-9])_(?P=d)", "3_3"));
  EXPECT_FALSE(Matches("(?P<d>[0-9])_(?P=d)", "3_4"));
  EXPECT_TRUE(Matches("(?i)FOO", "foo"));
}

TEST(Regex, ReadsWhatPcreReadsOtherwiseAsPythonDoes) {
  EXPECT_TRUE(Matches("a{,2}b", "aab"));
  EXPECT_TRUE(Matches("\\Ab\\Z", "b"));
  EXPECT_FALSE(Matches("b\\Z", "b\n"));
  EXPECT_TRUE(Matches("[[:x]", ":"));
  EXPECT_TRUE(Matches("\\u0041", "A"));
  EXPECT_TRUE(Matches("\\w", "\xC3\xA9"));
}

TEST(Regex, RefusesWhatPythonRefuses) {
  for (const char* pattern :
       {"fc(", "\\q", "(*COMMIT)a", "(?R)", "a\\", "\\Kx", "[a", "*", "\\h"}) {
    EXPECT_FALSE(Regex::Compile(pattern)) << pattern;
  }
}

TEST(Regex, StopsBeforeBacktrackingForEver) {
  const auto regex = Regex::Compile("(a+)+$");
  ASSERT_TRUE(regex);
  EXPECT_FALSE(regex->Search(std::string(5000, 'a') + "b"));
}

}  // namespace
}  // namespace lathe::quant

#include "src/kernels/strings/strings.h"

#include <string>
#include <vector>

#include "src/kernels/test_support.h"

namespace lathe::kernels {
namespace {

using Texts = std::vector<std::string>;
using Blob = std::vector<std::byte>;

Blob Packed(const Texts& texts) {
  Blob blob;
  EXPECT_TRUE(
      WriteStrings(texts.size(), [&](size_t i) { return texts[i]; }, blob));
  return blob;
}

Texts Unpacked(const Blob& blob) {
  const StringsView view(blob.data());
  EXPECT_EQ(view.bytes(), blob.size());
  EXPECT_TRUE(CheckStrings(blob, view.size()));
  Texts texts;
  for (size_t i = 0; i < view.size(); ++i) texts.emplace_back(view[i]);
  return texts;
}

StringsView View(const Blob& blob) { return StringsView(blob.data()); }

const Texts kSix = {"a", "", "ccc", "dd", std::string("e\0e", 3), "f"};

TEST(Strings, ArePackedAsTheFormatSays) {
  const Blob blob = Packed({"ab", ""});
  std::vector<int32_t> words(4);
  std::memcpy(words.data(), blob.data(), 16);
  EXPECT_EQ(words, (std::vector<int32_t>{2, 16, 18, 18}));
  EXPECT_EQ(blob.size(), 18u);
  EXPECT_EQ(Unpacked(Packed(kSix)), kSix);
  EXPECT_EQ(Unpacked(Packed({})), Texts());
}

TEST(Strings, ThatLieAreFound) {
  const Blob good = Packed(kSix);
  EXPECT_TRUE(CheckStrings(good, 6));
  EXPECT_FALSE(CheckStrings(good, 5));
  EXPECT_FALSE(CheckStrings({}, 0));
  EXPECT_FALSE(CheckStrings(std::span(good).first(good.size() - 1), 6));
  EXPECT_FALSE(CheckStrings(std::span(good).first(12), 6));
  for (size_t word = 0; word < 8; ++word) {
    for (const int32_t off : {-1, 1, 1000, INT32_MIN}) {
      Blob bad = good;
      int32_t value;
      std::memcpy(&value, bad.data() + 4 * word, 4);
      value = static_cast<int32_t>(static_cast<uint32_t>(value) +
                                   static_cast<uint32_t>(off));
      std::memcpy(bad.data() + 4 * word, &value, 4);
      // A text may end elsewhere as long as the order holds.
      if (CheckStrings(bad, 6)) Unpacked(bad);
      if (word < 2 || word == 7) {
        EXPECT_FALSE(CheckStrings(bad, 6)) << word << " " << off;
      }
    }
  }
}

TEST(Strings, CompareByBytes) {
  const std::vector<int32_t> six = {2, 3}, row = {3};
  const Blob a = Packed(kSix), b = Packed({"dd", "", "ccc"});
  const BroadcastLoops loops = PlanBroadcast(six, row, six);
  std::vector<uint8_t> y(6);
  RunStringEqual(View(a), View(b), loops, true, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{0, 1, 1, 1, 0, 0}));
  RunStringEqual(View(a), View(b), loops, false, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{1, 0, 0, 0, 1, 1}));
}

TEST(Strings, MoveLikeNumbers) {
  const Blob from = Packed(kSix);
  Blob out = Packed({"old", "contents"});
  CopyLoops transpose;
  transpose.Add(3, 1, 0);
  transpose.Add(2, 3, 0);
  ASSERT_TRUE(RunStringCopy(transpose, View(from), out));
  EXPECT_EQ(Unpacked(out),
            (Texts{kSix[0], kSix[3], kSix[1], kSix[4], kSix[2], kSix[5]}));
  CopyLoops back;
  back.from_first = 5;
  back.Add(3, -2, 0);
  ASSERT_TRUE(RunStringCopy(back, View(from), out));
  EXPECT_EQ(Unpacked(out), (Texts{kSix[5], kSix[3], kSix[1]}));
  CopyLoops none;
  none.Add(0, 1, 0);
  ASSERT_TRUE(RunStringCopy(none, View(from), out));
  EXPECT_EQ(Unpacked(out), Texts());
}

TEST(Strings, AreJoined) {
  const Blob a = Packed({"a", "b"}), b = Packed({"1", "2", "3", "4"});
  const StringsView parts[] = {View(a), View(b)};
  const size_t widths[] = {1, 2};
  Blob out;
  ASSERT_TRUE(RunStringJoin(parts, widths, 2, out));
  EXPECT_EQ(Unpacked(out), (Texts{"a", "1", "2", "b", "3", "4"}));
}

TEST(Strings, AreGathered) {
  const Blob table = Packed(kSix);
  Blob out;
  const int64_t indices[] = {2, 0, 2};
  ASSERT_TRUE(RunStringGather(2, 3, 1, indices, View(table), out));
  EXPECT_EQ(Unpacked(out),
            (Texts{kSix[2], kSix[0], kSix[2], kSix[5], kSix[3], kSix[5]}));
  ASSERT_TRUE(
      RunStringGather(1, 3, 2, std::span(indices).first(1), View(table), out));
  EXPECT_EQ(Unpacked(out), (Texts{kSix[4], kSix[5]}));
  const int64_t bad[] = {0, 3};
  const Status status = RunStringGather(1, 3, 2, bad, View(table), out);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "index 1 is 3, allowed 0 to 2");

  const int32_t dims[] = {2, 3};
  const int64_t pairs[] = {1, 2, 0, 0};
  ASSERT_TRUE(RunStringGatherNd(dims, 1, pairs, 2, View(table), out));
  EXPECT_EQ(Unpacked(out), (Texts{kSix[5], kSix[0]}));
  const int64_t outside[] = {1, 2, 0, -1};
  EXPECT_FALSE(RunStringGatherNd(dims, 1, outside, 2, View(table), out));
}

TEST(Strings, AreSelected) {
  const std::vector<int32_t> six = {2, 3}, column = {2, 1}, one = {};
  const Blob a = Packed(kSix), b = Packed({"no"});
  const uint8_t condition[] = {1, 0};
  Blob out;
  ASSERT_TRUE(RunStringSelect(PlanSelect(column, six, one, six), condition,
                              View(a), View(b), out));
  EXPECT_EQ(Unpacked(out), (Texts{"a", "", "ccc", "no", "no", "no"}));
}

}  // namespace
}  // namespace lathe::kernels

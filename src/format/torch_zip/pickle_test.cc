// Pickles that torch does not write, and those that would take all memory.

#include "src/format/torch_zip/pickle.h"

#include "gmock/gmock.h"
#include "src/format/checkpoint_testing.h"

namespace lathe::format {
namespace {

using testing::HasSubstr;

std::string MessageOf(const std::string& bytes) {
  const auto pickle = ReadPickle(std::as_bytes(std::span(bytes)), "file");
  return pickle ? "read" : pickle.error().message;
}

TEST(Pickle, ReadsIntegersOfEveryWidth) {
  const struct {
    std::string bytes;
    int64_t value;
  } cases[] = {{"K\xff", 255},
               {"M\xff\xff", 65535},
               {"J\xff\xff\xff\xff", -1},
               {LittleEndian(0x008a, 2), 0},
               {"\x8a\x01\x80", -128},
               {"\x8a\x02\xff" + LittleEndian(0, 1), 255},
               {"\x8a\x08" + LittleEndian(1ull << 63, 8), INT64_MIN}};
  for (const auto& [bytes, value] : cases) {
    const std::string text = pkl::Pickled(bytes);
    const auto pickle = ReadPickle(std::as_bytes(std::span(text)), "file");
    ASSERT_TRUE(pickle) << pickle.error().message;
    EXPECT_EQ(pickle->root->kind, PickleValue::Kind::kInt);
    EXPECT_EQ(pickle->root->number, value);
  }
}

TEST(Pickle, ReadsTheOpcodesOfProtocolFive) {
  const std::string text = "\x80\x05\x95" + LittleEndian(0, 8) +
                           "\x8c\x0b"
                           "collections\x94\x8c\x0bOrderedDict\x94"
                           "\x93\x94)R\x94(\x8c\x01k\x94K\x07u.";
  const auto pickle = ReadPickle(std::as_bytes(std::span(text)), "file");
  ASSERT_TRUE(pickle) << pickle.error().message;
  EXPECT_EQ(pickle->root->kind, PickleValue::Kind::kDict);
  EXPECT_EQ(pickle->root->items.size(), 2u);
}

TEST(Pickle, RefusesBrokenOnes) {
  const struct {
    std::string bytes;
    const char* message;
  } cases[] = {
      {"", "ends without STOP"},
      {".", "unbalanced stack"},
      {"NN.", "unbalanced stack"},
      {"(N.", "unbalanced stack"},
      {"t.", "no MARK"},
      {"N(0.", "stack is empty"},
      {"h\x05.", "unknown memo entry"},
      {"X\xff\xff\xff\x7f"
       "a.",
       "a string longer than the file"},
      {"\x8d" + LittleEndian(UINT64_MAX, 8) + ".", "longer than the file"},
      {"K", "cut short"},
      {"\x8a\xff", "cut short"},
      {"NNa.", "appends to what is not a list"},
      {"}(Nu.", "a key without a value"},
      {"N)R.", "calls what is not a name"},
      {"cos", "a name without an end"},
      {"\x80\x09.", "protocol not 2 to 5"},
      {"NQ.", "a storage id not a tuple"},
      {"ios\nsystem\n.", "torch does not write it"},  // INST
      {"(o.", "torch does not write it"},             // OBJ
      {"\x82\x01.", "torch does not write it"},       // EXT1
      {"\x97.", "torch does not write it"},           // NEXT_BUFFER
      {"c" + std::string(2000, 'a') + "\nb\n.", "a long name"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_THAT(MessageOf(bytes), HasSubstr(message)) << bytes.substr(0, 40);
  }
}

TEST(Pickle, RefusesThoseThatMultiplyWhatTheyHold) {
  const char* const kTooMuch = "more than any checkpoint has";
  // One tuple of 100,000 items, then calls that each copy it.
  std::string calls = "(" + std::string(100'000, 'N') + "tq\x01" + "0";
  for (int i = 0; i < 100'000; ++i) calls += "ca\nb\nh\x01R0";
  EXPECT_THAT(MessageOf(calls + "N."), HasSubstr(kTooMuch));
  // Every value once more in the memo.
  std::string memo = "N";
  memo += std::string(4'000'000, '\x94');
  EXPECT_THAT(MessageOf(memo + "."), HasSubstr(kTooMuch));
  const char* const kTooMany = "more values than any checkpoint has";
  EXPECT_THAT(MessageOf(std::string(2'000'000, '(')), HasSubstr(kTooMany));
  EXPECT_THAT(MessageOf(std::string(2'000'000, 'N')), HasSubstr(kTooMany));
}

}  // namespace
}  // namespace lathe::format

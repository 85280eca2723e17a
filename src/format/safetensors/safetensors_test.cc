// Every rule of the header, broken once.

#include "src/format/safetensors/safetensors.h"

#include "gmock/gmock.h"
#include "src/format/checkpoint_testing.h"

namespace lathe::format {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string One(std::string_view dtype, std::string_view shape,
                std::string_view offsets) {
  return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})",
                     dtype, shape, offsets);
}

TEST(Safetensors, IsReadWithMetadataPaddingScalarsAndEmptyTensors) {
  const TempFile file(Safetensors(
      R"({"__metadata__":{"format":"pt"},)"
      R"("s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("e":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]},)"
      R"("m":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}}    )",
      FloatBytes({1, 2, 3})));
  const auto checkpoint = Checkpoint::Open(file.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ((*checkpoint)->tensors().size(), 3u);
  EXPECT_THAT(AllFloats(**checkpoint, "s"), ElementsAre(1));
  EXPECT_THAT(AllFloats(**checkpoint, "e"), ElementsAre());
  EXPECT_THAT(AllFloats(**checkpoint, "m"), ElementsAre(2, 3));
  EXPECT_THAT((*checkpoint)->Find("m")->shape, ElementsAre(2, 1));
}

TEST(Safetensors, RefusesEveryBrokenRule) {
  const std::string data = FloatBytes({1, 2});
  const struct {
    std::string header;
    const char* message;
  } cases[] = {
      {One("F32", "[3]", "[0,8]"), "need 12 bytes, it has 8"},
      {One("F31", "[2]", "[0,8]"), "\"F31\" is not known"},
      {One("F32", "[2]", "[0,9]"), "data_offsets [0,9] in data of 8"},
      {One("F32", "[2]", "[8,0]"), "data_offsets [8,0]"},
      {One("F32", "[2]", "[-8,0]"), "data_offsets [-8,0]"},
      {One("F32", "[2]", "[0,8.0]"), "data_offsets [0,8.0]"},
      {One("F32", "[-2]", "[0,8]"), "not one of sizes"},
      {One("F32", "[4611686018427387904,4]", "[0,8]"), "not one of sizes"},
      {One("F32", "[0,4611686018427387904,4611686018427387904]", "[0,0]"),
       "not one of sizes"},
      {One("F32", "[1]", "[0,4]"), "end at data byte 4 of 8"},
      {One("F32", "[1]", "[4,8]"), "data byte 0: a hole"},
      {One("F4", "[3]", "[0,1]"), "need 1 bytes"},
      {One("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]"),
       "a list of more than 16"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "an overlap"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "\"a\" stands in the header twice"},
      {R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})",
       "\"shape\" stands in the header twice"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", "expected dtype, shape"},
      {R"({"a":7})", "expected dtype, shape"},
      {R"({"__metadata__":{"a":1}})", "an object of strings"},
      {R"({"a":[[[[[[[[[[[[]]]]]]]]]]]]})", "not one flat JSON object"},
      {R"({"a":)", "not JSON"},
      {"{\"\xff\":1}", "not JSON"},
  };
  for (const auto& [header, message] : cases) {
    EXPECT_THAT(OpenMessage(Safetensors(header, data)), HasSubstr(message))
        << header;
  }
  EXPECT_THAT(OpenMessage(LittleEndian(UINT64_MAX, 8) + "{}"),
              HasSubstr("header of 18446744073709551615 bytes"));
}

TEST(Safetensors, ListsEveryProblemAtOnce) {
  const std::string message = OpenMessage(
      Safetensors(R"({"a":{"dtype":"?","shape":[],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}})",
                  "1234"));
  EXPECT_THAT(message, HasSubstr("\"a\""));
  EXPECT_THAT(message, HasSubstr("\"b\""));
}

}  // namespace
}  // namespace lathe::format

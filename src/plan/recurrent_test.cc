// What of recurrent operators is refused, and how.

#include "gmock/gmock.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

// Its arithmetic is another one: gates are summed in int8 and each product has
// a scale of its own among the intermediates.
TEST(IntegerLstm, RefusesTheFormOfTwelveIntermediatesByName) {
  std::string text = R"(graph main
input x: int8[1,2] scale[1] zero[0]
const w: int8[3,2] scale[1] zero[0]
const r: int8[3,3] scale[1] zero[0]
const b: int32[3]
variable h: int8[1,3] scale[1] zero[0]
variable c: int16[1,3] scale[0.5] zero[0]
)";
  std::string via;
  for (int i = 0; i < 12; ++i) {
    text += fmt::format("unused i{}: int8[1,3] scale[1] zero[0]\n", i);
    via += fmt::format("{}i{}", i ? ", " : "", i);
  }
  text +=
      "y: int8[1,3] scale[1] zero[0] = LSTM(x, w, w, w, w, r, r, r, r, -, -, "
      "-, b, b, b, b, -, -, h, c) via (" +
      via + ")\noutput y\n";
  const Bench bench(text);
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(bench.status().error().message,
              testing::AllOf(testing::HasSubstr("LSTM (\"y\")"),
                             testing::HasSubstr("12 intermediates")));
}

}  // namespace
}  // namespace lathe::plan

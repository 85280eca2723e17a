// Weights in float16: half the memory of float32, and the same bits.

#include <cstring>

#include "src/base/half.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

// The bytes of `values` as the graph's text has them.
template <typename T>
std::string Hex(const std::vector<T>& values) {
  std::string text = "0x";
  for (const T value : values) {
    uint8_t bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  }
  return text;
}

TEST(HalfWeights, TakeHalfTheMemoryAndGiveTheSameBits) {
  constexpr size_t kN = 64, kK = 40;
  std::mt19937 rng(1);
  std::vector<uint16_t> halves(kN * kK);
  std::vector<float> floats;
  for (uint16_t& half : halves) {
    half = FloatToHalf(static_cast<float>(rng() % 2001) * 1e-3f - 1);
    floats.push_back(HalfToFloat(half));
  }
  const std::string rest = R"(
y = FULLY_CONNECTED(x, w, -)
z = ADD(y, r)
output z
)";
  const std::string head =
      "graph main\ninput x: float32[7,40]\n"
      "input r: float32[7,64]\n";
  for (const Isa isa : IsasHere()) {
    SCOPED_TRACE(Name(isa));
    PlanOptions options;
    options.isa = isa;
    options.threads = 2;
    const Bench wide(head + "const w: float32[64,40] = " + Hex(floats) + rest,
                     options);
    const Bench narrow(head + "const h: float16[64,40] = " + Hex(halves) +
                           "\nw = DEQUANTIZE(h)" + rest,
                       options);
    ASSERT_TRUE(wide.status()) << wide.status().error().message;
    ASSERT_TRUE(narrow.status()) << narrow.status().error().message;
    EXPECT_EQ(2 * narrow.cache().bytes(), wide.cache().bytes());
    // Nothing reads them as float32.
    EXPECT_EQ(narrow.Named("w").constant, nullptr);
    for (const Bench* bench : {&wide, &narrow}) {
      bench->Fill(2);
      ASSERT_TRUE(bench->Run());
    }
    EXPECT_EQ(narrow.Output(0), wide.Output(0));
  }
}

}  // namespace
}  // namespace lathe::plan

// Regions whose shapes changed behind the passes that marked them.

#include <string>

#include "gtest/gtest.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

// A pass sees the shapes that are stored. Another shape of an input can make
// the same operators broadcast, which the fused kernel does not do.
void ExpectSameWhenResized(const std::string& text, size_t input,
                           const graph::Shape& shape) {
  Bench fused(text), plain(WithoutRegions(text));
  fused.Resize(input, shape);
  plain.Resize(input, shape);
  ASSERT_TRUE(fused.status()) << fused.status().error().message;
  ASSERT_TRUE(plain.status()) << plain.status().error().message;
  fused.Fill(5);
  plain.Fill(5);
  ASSERT_TRUE(fused.Run());
  ASSERT_TRUE(plain.Run());
  const auto got = fused.Output(0), want = plain.Output(0);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-5) << "value " << i << "\n" << text;
  }
}

TEST(ResizedRegion, OfAGatedUnitBroadcastsAsItsOperatorsDo) {
  for (const size_t input : {size_t{0}, size_t{1}}) {
    ExpectSameWhenResized(R"(graph main
input value: float32[4,3] resizable[-1,3]
input gate: float32[4,3] resizable[-1,3]
w = LOGISTIC(gate)
s = MUL(gate, w)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=0-2}
output y
)",
                          input, {1, 3});
  }
}

TEST(ResizedRegion, OfANormBroadcastsAsItsOperatorsDo) {
  ExpectSameWhenResized(R"(graph main
input x: float32[3,4] resizable[-1,4]
const axis: int32[1] = 1
const eps: float32[] = 1e-06
const gamma: float32[3,4] = 1 2 3 4 5 6 7 8 9 10 11 12
q = MUL(x, x)
v = MEAN(q, axis) {keep_dims=true}
e = ADD(v, eps)
r = RSQRT(e)
n = MUL(x, r)
y = MUL(n, gamma)
region rms_norm(x, gamma) -> y {ops=0-5 epsilon=1e-06}
output y
)",
                        0, {1, 4});
  ExpectSameWhenResized(R"(graph main
input x: float32[3,4] resizable[-1,4]
const axis: int32[1] = 1
const eps: float32[] = 1e-05
const gamma: float32[4] = 1 2 3 4
const beta: float32[3,4] = 1 2 3 4 5 6 7 8 9 10 11 12
mean = MEAN(x, axis) {keep_dims=true}
c = SUB(x, mean)
q = MUL(c, c)
v = MEAN(q, axis) {keep_dims=true}
e = ADD(v, eps)
r = RSQRT(e)
n = MUL(c, r)
g = MUL(n, gamma)
y = ADD(g, beta)
region layer_norm(x, gamma, beta) -> y {ops=0-8 epsilon=1e-05}
output y
)",
                        0, {1, 4});
}

TEST(ResizedRegion, OfARotaryEmbeddingBroadcastsAsItsOperatorsDo) {
  ExpectSameWhenResized(R"(graph main
input x: float32[2,3,4] resizable[2,-1,4]
const axis: int32[] = 2
const cos: float32[3,2] = 1 0.9 0.8 0.7 0.6 0.5
const sin: float32[3,2] = 0 0.1 0.2 0.3 0.4 0.5
a, b = SPLIT(axis, x) {num_splits=2}
ac = MUL(a, cos)
bs = MUL(b, sin)
bc = MUL(b, cos)
as = MUL(a, sin)
first = SUB(ac, bs)
second = ADD(bc, as)
y = CONCATENATION(first, second) {axis=2}
region rotary(x, cos, sin) -> y {ops=0-7}
output y
)",
                        0, {2, 1, 4});
}

TEST(ResizedRegion, OfAttentionBroadcastsAsItsOperatorsDo) {
  const std::string text = R"(graph main
input q: float32[2,3,4] resizable[-1,-1,4]
input k: float32[2,5,4] resizable[-1,-1,4]
input v: float32[2,5,6] resizable[-1,-1,6]
input bias: float32[2,3,5] resizable[-1,-1,-1]
s = BATCH_MATMUL(q, k) {adj_y=true}
b = ADD(s, bias)
p = SOFTMAX(b) {beta=1.0}
y = BATCH_MATMUL(p, v)
region attention(q, k, v, bias) -> y {ops=0-3}
output y
)";
  ExpectSameWhenResized(text, 0, {1, 3, 4});  // One q for both matrices.
  ExpectSameWhenResized(text, 0, {2, 1, 4});  // One row for three of the bias.
  ExpectSameWhenResized(text, 1, {1, 5, 4});
  ExpectSameWhenResized(text, 2, {1, 5, 6});
  ExpectSameWhenResized(text, 3, {1, 1, 5});
  ExpectSameWhenResized(text, 3, {2, 3, 1});
  ExpectSameWhenResized(text, 3, {1, 3, 5});
}

TEST(ResizedRegion, OfAttentionWithOneColumnAndAWiderBiasStaysCorrect) {
  // Scores [2,3,1] and a bias [2,3,5] add up to five columns.
  const std::string text = R"(graph main
input q: float32[2,3,4]
input k: float32[2,5,4] resizable[2,-1,4]
input v: float32[2,5,6]
input bias: float32[2,3,5]
s = BATCH_MATMUL(q, k) {adj_y=true}
b = ADD(s, bias)
p = SOFTMAX(b) {beta=1.0}
y = BATCH_MATMUL(p, v)
region attention(q, k, v, bias) -> y {ops=0-3}
output y
)";
  ExpectSameWhenResized(text, 1, {2, 1, 4});
}

}  // namespace
}  // namespace lathe::plan

// What is fused, what is not, and that fusing changes nothing but rounding.

#include "src/plan/node.h"

#include <cmath>

#include "gmock/gmock.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

using testing::ElementsAre;

struct Case {
  std::string name;
  std::string text;
  std::vector<std::string> steps;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::vector<Case> Cases() {
  return {
      {"snake_in_front_of_a_convolution",
       R"(graph main
input x: float32[1,1,20,8]
const a: float32[8] = 1 2 0.5 3 1 0.1 4 0.7
const b: float32[8] = 1 0.3 2 0.2 1 0.5 0.9 1.5
const w: float32[5,1,3,8]
const bias: float32[5] = 1 2 3 4 5
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, bias) {stride_w=1 stride_h=1 dilation_w_factor=3}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_in_front_of_a_convolution_of_width_1",
       R"(graph main
input x: float32[1,1,20,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[5,1,1,4]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=1 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_in_front_of_a_convolution_with_few_outputs",
       R"(graph main
input x: float32[1,1,40,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[2,1,7,4]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=1 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_in_front_of_a_strided_convolution",
       R"(graph main
input x: float32[1,1,40,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[6,1,8,4]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=4 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_in_front_of_a_square_convolution",
       R"(graph main
input x: float32[2,5,6,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[3,3,3,4]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=1 stride_h=2}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_in_front_of_a_grouped_convolution",
       R"(graph main
input x: float32[1,5,6,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[6,3,3,2]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=1 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_that_others_see",
       R"(graph main
input x: float32[1,1,20,4]
const a: float32[4] = 1 2 0.5 3
const b: float32[4] = 1 0.3 2 0.2
const w: float32[5,1,3,4]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
z = CONV_2D(y, w, -) {stride_w=1 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output y
output z
)",
       {"snake", "CONV_2D"}},
      {"pad_in_front_of_a_convolution",
       R"(graph main
input x: float32[1,5,6,3]
const pads: int32[4,2] = 0 0 1 2 2 1 0 0
const w: float32[4,3,3,3]
const bias: float32[4] = 1 2 3 4
p = PAD(x, pads)
y = CONV_2D(p, w, bias) {padding=1 stride_w=2 stride_h=1}
output y
)",
       {"CONV_2D"}},
      {"pad_of_the_batch",
       R"(graph main
input x: float32[1,5,6,3]
const pads: int32[4,2] = 1 0 0 0 0 0 0 0
const w: float32[4,3,3,3]
p = PAD(x, pads)
y = CONV_2D(p, w, -) {padding=1 stride_w=1 stride_h=1}
output y
)",
       {"PAD", "CONV_2D"}},
      {"pad_in_front_of_same_padding",
       R"(graph main
input x: float32[1,1,6,3]
const pads: int32[4,2] = 0 0 0 0 2 2 0 0
const w: float32[4,1,3,3]
p = PAD(x, pads)
y = CONV_2D(p, w, -) {padding=0 stride_w=1 stride_h=1}
output y
)",
       {"PAD", "CONV_2D"}},
      {"snake_and_pad_in_front_of_a_convolution",
       R"(graph main
input x: float32[1,1,9,2]
const pads: int32[4,2] = 0 0 0 0 1 1 0 0
const a: float32[2] = 1 2
const b: float32[2] = 3 0.4
const w: float32[4,1,2,2]
xa = MUL(x, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(x, bump)
p = PAD(y, pads)
z = CONV_2D(p, w, -) {padding=1 stride_w=1 stride_h=1}
region snake(x, a, b) -> y {ops=0-4}
output z
)",
       {"snake+CONV_2D"}},
      {"snake_of_a_padded_tensor",
       R"(graph main
input x: float32[1,1,9,2]
const pads: int32[4,2] = 0 0 0 0 1 1 0 0
const a: float32[2] = 1 2
const b: float32[2] = 3 0.4
const w: float32[4,1,2,2]
p = PAD(x, pads)
xa = MUL(p, a)
s = SIN(xa)
q = MUL(s, s)
bump = MUL(q, b)
y = ADD(p, bump)
z = CONV_2D(y, w, -) {padding=1 stride_w=1 stride_h=1}
region snake(p, a, b) -> y {ops=1-5}
output z
)",
       {"PAD", "snake+CONV_2D"}},
      {"residual_behind_a_convolution",
       R"(graph main
input x: float32[1,1,20,8]
const w: float32[8,1,3,8]
const bias: float32[8] = 1 2 3 4 5 6 7 8
y = CONV_2D(x, w, bias) {stride_w=1 stride_h=1}
z = ADD(x, y)
output z
)",
       {"CONV_2D"}},
      {"residual_behind_a_convolution_in_place",
       R"(graph main
input x: float32[1,1,20,8]
const w: float32[8,1,1,8]
other = TANH(x)
y = CONV_2D(x, w, -) {stride_w=1 stride_h=1}
z = ADD(y, other)
output z
)",
       {"TANH", "CONV_2D"}},
      // A sum over 3,000 values is made in several passes over the panel.
      {"residual_in_place_behind_a_long_sum",
       R"(graph main
input x: float32[30,3000]
input r: float32[30,40]
const w: float32[40,3000]
other = TANH(r)
y = FULLY_CONNECTED(x, w, -)
z = ADD(y, other)
output z
)",
       {"TANH", "FULLY_CONNECTED"}},
      {"residual_of_a_few_channels_in_place",
       R"(graph main
input x: float32[1,1,50,16]
input r: float32[1,1,50,2]
const w: float32[2,1,7,16]
other = TANH(r)
y = CONV_2D(x, w, -) {stride_w=1 stride_h=1}
z = ADD(y, other)
output z
)",
       {"TANH", "CONV_2D"}},
      {"residual_of_a_square_convolution_in_place",
       R"(graph main
input x: float32[1,7,9,6]
input r: float32[1,7,9,5]
const w: float32[5,3,3,6]
other = TANH(r)
y = CONV_2D(x, w, -) {stride_w=1 stride_h=1}
z = ADD(y, other)
output z
)",
       {"TANH", "CONV_2D"}},
      {"residual_of_a_grouped_convolution_in_place",
       R"(graph main
input x: float32[1,7,9,6]
input r: float32[1,7,9,4]
const w: float32[4,3,3,3]
other = TANH(r)
y = CONV_2D(x, w, -) {stride_w=1 stride_h=1}
z = ADD(other, y)
output z
)",
       {"TANH", "CONV_2D"}},
      {"sum_that_broadcasts",
       R"(graph main
input x: float32[4,8]
const w: float32[6,8]
const row: float32[6] = 1 2 3 4 5 6
y = FULLY_CONNECTED(x, w, -)
z = ADD(y, row)
output z
)",
       {"FULLY_CONNECTED", "ADD"}},
      {"product_that_the_sum_takes_twice",
       R"(graph main
input x: float32[4,8]
const w: float32[6,8]
y = FULLY_CONNECTED(x, w, -)
z = ADD(y, y)
output z
)",
       {"FULLY_CONNECTED", "ADD"}},
      {"sum_of_two_products",
       R"(graph main
input x: float32[4,8]
const w: float32[6,8]
const v: float32[6,8]
y = FULLY_CONNECTED(x, w, -)
z = FULLY_CONNECTED(x, v, -)
sum = ADD(y, z)
output sum
)",
       {"FULLY_CONNECTED", "FULLY_CONNECTED"}},
      {"chain_of_sums",
       R"(graph main
input x: float32[4,8]
const w: float32[8,8]
a = FULLY_CONNECTED(x, w, -)
b = ADD(x, a)
c = FULLY_CONNECTED(b, w, -)
d = ADD(c, b)
e = ADD(d, x)
output e
)",
       {"FULLY_CONNECTED", "FULLY_CONNECTED", "ADD"}},
      {"activation_in_front_of_the_sum",
       R"(graph main
input x: float32[4,8]
const w: float32[8,8]
y = FULLY_CONNECTED(x, w, -) {fused_activation_function=1}
z = ADD(y, x)
output z
)",
       {"FULLY_CONNECTED", "ADD"}},
      {"activation_behind_the_sum",
       R"(graph main
input x: float32[4,8]
const w: float32[8,8]
y = FULLY_CONNECTED(x, w, -)
z = ADD(y, x) {fused_activation_function=1}
output z
)",
       {"FULLY_CONNECTED", "ADD"}},
      // The residual is made behind the product: it must wait.
      {"residual_that_is_made_later",
       R"(graph main
input x: float32[4,8]
const w: float32[8,8]
y = FULLY_CONNECTED(x, w, -)
other = TANH(x)
z = ADD(y, other)
output z
)",
       {"TANH", "FULLY_CONNECTED"}},
      {"layer_norm",
       R"(graph main
input x: float32[7,40]
const axis: int32[1] = 1
const eps: float32[] = 1e-05
const gamma: float32[40]
mean = MEAN(x, axis) {keep_dims=true}
c = SUB(x, mean)
q = MUL(c, c)
v = MEAN(q, axis) {keep_dims=true}
e = ADD(v, eps)
r = RSQRT(e)
n = MUL(c, r)
y = MUL(n, gamma)
region layer_norm(x, gamma, -) -> y {ops=0-7 epsilon=1e-05}
output y
)",
       {"layer_norm"}},
      {"layer_norm_with_weights_per_head",
       R"(graph main
input x: float32[3,5,4]
const axis: int32[1] = 2
const eps: float32[] = 1e-05
const gamma: float32[3,1,4] = 1 2 3 4 5 6 7 8 9 10 11 12
const beta: float32[3,1,4] = 12 11 10 9 8 7 6 5 4 3 2 1
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
       {"layer_norm"}},
      {"rms_norm_with_weights_per_row",
       R"(graph main
input x: float32[2,3,4]
const axis: int32[1] = 2
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
       {"rms_norm"}},
      {"silu",
       R"(graph main
input x: float32[3,100]
w = LOGISTIC(x)
y = MUL(x, w)
region silu(x) -> y {ops=0-1}
output y
)",
       {"silu"}},
      {"gated_silu_of_two_tensors",
       R"(graph main
input value: float32[3,100]
input gate: float32[3,100]
w = LOGISTIC(gate)
s = MUL(gate, w)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=0-2}
output y
)",
       {"gated_silu"}},
      {"gated_silu_of_halves",
       R"(graph main
input x: float32[3,100]
const axis: int32[] = 1
value, gate = SPLIT(axis, x) {num_splits=2}
w = LOGISTIC(gate)
s = MUL(gate, w)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=1-3}
output y
)",
       {"gated_silu"}},
      {"gated_silu_behind_a_product",
       R"(graph main
input x: float32[60,36]
const w: int8[146,36] scale[0.01] zero[0]
const bias: float32[146]
const axis: int32[] = 1
p = FULLY_CONNECTED(x, w, bias)
value, gate = SPLIT(axis, p) {num_splits=2}
l = LOGISTIC(gate)
s = MUL(gate, l)
y = MUL(value, s)
z = ADD(y, y)
region gated_silu(value, gate) -> y {ops=2-4}
output z
)",
       {"FULLY_CONNECTED", "ADD"}},
      {"gated_silu_behind_a_product_with_weights_of_4_bits",
       R"(graph main
input x: float32[5,32]
const w: int4[8,32] scale[0.01] zero[0]
const axis: int32[] = -1
p = FULLY_CONNECTED(x, w, -)
value, gate = SPLIT(axis, p) {num_splits=2}
l = LOGISTIC(gate)
s = MUL(gate, l)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=2-4}
output y
)",
       {"FULLY_CONNECTED"}},
      // Somebody else reads the product.
      {"gated_silu_beside_a_product",
       R"(graph main
input x: float32[5,32]
const w: int8[8,32] scale[0.01] zero[0]
const axis: int32[] = -1
p = FULLY_CONNECTED(x, w, -)
value, gate = SPLIT(axis, p) {num_splits=2}
l = LOGISTIC(gate)
s = MUL(gate, l)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=2-4}
output y
output p
)",
       {"FULLY_CONNECTED", "gated_silu"}},
      {"residual_behind_a_product_with_quantized_weights",
       R"(graph main
input x: float32[50,33]
input r: float32[50,70]
const w: int8[70,33] scale[0.01] zero[0]
const bias: float32[70]
other = TANH(r)
p = FULLY_CONNECTED(x, w, bias)
y = ADD(other, p)
output y
)",
       {"TANH", "FULLY_CONNECTED"}},
      {"residual_behind_a_convolution_with_quantized_weights",
       R"(graph main
input x: float32[1,7,9,6]
input r: float32[1,7,9,10]
const w: int8[10,3,3,3] scale[0.01] zero[0]
other = TANH(r)
p = CONV_2D(x, w, -) {stride_w=1 stride_h=1}
y = ADD(p, other)
output y
)",
       {"TANH", "CONV_2D"}},
      {"gated_silu_of_halves_the_other_way_round",
       R"(graph main
input x: float32[3,100]
const axis: int32[] = -1
gate, value = SPLIT(axis, x) {num_splits=2}
w = LOGISTIC(gate)
s = MUL(gate, w)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=1-3}
output y
)",
       {"SPLIT", "SPLIT", "gated_silu"}},
      {"gated_silu_of_halves_of_rows",
       R"(graph main
input x: float32[4,10]
const axis: int32[] = 0
value, gate = SPLIT(axis, x) {num_splits=2}
w = LOGISTIC(gate)
s = MUL(gate, w)
y = MUL(value, s)
region gated_silu(value, gate) -> y {ops=1-3}
output y
)",
       {"gated_silu"}},
      {"attention_with_a_bias",
       R"(graph main
input q: float32[2,3,8]
input k: float32[2,5,8]
input v: float32[2,5,6]
input bias: float32[1,3,5]
s = BATCH_MATMUL(q, k) {adj_y=true}
b = ADD(s, bias)
p = SOFTMAX(b) {beta=1.0}
y = BATCH_MATMUL(p, v)
region attention(q, k, v, bias) -> y {ops=0-3}
output y
)",
       {"attention"}},
      {"attention_with_scale_two_biases_and_k_transposed",
       R"(graph main
input q: float32[2,3,4]
input k: float32[2,4,5]
input v: float32[2,5,6]
input bias: float32[3,1]
input mask: float32[2,1,5]
const half: float32[] = 0.5
s = BATCH_MATMUL(q, k)
f = MUL(s, half)
b = ADD(bias, f)
c = ADD(b, mask)
p = SOFTMAX(c) {beta=1.0}
y = BATCH_MATMUL(p, v)
region attention(q, k, v, mask, bias) -> y {ops=0-5 scale=0.5 transposed_k=true}
output y
)",
       {"attention"}},
      {"attention_between_transposes",
       R"(graph main
input q: float32[2,3,4,8]
input k: float32[2,5,4,8]
input v: float32[2,5,4,6]
const p: int32[4] = 0 2 1 3
qt = TRANSPOSE(q, p)
kt = TRANSPOSE(k, p)
vt = TRANSPOSE(v, p)
s = BATCH_MATMUL(qt, kt) {adj_y=true}
w = SOFTMAX(s) {beta=1}
o = BATCH_MATMUL(w, vt)
y = TRANSPOSE(o, p)
region attention(qt, kt, vt) -> o {ops=3-5}
output y
)",
       {"attention"}},
      {"attention_of_many_rows_between_transposes_of_three_axes",
       R"(graph main
input q: float32[70,3,8]
input k: float32[3,8,65]
input v: float32[3,65,6]
const p: int32[3] = 1 0 2
const back: int32[3] = 1 0 -1
qt = TRANSPOSE(q, p)
s = BATCH_MATMUL(qt, k)
w = SOFTMAX(s) {beta=1}
o = BATCH_MATMUL(w, v)
y = TRANSPOSE(o, back)
region attention(qt, k, v) -> o {ops=1-3 transposed_k=true}
output y
)",
       {"attention"}},
      {"attention_between_transposes_that_move_every_axis",
       R"(graph main
input q: float32[4,3,2,8]
input k: float32[2,4,5,8]
input v: float32[2,4,5,6]
const first: int32[4] = 2 0 1 3
const p: int32[4] = 1 2 0 3
qt = TRANSPOSE(q, first)
s = BATCH_MATMUL(qt, k) {adj_y=true}
w = SOFTMAX(s) {beta=1}
o = BATCH_MATMUL(w, v)
y = TRANSPOSE(o, p)
region attention(qt, k, v) -> o {ops=1-3}
output y
)",
       {"attention"}},
      // The last axis moves: a TRANSPOSE of its own.
      {"attention_in_front_of_another_transpose",
       R"(graph main
input q: float32[2,3,8]
input k: float32[2,5,8]
input v: float32[2,5,6]
const p: int32[3] = 0 2 1
s = BATCH_MATMUL(q, k) {adj_y=true}
w = SOFTMAX(s) {beta=1}
o = BATCH_MATMUL(w, v)
y = TRANSPOSE(o, p)
region attention(q, k, v) -> o {ops=0-2}
output y
)",
       {"attention", "TRANSPOSE"}},
      {"rotary_with_channels_that_pass",
       R"(graph main
input x: float32[2,3,10]
const sizes: int32[3] = 4 4 2
const axis: int32[] = 2
const cos: float32[3,4] = 1 0.9 0.8 0.7 0.6 0.5 0.4 0.3 0.2 0.1 0 -0.1
const sin: float32[3,4] = 0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1 0.9
a, b, rest = SPLIT_V(x, sizes, axis) {num_splits=3}
ac = MUL(a, cos)
bs = MUL(b, sin)
bc = MUL(b, cos)
as = MUL(a, sin)
first = SUB(ac, bs)
second = ADD(bc, as)
y = CONCATENATION(first, second, rest) {axis=2}
region rotary(x, cos, sin) -> y {ops=0-7}
output y
)",
       {"rotary"}},
  };
}

// Constants that the text leaves at zero get values.
void FillConstants(graph::Graph& graph, uint32_t seed) {
  std::mt19937 rng(seed);
  for (const graph::Tensor& tensor : graph.subgraphs[0].tensors) {
    if (!graph.IsConstant(tensor)) continue;
    if (tensor.type == graph::Type::kInt8 ||
        tensor.type == graph::Type::kInt4) {
      std::vector<std::byte> bytes(graph.buffers[tensor.buffer].bytes.size());
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng() >> 8);
      graph.buffers[tensor.buffer] = graph::MakeBuffer(bytes);
      continue;
    }
    if (tensor.type != graph::Type::kFloat32) continue;
    const size_t n = graph::ElementCount(tensor.shape);
    const auto* old = reinterpret_cast<const float*>(
        graph.buffers[tensor.buffer].bytes.data());
    if (!std::all_of(old, old + n, [](float x) { return x == 0; })) continue;
    std::vector<float> values(n);
    for (float& x : values) {
      x = static_cast<float>(rng()) / 2147483648.0f - 1;
    }
    graph.buffers[tensor.buffer] =
        graph::MakeBuffer(std::as_bytes(std::span(values)));
  }
}

// Nothing marked, and every value seen, so that nothing can be fused.
graph::Graph Unfused(const std::string& text) {
  graph::Graph graph = ReadGraph(WithoutRegions(text));
  graph::Subgraph& subgraph = graph.subgraphs[0];
  std::vector<int32_t> outputs = subgraph.outputs;
  for (const graph::Op& op : subgraph.ops) {
    for (const int32_t t : op.outputs) {
      if (!std::ranges::count(outputs, t)) outputs.push_back(t);
    }
  }
  subgraph.outputs = outputs;
  return graph;
}

class Fused : public testing::TestWithParam<Case> {};

TEST_P(Fused, IsTheseStepsAndGivesWhatItsOperatorsGive) {
  const Case& one = GetParam();
  for (const Isa isa : IsasHere()) {
    for (const size_t threads : {size_t{1}, size_t{3}}) {
      SCOPED_TRACE(testing::Message() << Name(isa) << ", threads " << threads);
      PlanOptions options;
      options.isa = isa;
      options.threads = threads;
      graph::Graph fused_graph = ReadGraph(one.text);
      graph::Graph plain_graph = Unfused(one.text);
      FillConstants(fused_graph, 9);
      FillConstants(plain_graph, 9);
      const Bench fused(std::move(fused_graph), options);
      const Bench plain(std::move(plain_graph), options);
      ASSERT_TRUE(fused.status()) << fused.status().error().message;
      ASSERT_TRUE(plain.status()) << plain.status().error().message;
      EXPECT_EQ(fused.StepNames(), one.steps);
      EXPECT_GE(plain.plan().steps.size(), one.steps.size());
      fused.Fill(1);
      plain.Fill(1);
      // Twice: a second run finds the memory as the first left it.
      for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(fused.Run());
        ASSERT_TRUE(plain.Run());
        for (size_t i = 0; i < fused.plan().outputs.size(); ++i) {
          const auto got = fused.Output(i), want = plain.Output(i);
          ASSERT_EQ(got.size(), want.size());
          float largest = 0;
          for (const float x : want) largest = std::max(largest, std::abs(x));
          for (size_t k = 0; k < got.size(); ++k) {
            ASSERT_NEAR(got[k], want[k], 1e-6 * largest)
                << "output " << i << " value " << k;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Nodes, Fused, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(NotFused, IsWhatReadsAVariable) {
  // It may be written between an operator and the next.
  const Bench bench(R"(graph main
input x: float32[4,10]
variable state: float32[4,10]
const w: int8[10,10] scale[0.01] zero[0]
const axis: int32[] = 1
p = FULLY_CONNECTED(state, w, -)
y = ADD(p, x)
value, gate = SPLIT(axis, state) {num_splits=2}
l = LOGISTIC(gate)
s = MUL(gate, l)
z = MUL(value, s)
region gated_silu(value, gate) -> z {ops=3-5}
output y
output z
)");
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  EXPECT_THAT(bench.StepNames(), ElementsAre("FULLY_CONNECTED", "ADD", "SPLIT",
                                             "SPLIT", "gated_silu"));
}

}  // namespace
}  // namespace lathe::plan

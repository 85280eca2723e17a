// Files with wrong bytes: what opens must plan and run, or say why not. Worth
// most under the address sanitizer.

#include "src/api/test_support.h"

namespace lathe {
namespace {

// One of most operators, small enough that each byte can be changed.
constexpr std::string_view kGraph = R"(graph main
input x: float32[1,4,6,2] resizable[1,-1,6,2]
input i: int32[2]
const w: float32[3,3,3,2]
const bias: float32[3] = 1 2 3
const pads: int32[4,2] = 0 0 1 1 1 1 0 0
const m: float32[4,3]
const order: int32[4] = 0 2 1 3
const axis: int32[] = 3
const axes: int32[2] = 1 2
const sizes: int32[2] = 1 3
const begin: int32[4] = 0 1 0 0
const end: int32[4] = 1 3 6 2
const step: int32[4] = 1 1 2 1
const flat: int32[2] = -1 4
const out: int32[4] = 1 8 12 2
const f: float32[2,2,2,4]
const times: int32[2] = 2 1
const wide: int32[3] = 2 2 4
p = PAD(x, pads)
c = CONV_2D(p, w, bias) {padding=1 stride_w=1 stride_h=1 fused_activation_function=1}
d = FULLY_CONNECTED(c, m, -) {keep_num_dims=true}
t = TRANSPOSE(d, order)
u = TRANSPOSE(t, order)
v, rest = SPLIT_V(u, sizes, axis) {num_splits=2}
a, b = SPLIT(axis, d) {num_splits=2}
g = LOGISTIC(b)
h = MUL(b, g)
k = MUL(a, h)
s = STRIDED_SLICE(k, begin, end, step)
mean = MEAN(d, axes) {keep_dims=true}
centred = SUB(d, mean)
soft = SOFTMAX(centred) {beta=1.0}
q = BATCH_MATMUL(soft, d) {adj_y=true}
r = RESHAPE(soft, flat)
e = GATHER(r, i)
j = CONCATENATION(e, e) {axis=0}
n = TILE(j, times)
o = PACK(e, e) {values_count=2}
z = BROADCAST_TO(e, wide)
y = TRANSPOSE_CONV(out, f, d) {stride_w=2 stride_h=2}
output v
output rest
output s
output q
output n
output o
output z
output y
)";

// Everything that a file can make happen. Says whether it ran.
bool Exercise(std::vector<std::byte> bytes) {
  ModelOptions options;
  options.memory_limit_bytes = uint64_t{1} << 22;
  const auto model = Model::FromMemory(std::move(bytes), "model", options);
  if (!model) {
    EXPECT_FALSE(model.error().message.empty());
    return false;
  }
  static Threads threads(1);
  SessionOptions session_options;
  session_options.threads = &threads;
  auto session = Session::Create(*model, session_options);
  if (!session) {
    EXPECT_FALSE(session.error().message.empty());
    return false;
  }
  EXPECT_LE(session->stats().arena_bytes, options.memory_limit_bytes);
  const Status ran = session->Run();
  EXPECT_TRUE(ran || ran.error().code == ErrorCode::kInvalidInput);
  if (session->inputs().empty()) return ran.has_value();
  const TensorInfo& input = session->inputs()[0];
  std::vector<int32_t> shape = input.shape;
  for (size_t i = 0; i < input.shape_signature.size(); ++i) {
    if (input.shape_signature[i] == -1) shape[i] += 1;
  }
  if (session->Resize("#0", shape)) (void)session->Run();
  return ran.has_value();
}

TEST(Hostile, AnyWrongByteIsAnErrorOrAnotherModel) {
  const auto graph = graph::FromText(kGraph);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto bytes = format::WriteTfliteToMemory(*graph);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_TRUE(Exercise(*bytes));
#if defined(__SANITIZE_THREAD__)
  constexpr size_t kStride = 16;
#elif defined(__SANITIZE_ADDRESS__)
  constexpr size_t kStride = 7;
#else
  constexpr size_t kStride = 1;
#endif
  size_t tried = 0, ran = 0;
  for (size_t at = 0; at < bytes->size(); at += kStride) {
    SCOPED_TRACE(at);
    for (const int change : {1, 2, 0x80, 0xFF}) {
      std::vector<std::byte> wrong = *bytes;
      wrong[at] ^= std::byte(change);
      ran += Exercise(std::move(wrong));
      ++tried;
    }
  }
  // Both occur, or the test tests nothing.
  EXPECT_GT(ran, tried / 10);
  EXPECT_LT(ran, tried);
}

TEST(Hostile, SeveralWrongBytesAreAnErrorOrAnotherModel) {
  const auto graph = graph::FromText(kGraph);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto bytes = format::WriteTfliteToMemory(*graph);
  ASSERT_TRUE(bytes) << bytes.error().message;
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 rng(seed);
    std::vector<std::byte> wrong = *bytes;
    for (uint32_t n = 1 + rng() % 4; n > 0; --n) {
      // Small numbers make more sense to a reader than large ones.
      wrong[rng() % wrong.size()] =
          std::byte(rng() % 2 ? rng() % 8 : rng() % 256);
    }
    (void)Exercise(std::move(wrong));
  }
}

}  // namespace
}  // namespace lathe

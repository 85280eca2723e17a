// Threads change nothing but the time: the same bits for any number of them.

#include "src/api/test_support.h"

namespace lathe {
namespace {

using importer::ModelSize;

class Determinism : public testing::TestWithParam<std::string> {
 protected:
  // The outputs' bytes after a run with this many threads.
  static std::string OutputsWith(const Model& model, int threads,
                                 const std::vector<int32_t>& shape,
                                 std::vector<StepInfo>* steps) {
    Threads pool(threads);
    SessionOptions options;
    options.threads = &pool;
    options.isa = GetParam();
    auto session = Session::Create(model, options);
    EXPECT_TRUE(session) << session.error().message;
    if (!shape.empty()) {
      const Status resized = session->Resize("#0", shape);
      EXPECT_TRUE(resized) << resized.error().message;
    }
    FillAll(*session, 5);
    const Status ran = session->Run();
    EXPECT_TRUE(ran) << ran.error().message;
    steps->assign(session->steps().begin(), session->steps().end());
    return AllOutputs(*session);
  }

  static void ExpectSameBits(const graph::Graph& graph,
                             const std::vector<int32_t>& shape = {}) {
    const auto model = OpenGraph(graph);
    ASSERT_TRUE(model) << model.error().message;
    std::vector<StepInfo> steps, others;
    const std::string one = OutputsWith(*model, 1, shape, &steps);
    for (const int threads : {2, 3, 5}) {
      EXPECT_EQ(OutputsWith(*model, threads, shape, &others), one)
          << threads << " threads";
      // The plan is the same, too: kernels are not chosen by threads.
      ASSERT_EQ(others.size(), steps.size());
      for (size_t i = 0; i < steps.size(); ++i) {
        EXPECT_EQ(others[i].kernel, steps[i].kernel);
      }
    }
  }
};

TEST_P(Determinism, OfTheConditioner) {
  ExpectSameBits(AuthorNameKeyed(ModelSize::kTiny).conditioner);
}

TEST_P(Determinism, OfTheTransformer) {
  ExpectSameBits(AuthorNameKeyed(ModelSize::kTiny).dit);
}

TEST_P(Determinism, OfTheDecoder) {
  const graph::Graph graph = AuthorNameKeyed(ModelSize::kTiny).decoder;
  for (const int32_t frames : {1, 17}) ExpectSameBits(graph, {1, 8, frames});
}

TEST_P(Determinism, OfTheEncoder) {
  const graph::Graph graph = AuthorNameKeyed(ModelSize::kTiny).encoder;
  for (const int32_t frames : {1, 7}) {
    ExpectSameBits(graph, {1, 2, 2048 * frames});
  }
}

// Shapes of which some work is one job and some is many.
TEST_P(Determinism, OfOperatorsOfManySizes) {
  for (const int rows : {1, 13, 300, 1000}) {
    SCOPED_TRACE(rows);
    const auto graph = graph::FromText(fmt::format(
        R"(graph main
input x: float32[{0},120]
input y: float32[3,{0},40]
input z: float32[1,9,{0},6]
const w: float32[200,120]
const f: float32[5,3,3,6]
const g: float32[6,1,8,6]
const a: int32[1] = 0
const b: int32[2] = 0 2
const order: int32[3] = 2 1 0
const size: int32[4] = 1 9 {1} 6
n = NEG(x)
p = FULLY_CONNECTED(n, w, -)
s = SOFTMAX(p) {{beta=1.0}}
c = SUM(s, a)
d = MEAN(y, b)
e = BATCH_MATMUL(y, y) {{adj_x=true}}
t = TRANSPOSE(y, order)
u = EXP(t)
v = CONV_2D(z, f, -) {{stride_w=1 stride_h=1}}
o = TRANSPOSE_CONV(size, g, z) {{stride_w=4 stride_h=1}}
output s
output c
output d
output e
output u
output v
output o
)",
        rows, 4 * rows));
    ASSERT_TRUE(graph) << graph.error().message;
    graph::Graph filled = *graph;
    for (const graph::Tensor& tensor : filled.subgraphs[0].tensors) {
      if (!filled.IsConstant(tensor) || tensor.type != graph::Type::kFloat32) {
        continue;
      }
      const auto values = importer::NameKeyedInput(
          tensor.name, graph::ElementCount(tensor.shape), 0.3f);
      filled.buffers[tensor.buffer] =
          graph::MakeBuffer(std::as_bytes(std::span(values)));
    }
    ExpectSameBits(filled);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Determinism, testing::ValuesIn(IsasHere()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lathe

// The verifier: one broken graph per rule.

#include "src/graph/verify.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/text.h"

namespace lathe::graph {
namespace {

using testing::HasSubstr;

// x -> y = x + w -> z = abs(y); a second subgraph that z's like could call.
Graph Sound() {
  auto graph = FromText(R"(graph main
    input x: float32[1,4] resizable[1,-1]
    const w: float32[4] = 1 2 3 4
    const q: int8[2,2] scale[0.5,0.25] zero[0,0] = 1 2 3 4
    y = ADD(x, w)
    z = ABS(y)
    output z
    signature serve(in=x) -> (out=z)
    graph other
    input a: float32[1,4]
    b = NEG(a)
    output b)");
  EXPECT_TRUE(graph) << graph.error().message;
  return *std::move(graph);
}

struct Case {
  std::string label;
  std::function<void(Graph&)> breaks;
  std::string expected;
};

Tensor& TensorAt(Graph& graph, size_t i) {
  return graph.subgraphs[0].tensors[i];
}
Op& OpAt(Graph& graph, size_t i) { return graph.subgraphs[0].ops[i]; }

// Turns z = ABS(y) into a call.
void Call(Graph& graph, size_t subgraph, OpCode code, std::string_view field,
          int64_t target) {
  Op& op = graph.subgraphs[subgraph].ops.back();
  op.code = code;
  op.options = {std::string(FactsOf(code).options),
                {{std::string(field), target}}};
}

const Case kCases[] = {
    {"buffer 0", [](Graph& g) { g.buffers.clear(); }, "buffer 0 must be there"},
    {"no subgraph", [](Graph& g) { g.subgraphs.clear(); }, "no subgraph"},
    {"rank", [](Graph& g) { TensorAt(g, 0).shape.assign(17, 1); },
     "tensor 0 'x': rank 17, limit 16"},
    {"negative dim", [](Graph& g) { TensorAt(g, 0).shape[0] = -1; },
     "must not be negative"},
    {"size", [](Graph& g) { TensorAt(g, 0).shape = {INT32_MAX, INT32_MAX, 9}; },
     "below 2^62"},
    {"strides of an empty tensor",
     [](Graph& g) {
       TensorAt(g, 0).shape_signature.clear();
       TensorAt(g, 0).shape = {0, INT32_MAX, INT32_MAX, INT32_MAX};
     },
     "below 2^62"},
    {"empty result of its own operator",
     [](Graph& g) {
       TensorAt(g, 4).shape = {0, 4};
       OpAt(g, 1).inputs[0] = OpAt(g, 1).outputs[0];
     },
     "input 0 'z' is not written before"},
    {"no branch",
     [](Graph& g) {
       OpAt(g, 1).code = OpCode::kStablehloCase;
       OpAt(g, 1).options = {"StablehloCaseOptions", {}};
     },
     "no branch"},
    {"variable without result",
     [](Graph& g) {
       OpAt(g, 1).code = OpCode::kReadVariable;
       OpAt(g, 1).options = {};
       OpAt(g, 1).outputs.clear();
       g.subgraphs[0].outputs.clear();
       g.signatures.clear();
     },
     "0 outputs; allowed: 1"},
    {"signature shape", [](Graph& g) { TensorAt(g, 0).shape_signature = {-1}; },
     "with signature [-1]"},
    {"buffer index", [](Graph& g) { TensorAt(g, 0).buffer = 99; },
     "buffer 99; there are 3"},
    {"constant bytes", [](Graph& g) { TensorAt(g, 1).shape = {5}; },
     "16 bytes of data; float32[5] has 20"},
    {"variable with data", [](Graph& g) { TensorAt(g, 1).is_variable = true; },
     "cannot have data"},
    {"resource with data",
     [](Graph& g) { TensorAt(g, 1).type = Type::kResource; },
     "resource cannot be constant"},
    {"string data", [](Graph& g) { TensorAt(g, 1).type = Type::kString; },
     "strings in 16 bytes"},
    {"external", [](Graph& g) { TensorAt(g, 0).external_buffer = 7; },
     "not declared"},
    {"scale count",
     [](Graph& g) { TensorAt(g, 2).quantization->scale = {1, 1, 1}; },
     "3 scales"},
    {"scale of zero",
     [](Graph& g) { TensorAt(g, 2).quantization->scale[1] = 0; }, "scale 0"},
    {"zero point",
     [](Graph& g) { TensorAt(g, 2).quantization->zero_point[1] = 128; },
     "zero point 128; int8 allows -128 to 127"},
    {"blockwise scales",
     [](Graph& g) {
       TensorAt(g, 2).quantization->details = Quantization::Details::kBlockwise;
       TensorAt(g, 2).quantization->scales_tensor = 99;
       TensorAt(g, 2).quantization->block_size = 3;
     },
     "scales are tensor 99"},
    {"blocks that do not fit",
     [](Graph& g) {
       TensorAt(g, 2).quantization->details = Quantization::Details::kBlockwise;
       TensorAt(g, 2).quantization->block_size = 0;
     },
     "block size 0; it must be above 0 and divide the last axis of"},
    {"sparse order",
     [](Graph& g) { TensorAt(g, 1).sparsity = Sparsity{{0, 0}, {}, {}}; },
     "sparse dims"},
    {"sparse index",
     [](Graph& g) {
       SparseDimension dimension;
       dimension.format = 1;
       dimension.segments = {0, 1};
       dimension.indices = {4};
       TensorAt(g, 1).sparsity = Sparsity{{0}, {}, {dimension}};
     },
     "sparse index 4 in a dim of 4"},
    {"input index", [](Graph& g) { OpAt(g, 0).inputs[1] = 5; },
     "operator 0 'ADD': input 1 is tensor 5; there are 5"},
    {"needed input left out",
     [](Graph& g) { OpAt(g, 0).inputs[1] = kNoTensor; }, "left out"},
    {"input count", [](Graph& g) { OpAt(g, 0).inputs.pop_back(); },
     "1 inputs; allowed: 2 to 2"},
    {"order",
     [](Graph& g) { std::swap(g.subgraphs[0].ops[0], g.subgraphs[0].ops[1]); },
     "input 0 'y' is not written before"},
    {"two writers", [](Graph& g) { OpAt(g, 1).outputs[0] = 3; },
     "'y' is written twice"},
    {"write to a constant", [](Graph& g) { OpAt(g, 1).outputs[0] = 1; },
     "'w' is a constant, variable or input"},
    {"output left out", [](Graph& g) { OpAt(g, 1).outputs[0] = kNoTensor; },
     "output 0 is tensor -1"},
    {"delegate", [](Graph& g) { OpAt(g, 1).code = OpCode::kDelegate; },
     "no place in a graph"},
    {"custom without a name",
     [](Graph& g) { OpAt(g, 1).code = OpCode::kCustom; }, "custom name ''"},
    {"another operator's options",
     [](Graph& g) { OpAt(g, 1).options.table = "AddOptions"; },
     "the operator takes 'AbsOptions'"},
    {"enum",
     [](Graph& g) {
       OpAt(g, 0).options.fields = {{"fused_activation_function", int64_t{6}}};
     },
     "allowed: 0 to 5"},
    {"divisor",
     [](Graph& g) {
       OpAt(g, 1).code = OpCode::kMaxPool2d;
       OpAt(g, 1).options = {"Pool2DOptions", {}};
     },
     "stride_w is 0"},
    {"output without a writer", [](Graph& g) { g.subgraphs[0].ops.pop_back(); },
     "output 'z' is written by nobody"},
    {"signature subgraph", [](Graph& g) { g.signatures[0].subgraph = 2; },
     "subgraph 2; there are 2"},
    {"signature tensor", [](Graph& g) { g.signatures[0].inputs[0].tensor = 1; },
     "no input of the subgraph"},
    {"signature twice",
     [](Graph& g) { g.signatures.push_back(g.signatures[0]); }, "stands twice"},
    {"metadata", [](Graph& g) { g.metadata.push_back({"m", 77}); },
     "metadata 0 'm': buffer 77"},
    {"call out of range",
     [](Graph& g) {
       Call(g, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            9);
     },
     "calls subgraph 9; there are 2"},
    {"call of itself",
     [](Graph& g) {
       Call(g, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            0);
     },
     "calls itself"},
    {"call in a circle",
     [](Graph& g) {
       Call(g, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            1);
       Call(g, 1, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            0);
     },
     "calls itself"},
    {"call with too many arguments",
     [](Graph& g) {
       Call(g, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            1);
       OpAt(g, 1).inputs = {3, 0};
     },
     "2 inputs do not fit the 1"},
    {"call with another type",
     [](Graph& g) {
       Call(g, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
            1);
       TensorAt(g, 4).type = Type::kInt32;
     },
     "1 outputs do not fit"},
};

class VerifierRules : public testing::TestWithParam<Case> {};

TEST_P(VerifierRules, NameWhatIsWrong) {
  Graph graph = Sound();
  GetParam().breaks(graph);
  const Status status = Verify(graph);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(All, VerifierRules, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& info) {
                           std::string name;
                           for (const char c : info.param.label)
                             name += std::isalnum(c) ? c : '_';
                           return name;
                         });

TEST(Verifier, AcceptsASoundGraphAndACall) {
  Graph graph = Sound();
  EXPECT_TRUE(Verify(graph));
  Call(graph, 0, OpCode::kStablehloComposite, "decomposition_subgraph_index",
       1);
  const Status status = Verify(graph);
  EXPECT_TRUE(status) << status.error().message;
}

TEST(Verifier, ListsAtMostAHundredProblems) {
  Graph graph = Sound();
  for (int i = 0; i < 300; ++i) {
    Tensor tensor;
    tensor.buffer = 99;
    graph.subgraphs[0].tensors.push_back(tensor);
  }
  const Status status = Verify(graph);
  ASSERT_FALSE(status);
  EXPECT_EQ(std::ranges::count(status.error().message, '\n'), 100);
}

// 33 subgraphs in a chain; 32 are allowed.
TEST(Verifier, BoundsTheDepthOfCalls) {
  Graph graph = Sound();
  graph.signatures.clear();
  const Subgraph last = graph.subgraphs[1];
  graph.subgraphs.assign(32, last);
  for (size_t i = 0; i + 1 < graph.subgraphs.size(); ++i) {
    Call(graph, i, OpCode::kStablehloComposite, "decomposition_subgraph_index",
         static_cast<int64_t>(i + 1));
  }
  EXPECT_TRUE(Verify(graph));
  graph.subgraphs.push_back(last);
  Call(graph, 31, OpCode::kStablehloComposite, "decomposition_subgraph_index",
       32);
  const Status status = Verify(graph);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("more than 32 deep"));
}

}  // namespace
}  // namespace lathe::graph

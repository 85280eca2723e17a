// Lifetimes, memory that is used again, what is refused.

#include "src/plan/plan.h"

#include <cmath>
#include <cstring>
#include <map>

#include "gmock/gmock.h"
#include "src/graph/builder.h"
#include "src/plan/test_support.h"

namespace lathe::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PlanOptions Best() {
  PlanOptions options;
  options.isa = BestIsa();
  return options;
}

// --- Where tensors lie ------------------------------------------------------

struct Block {
  std::string name;
  uint64_t offset = 0, bytes = 0;
  size_t first = 0, last = 0;
};

// Every piece of memory with the steps that need it, worked out anew: from the
// first step that touches it to the last, inputs and outputs to the end.
std::vector<Block> BlocksOf(const Plan& plan) {
  const size_t end = std::max<size_t>(1, plan.steps.size()) - 1;
  std::map<int32_t, Block> roots;
  const auto touch = [&](int32_t tensor, size_t step) {
    if (tensor < 0 || plan.tensors[tensor].home != Home::kArena) return;
    const int32_t root = plan.tensors[tensor].root;
    const auto [entry, is_new] = roots.try_emplace(root);
    Block& block = entry->second;
    if (is_new) {
      block = {plan.tensors[root].name, plan.tensors[root].offset,
               plan.tensors[root].bytes, step, step};
    }
    block.first = std::min(block.first, step);
    block.last = std::max(block.last, step);
  };
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const int32_t t : plan.steps[i].inputs) touch(t, i);
    for (const int32_t t : plan.steps[i].outputs) touch(t, i);
  }
  for (const int32_t t : plan.inputs) {
    touch(t, 0);
    touch(t, end);
  }
  for (const int32_t t : plan.outputs) touch(t, end);
  std::vector<Block> blocks;
  for (const auto& [root, block] : roots) blocks.push_back(block);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    blocks.push_back({plan.steps[i].name + "'s scratch",
                      plan.steps[i].scratch_offset, plan.steps[i].scratch_bytes,
                      i, i});
  }
  return blocks;
}

void ExpectNoTwoLiveBlocksShareBytes(const Plan& plan) {
  const std::vector<Block> blocks = BlocksOf(plan);
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].offset % kCacheLine, 0u) << blocks[i].name;
    EXPECT_LE(blocks[i].offset + blocks[i].bytes, plan.arena_bytes)
        << blocks[i].name;
    for (size_t j = 0; j < i; ++j) {
      const Block &a = blocks[i], &b = blocks[j];
      const bool both = a.first <= b.last && b.first <= a.last;
      const bool share =
          a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      EXPECT_FALSE(both && share) << a.name << " and " << b.name;
    }
  }
}

// TRANSPOSE of [16,8] copies: nothing runs in place.
constexpr std::string_view kCopies = R"(graph main
input x: float32[16,8]
const swap: int32[2] = 1 0
a = TRANSPOSE(x, swap)
b = TRANSPOSE(a, swap)
c = TRANSPOSE(b, swap)
d = TRANSPOSE(c, swap)
output d
)";

TEST(Plan, GivesTheMemoryOfDeadTensorsAway) {
  const Bench bench(kCopies, Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  ExpectNoTwoLiveBlocksShareBytes(bench.plan());
  // The input, and two that take turns.
  EXPECT_EQ(bench.plan().arena_bytes, 3u * 16 * 8 * 4);
  EXPECT_EQ(bench.Named("a").offset, bench.Named("c").offset);
  EXPECT_EQ(bench.Named("b").offset, bench.Named("d").offset);
}

TEST(Plan, RunsElementwiseOperatorsInPlace) {
  const Bench bench(R"(graph main
input x: float32[16,8]
a = EXP(x)
b = NEG(a)
c = ABS(b)
output c
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  EXPECT_EQ(bench.plan().arena_bytes, 2u * 16 * 8 * 4);
  EXPECT_EQ(bench.Named("a").offset, bench.Named("c").offset);
  // What a caller filled stays.
  EXPECT_NE(bench.Named("x").offset, bench.Named("a").offset);
  bench.Fill(1);
  const float before = bench.Input(0)[5];
  ASSERT_TRUE(bench.Run());
  EXPECT_EQ(bench.Input(0)[5], before);
  EXPECT_NEAR(bench.Output(0)[5], std::exp(before), 1e-6);
}

TEST(Plan, OverwritesNothingThatIsReadLater) {
  const Bench bench(R"(graph main
input x: float32[16,8]
a = EXP(x)
b = NEG(a)
c = MUL(b, a)
output c
)",
                    Best());
  EXPECT_NE(bench.Named("a").offset, bench.Named("b").offset);
  ExpectNoTwoLiveBlocksShareBytes(bench.plan());
}

TEST(Plan, OverwritesNoOutputNotEvenInTheLastStep) {
  const Bench bench(R"(graph main
input x: float32[16,8]
a = EXP(x)
y = NEG(a)
output a
output y
)",
                    Best());
  bench.Fill(2);
  ASSERT_TRUE(bench.Run());
  for (size_t i = 0; i < 128; ++i) {
    ASSERT_EQ(bench.Output(0)[i], -bench.Output(1)[i]);
    ASSERT_NEAR(bench.Output(0)[i], std::exp(bench.Input(0)[i]), 1e-6);
  }
}

TEST(Plan, OverwritesNoOutputThatIsSeenThroughAReshape) {
  const Bench bench(R"(graph main
input x: float32[16,8]
const flat: int32[1] = 128
a = EXP(x)
seen = RESHAPE(a, flat)
y = NEG(a)
output seen
output y
)",
                    Best());
  bench.Fill(2);
  ASSERT_TRUE(bench.Run());
  for (size_t i = 0; i < 128; ++i) {
    ASSERT_EQ(bench.Output(0)[i], -bench.Output(1)[i]);
  }
}

TEST(Plan, ReshapesAndWholeSlicesAreTheSameMemory) {
  const Bench bench(R"(graph main
input x: float32[4,6]
const shape: int32[3] = 2 2 6
const axis: int32[] = 0
a = EXP(x)
b = RESHAPE(a, shape)
first, second = SPLIT(axis, b) {num_splits=2}
y = NEG(second)
z = ABS(first)
output y
output z
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  EXPECT_THAT(bench.StepNames(), ElementsAre("EXP", "NEG", "ABS"));
  EXPECT_EQ(bench.Named("b").offset, bench.Named("a").offset);
  EXPECT_EQ(bench.Named("second").offset, bench.Named("a").offset + 48);
  ExpectNoTwoLiveBlocksShareBytes(bench.plan());
  bench.Fill(3);
  ASSERT_TRUE(bench.Run());
  EXPECT_NEAR(bench.Output(0)[0], -std::exp(bench.Input(0)[12]), 1e-6);
  EXPECT_NEAR(bench.Output(1)[11], std::exp(bench.Input(0)[11]), 1e-6);
}

TEST(Plan, KeepsABiasThatIsComputedUntilItIsUsed) {
  // The bias is made first, then the others' memory comes and goes.
  for (const char* op : {"FULLY_CONNECTED(f, w, bias)",
                         "CONV_2D(g, v, bias) {stride_w=1 stride_h=1}",
                         "TRANSPOSE_CONV(size, v, g, bias) "
                         "{padding=1 stride_w=1 stride_h=1}"}) {
    const Bench bench(std::string(R"(graph main
input x: float32[1,1,4,8]
input start: float32[8]
const w: float32[8,8]
const v: float32[8,1,1,8]
const size: int32[4] = 1 1 4 8
const rows: int32[2] = 4 8
const swap: int32[4] = 0 1 3 2
bias = EXP(start)
a = TRANSPOSE(x, swap)
b = TRANSPOSE(a, swap)
c = TRANSPOSE(b, swap)
g = TRANSPOSE(c, swap)
f = RESHAPE(g, rows)
y = )") + op + "\noutput y\n",
                      Best());
    ASSERT_TRUE(bench.status()) << bench.status().error().message;
    bench.Fill(4);
    ASSERT_TRUE(bench.Run());
    const std::vector<float> y = bench.Output(0);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], std::exp(bench.Input(1)[i % 8]), 1e-5) << op;
    }
  }
}

TEST(Plan, CountsTheStepThatNeedsMost) {
  const Bench bench(R"(graph main
input x: float32[8]
const shape: int32[2] = 1000 8
a = NEG(x)
b = BROADCAST_TO(a, shape)
const axis: int32[1] = 0
c = SUM(b, axis)
output c
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  EXPECT_EQ(bench.plan().steps[bench.plan().peak_step].name, "BROADCAST_TO");
  EXPECT_GE(bench.plan().arena_bytes, 8000u * 4);
}

TEST(Plan, NeedsNoStepForWhatIsKnownBefore) {
  const Bench bench(R"(graph main
input x: float32[2,3]
const one: int32[1] = 1
const rest: int32[1] = -1
shape = SHAPE(x)
columns = SLICE(shape, one, one)
target = CONCATENATION(rest, columns)
y = RESHAPE(x, target)
output y
output columns
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  EXPECT_TRUE(bench.plan().steps.empty());
  int32_t columns = 0;
  std::memcpy(&columns, bench.Bytes(bench.plan().outputs[1]).data(), 4);
  EXPECT_EQ(columns, 3);
}

TEST(Plan, TellsPartsOfOneConstantApart) {
  // The parts lie in one buffer and have one shape.
  const Bench bench(R"(graph main
input x: float32[1,2]
const w: float32[6,2] = 1 2 3 4 5 6 7 8 9 10 11 12
const axis: int32[] = 0
const rows: int32[2] = 2 2
const begin: int32[2] = 4 0
a, b, c = SPLIT(axis, w) {num_splits=3}
d = SLICE(w, begin, rows)
ya = FULLY_CONNECTED(x, a, -)
yb = FULLY_CONNECTED(x, b, -)
yc = FULLY_CONNECTED(x, c, -)
yd = FULLY_CONNECTED(x, d, -)
output ya
output yb
output yc
output yd
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  bench.Input(0)[0] = 1;
  bench.Input(0)[1] = 100;
  ASSERT_TRUE(bench.Run());
  EXPECT_THAT(bench.Output(0), ElementsAre(201, 403));
  EXPECT_THAT(bench.Output(1), ElementsAre(605, 807));
  EXPECT_THAT(bench.Output(2), ElementsAre(1009, 1211));
  EXPECT_THAT(bench.Output(3), ElementsAre(1009, 1211));
}

// --- Random graphs ----------------------------------------------------------

// A random graph of `ops` operators. All of its tensors that operators make are
// outputs when `all_seen`, else some of them.
graph::Graph RandomGraph(uint32_t seed, bool all_seen) {
  using graph::OpCode;
  using graph::Shape;
  using graph::TensorId;
  std::mt19937 rng(seed);
  graph::Graph graph = graph::Graph::Empty();
  graph::Builder b(graph, "main");
  std::vector<TensorId> inputs, made;
  std::vector<std::pair<std::string, TensorId>> in;
  for (const Shape& shape :
       {Shape{4, 6}, Shape{4, 6}, Shape{6, 4}, Shape{6}, Shape{24}}) {
    const std::string name = fmt::format("x{}", inputs.size());
    inputs.push_back(b.Input(name, graph::Type::kFloat32, shape));
    in.emplace_back(name, inputs.back());
  }
  std::vector<TensorId> all = inputs;
  std::vector<float> weights(36);
  for (float& w : weights) w = static_cast<float>(rng() % 200) / 200.0f - 0.5f;
  const TensorId matrix = b.Floats("w", {6, 6}, weights);
  const int32_t swap[] = {1, 0}, zero = 0, one = 1;
  const int32_t shapes[][2] = {{4, 6}, {6, 4}, {2, 12}};
  const auto pick = [&](const auto& fits) {
    std::vector<TensorId> good;
    for (const TensorId t : all) {
      if (fits(b.ShapeOf(t))) good.push_back(t);
    }
    return good.empty() ? inputs[0] : good[rng() % good.size()];
  };
  const auto any = [&] { return pick([](const Shape&) { return true; }); };
  const auto like = [&](TensorId t) {
    return pick([&](const Shape& s) { return s == b.ShapeOf(t); });
  };
  const auto flat = [&] {
    return pick([](const Shape& s) { return s.size() == 2; });
  };
  const size_t ops = 3 + rng() % 20;
  for (size_t i = 0; i < ops; ++i) {
    std::vector<TensorId> out;
    const TensorId x = any();
    switch (rng() % 10) {
      case 0:
        out = {b.Op(OpCode::kTanh, {x})};
        break;
      case 1:
        out = {b.Op(rng() % 2 ? OpCode::kNeg : OpCode::kAbs, {x})};
        break;
      case 2:
        out = {b.Op(OpCode::kAdd, {x, like(x)})};
        break;
      case 3:
        out = {b.Op(OpCode::kMaximum, {like(x), x})};
        break;
      case 4: {  // Broadcast a row.
        const TensorId rows =
            pick([](const Shape& s) { return s == Shape{4, 6}; });
        const TensorId row = pick([](const Shape& s) { return s == Shape{6}; });
        out = {rng() % 2 ? b.Op(OpCode::kSub, {rows, row})
                         : b.Op(OpCode::kSub, {row, rows})};
        break;
      }
      case 5:
        out = {b.Op(OpCode::kTranspose, {flat(), b.Ints("swap", {2}, swap)})};
        break;
      case 6: {
        const TensorId whole =
            pick([](const Shape& s) { return graph::ElementCount(s) == 24; });
        const auto& to = shapes[rng() % 3];
        out = {b.Op(OpCode::kReshape, {whole, b.Ints("shape", {2}, to)})};
        break;
      }
      case 7: {  // One run of memory along axis 0, a copy along axis 1.
        const TensorId even =
            pick([](const Shape& s) { return s == Shape{4, 6}; });
        const bool rows = rng() % 2 != 0;
        const TensorId axis = b.Ints("axis", {}, {rows ? &zero : &one, 1});
        const TensorId operands[] = {axis, even};
        out = b.Ops(OpCode::kSplit, operands, {{"num_splits", int64_t{2}}}, 2);
        break;
      }
      case 8: {
        const TensorId half =
            pick([](const Shape& s) { return s == Shape{2, 6}; });
        if (b.ShapeOf(half) != Shape{2, 6}) continue;
        const TensorId both[] = {half, like(half)};
        out = b.Ops(OpCode::kConcatenation, both, {{"axis", int64_t{0}}}, 1);
        break;
      }
      default: {  // The ADD is fused when nobody else sees the product.
        const TensorId rows =
            pick([](const Shape& s) { return s == Shape{4, 6}; });
        const TensorId product =
            b.Op(OpCode::kFullyConnected, {rows, matrix, graph::kNoTensor});
        out = {product, b.Op(OpCode::kAdd, {product, like(product)})};
        break;
      }
    }
    made.insert(made.end(), out.begin(), out.end());
    all.insert(all.end(), out.begin(), out.end());
  }
  std::vector<std::pair<std::string, TensorId>> out;
  for (size_t i = 0; i < made.size(); ++i) {
    const bool seen = rng() % 5 == 0 || i + 1 == made.size();
    if (all_seen || seen) out.emplace_back(fmt::format("t{}", i), made[i]);
  }
  const Status finished = b.Finish("main", in, out);
  EXPECT_TRUE(finished) << finished.error().message << " seed " << seed;
  return graph;
}

// Where all tensors are outputs nothing is fused and nothing is used again.
TEST(Plan, GivesTheSameBitsAsWithMemoryForEveryTensor) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Bench tight(RandomGraph(seed, false), Best());
    const Bench roomy(RandomGraph(seed, true), Best());
    ASSERT_TRUE(tight.status()) << tight.status().error().message;
    ASSERT_TRUE(roomy.status()) << roomy.status().error().message;
    ExpectNoTwoLiveBlocksShareBytes(tight.plan());
    ExpectNoTwoLiveBlocksShareBytes(roomy.plan());
    tight.Fill(seed);
    roomy.Fill(seed);
    ASSERT_TRUE(tight.Run());
    ASSERT_TRUE(roomy.Run());
    for (const int32_t output : tight.plan().outputs) {
      const auto got = tight.Bytes(output), want = roomy.Bytes(output);
      ASSERT_EQ(got.size(), want.size());
      ASSERT_EQ(std::memcmp(got.data(), want.data(), got.size()), 0)
          << tight.plan().tensors[output].name << "\n"
          << graph::ToText(RandomGraph(seed, false));
    }
  }
}

TEST(Plan, IsTheSameEachTime) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const Bench a(RandomGraph(seed, false), Best());
    const Bench b(RandomGraph(seed, false), Best());
    ASSERT_EQ(a.StepNames(), b.StepNames());
    EXPECT_EQ(a.plan().arena_bytes, b.plan().arena_bytes);
    for (size_t i = 0; i < a.plan().tensors.size(); ++i) {
      EXPECT_EQ(a.plan().tensors[i].offset, b.plan().tensors[i].offset);
    }
  }
}

// --- Limits and errors
// --------------------------------------------------------

TEST(Plan, NamesTheTensorThatPassesTheMemoryLimit) {
  PlanOptions options = Best();
  options.memory_limit_bytes = 4096;
  const Bench bench(R"(graph main
input x: float32[8]
const shape: int32[2] = 1000 8
small = NEG(x)
wide = BROADCAST_TO(small, shape)
output wide
)",
                    options);
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(bench.status().error().message, HasSubstr("\"wide\""));
  EXPECT_THAT(bench.status().error().message, HasSubstr("[1000,8]"));
  EXPECT_THAT(bench.status().error().message, HasSubstr("4096"));
}

TEST(Plan, NamesTheStepWhoseTensorsTogetherPassTheLimit) {
  PlanOptions options = Best();
  options.memory_limit_bytes = 1100;
  const Bench bench(kCopies, options);
  ASSERT_FALSE(bench.status());
  EXPECT_THAT(bench.status().error().message, HasSubstr("1536 bytes"));
  EXPECT_THAT(bench.status().error().message, HasSubstr("TRANSPOSE"));
}

TEST(Plan, KeepsToTheLimitWhereThereIsNoStep) {
  PlanOptions options = Best();
  options.memory_limit_bytes = 500;
  const Bench bench(R"(graph main
input x: float32[10,10]
input z: float32[100]
const flat: int32[1] = 100
y = RESHAPE(x, flat)
output y
)",
                    options);
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(bench.status().error().message, HasSubstr("memory limit 500"));
}

TEST(Plan, ListsEveryOperatorItHasNoKernelFor) {
  const Bench bench(R"(graph main
input x: float32[2]
input i: int32[2]
a = EXP(i)
b = SIN(i)
c = COS(x)
output a
output b
output c
)",
                    Best());
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(bench.status().error().message,
              HasSubstr("(\"a\"): no kernel for EXP from (int32) to (int32)"));
  EXPECT_THAT(bench.status().error().message,
              HasSubstr("(\"b\"): no kernel for SIN"));
  EXPECT_THAT(bench.status().error().message, testing::Not(HasSubstr("COS")));
}

TEST(Plan, RefusesSizesThatAreOnlyKnownWhenItRuns) {
  const Bench bench(R"(graph main
input x: float32[4]
input axis: int32[1]
y: float32[1] = SUM(x, axis)
output y
)",
                    Best());
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kUnsupported);
}

TEST(Plan, RefusesMoreMatricesThanItShouldList) {
  // Small inputs, but 400 million products; lists of them would take 9 GB.
  const Bench bench(R"(graph main
input a: float32[20000,1,1,1]
input b: float32[20000,1,1]
y = BATCH_MATMUL(a, b)
output y
)",
                    Best());
  ASSERT_FALSE(bench.status());
  EXPECT_EQ(bench.status().error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(bench.status().error().message, HasSubstr("400000000 matrices"));
}

TEST(Plan, SaysWhichIndexIsOutOfRange) {
  const Bench bench(R"(graph main
input x: float32[4,2]
input i: int32[3]
y = GATHER(x, i)
output y
)",
                    Best());
  ASSERT_TRUE(bench.status()) << bench.status().error().message;
  const auto run = [&](std::array<int32_t, 3> indices) {
    std::memcpy(bench.Bytes(bench.plan().inputs[1]).data(), indices.data(), 12);
    return bench.Run();
  };
  EXPECT_TRUE(run({0, 3, 1}));
  for (const int32_t wrong : {4, -1, INT32_MAX, INT32_MIN}) {
    const Status status = run({0, wrong, 1});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(status.error().message,
                HasSubstr(fmt::format("index 1 is {}, allowed 0 to 3", wrong)));
  }
}

TEST(Plan, SharesPackedWeightsAndLetsThemGoWithTheLastPlan) {
  const graph::Graph graph = ReadGraph(R"(graph main
input x: float32[2,8]
const w: float32[16,8]
y = FULLY_CONNECTED(x, w, -)
output y
)");
  PackedCache cache;
  auto known = graph::StoredTensors(graph, graph.subgraphs[0]);
  ASSERT_TRUE(graph::InferSubgraph(graph, graph.subgraphs[0], known));
  {
    const auto one = MakePlan(graph, 0, known, Best(), cache);
    ASSERT_TRUE(one);
    const uint64_t bytes = cache.bytes();
    EXPECT_GE(bytes, 16u * 8 * 4);
    const auto two = MakePlan(graph, 0, known, Best(), cache);
    ASSERT_TRUE(two);
    EXPECT_EQ(cache.bytes(), bytes);
  }
  EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace lathe::plan

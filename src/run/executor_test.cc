#include "src/run/executor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "src/graph/text.h"

namespace lathe::run {
namespace {

// A graph with what an executor needs beside it.
struct Fixture {
  graph::Graph graph;
  plan::PackedCache cache;
  ThreadPool pool{1};
  Shared shared;
  std::unique_ptr<Executor> executor;

  explicit Fixture(std::string_view text) {
    auto read = graph::FromText(text);
    EXPECT_TRUE(read) << read.error().message;
    if (!read) std::abort();
    graph = *std::move(read);
    shared.graph = &graph;
    shared.cache = &cache;
    shared.options.memory_limit_bytes = 1 << 20;
    shared.held = std::make_shared<Held>();
    shared.held->resources.resize(plan::HandleCount(graph));
    std::vector<graph::Shape> shapes;
    for (const int32_t input : graph.subgraphs[0].inputs) {
      shapes.push_back(Main().tensors[static_cast<size_t>(input)].shape);
    }
    auto made = Executor::Create(shared, 0, shapes);
    EXPECT_TRUE(made) << made.error().message;
    if (!made) std::abort();
    executor = *std::move(made);
  }

  const graph::Subgraph& Main() const { return graph.subgraphs[0]; }

  int32_t Named(std::string_view name) const {
    for (size_t i = 0; i < Main().tensors.size(); ++i) {
      if (Main().tensors[i].name == name) return static_cast<int32_t>(i);
    }
    ADD_FAILURE() << name;
    return 0;
  }

  template <typename T>
  void Set(std::string_view name, const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    const auto to = executor->Bytes(Named(name));
    ASSERT_EQ(to.size(), bytes.size()) << name;
    std::ranges::copy(bytes, to.begin());
  }
  template <typename T>
  std::vector<T> Get(std::string_view name) const {
    const auto bytes = executor->Bytes(Named(name));
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  Status Run() {
    RunOptions options;
    options.pool = &pool;
    return executor->Run(options);
  }
};

constexpr std::string_view kReshape = R"(graph main
input  x: int32[6]
input  rows: int32[1]
const  open: int32[1] = -1
shape: int32[2] = CONCATENATION(rows, open) {axis=0}
y: int32[2,3] = RESHAPE(x, shape)
z: int32[2,3] = ADD(y, y)
output z
)";

TEST(Executor, PlansAnewOnlyWhenTheValuesThatGiveShapesChange) {
  Fixture f(kReshape);
  f.Set<int32_t>("x", {1, 2, 3, 4, 5, 6});
  f.Set<int32_t>("rows", {2});
  ASSERT_TRUE(f.Run());
  ASSERT_EQ(f.executor->stages().size(), 2u);
  const size_t plans = f.executor->plans_made();
  // Other data, the same shape.
  f.Set<int32_t>("x", {10, 20, 30, 40, 50, 60});
  ASSERT_TRUE(f.Run());
  EXPECT_EQ(f.executor->plans_made(), plans);
  EXPECT_EQ(f.Get<int32_t>("z"),
            (std::vector<int32_t>{20, 40, 60, 80, 100, 120}));

  f.Set<int32_t>("rows", {3});
  ASSERT_TRUE(f.Run());
  EXPECT_EQ(f.executor->plans_made(), plans + 1);
  EXPECT_EQ(f.executor->Known(f.Named("z")).shape, (graph::Shape{3, 2}));
  EXPECT_EQ(f.Get<int32_t>("z"),
            (std::vector<int32_t>{20, 40, 60, 80, 100, 120}));
}

TEST(Executor, InputsThatAreNotSetYetGiveNoShape) {
  // At first `rows` is 0 in memory, which no plan may believe.
  Fixture f(R"(graph main
input  x: float32[6]
input  rows: int32[2]
y: float32[2,3] = STABLEHLO_COMPOSITE(x, rows) {name="reshape" decomposition_subgraph_index=1}
z: float32[2,3] = NEG(y)
output z
graph reshape
input  x: float32[6]
input  rows: int32[2]
y: float32[2,3] = RESHAPE(x, rows)
output y
)");
  f.Set<float>("x", {1, 2, 3, 4, 5, 6});
  f.Set<int32_t>("rows", {3, 2});
  const Status status = f.Run();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(f.executor->Known(f.Named("z")).shape, (graph::Shape{3, 2}));
  EXPECT_EQ(f.Get<float>("z"), (std::vector<float>{-1, -2, -3, -4, -5, -6}));
}

TEST(Executor, ShapesMayComeFromAnyNumberOfValues) {
  // WHERE counts 300 truths, more than are followed value by value.
  Fixture f(R"(graph main
input  x: float32[300]
const  zero: float32[1] = 0
mask: bool[300] = GREATER(x, zero)
at: int64[300,1] = WHERE(mask)
picked: float32[300,1] = GATHER_ND(x, at)
y: float32[300,1] = NEG(picked)
output y
)");
  for (const size_t positive : {size_t{3}, size_t{100}, size_t{0}, size_t{3}}) {
    std::vector<float> x(300, -1);
    for (size_t i = 0; i < positive; ++i) x[i * 3] = static_cast<float>(i + 1);
    f.Set<float>("x", x);
    const Status status = f.Run();
    ASSERT_TRUE(status) << status.error().message;
    const std::vector<float> y = f.Get<float>("y");
    ASSERT_EQ(y.size(), positive);
    for (size_t i = 0; i < positive; ++i) {
      EXPECT_EQ(y[i], -static_cast<float>(i + 1));
    }
  }
  // The same count at other places needs no new plan.
  const size_t plans = f.executor->plans_made();
  std::vector<float> x(300, -1);
  x[7] = x[8] = x[299] = 2;
  f.Set<float>("x", x);
  ASSERT_TRUE(f.Run());
  EXPECT_EQ(f.executor->plans_made(), plans);
  EXPECT_EQ(f.Get<float>("y"), (std::vector<float>{-2, -2, -2}));
}

TEST(Executor, LaterPlansSeeWhatEarlierOnesCompute) {
  // `a` is made by the first plan and read before and behind the loop.
  Fixture f(R"(graph main
input  x: float32[2]
a: float32[2] = NEG(x)
n: float32[2] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
b: float32[2] = ADD(a, n)
c: float32[2] = WHILE(b) {cond_subgraph_index=1 body_subgraph_index=2}
d: float32[2] = MUL(c, a)
output d
output a
graph cond
input  x: float32[2]
const  limit: float32[2] = 10 10
const  axes: int32[1] = 0
less: bool[2] = LESS(x, limit)
all: bool[] = REDUCE_ALL(less, axes) {keep_dims=false}
output all
graph body
input  x: float32[2]
y: float32[2] = ADD(x, x)
output y
)");
  for (int run = 0; run < 2; ++run) {
    f.Set<float>("x", {1, 3});
    const Status status = f.Run();
    ASSERT_TRUE(status) << status.error().message;
    // x: 1 3 -> 2 6 -> 4 12; b: 3 9 -> 6 18; d: -6 -54.
    EXPECT_EQ(f.Get<float>("d"), (std::vector<float>{-6, -54}));
    EXPECT_EQ(f.Get<float>("a"), (std::vector<float>{-1, -3}));
  }
}

TEST(Executor, StepsAreCountedOverAllPlans) {
  Fixture f(kReshape);
  f.Set<int32_t>("rows", {1});
  std::vector<size_t> seen;
  const OnStep on_step = [&](size_t step, double) { seen.push_back(step); };
  RunOptions options;
  options.pool = &f.pool;
  options.on_step = &on_step;
  ASSERT_TRUE(f.executor->Run(options));
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i);
  EXPECT_GE(seen.size(), 2u);
}

}  // namespace
}  // namespace lathe::run

#include "src/run/observe.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "src/graph/text.h"
#include "src/run/executor.h"

namespace lathe::run {
namespace {

using Values = std::map<std::string, std::vector<std::vector<float>>>;

// Every float value that a run shows, by the tensor's name, in order.
Values ShownBy(std::string_view text, const std::vector<float>& input) {
  auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) return {};
  plan::PackedCache cache;
  ThreadPool pool(1);
  Shared shared;
  shared.graph = &*graph;
  shared.cache = &cache;
  shared.options.memory_limit_bytes = 1 << 20;
  shared.options.single_ops = true;
  shared.held = std::make_shared<Held>();
  std::vector<graph::Shape> shapes;
  for (const int32_t t : graph->subgraphs[0].inputs) {
    shapes.push_back(graph->subgraphs[0].tensors[static_cast<size_t>(t)].shape);
  }
  auto executor = Executor::Create(shared, 0, shapes);
  EXPECT_TRUE(executor) << executor.error().message;
  if (!executor) return {};
  for (const int32_t t : graph->subgraphs[0].inputs) {
    const auto bytes = (*executor)->Bytes(t);
    std::memcpy(bytes.data(), input.data(), bytes.size());
  }
  Values values;
  const OnTensor on_tensor = [&](const Shown& shown) {
    if (shown.facts.type != graph::Type::kFloat32) return;
    const auto& subgraph = graph->subgraphs[shown.subgraph];
    auto& all =
        values[subgraph.name + "/" +
               subgraph.tensors[static_cast<size_t>(shown.tensor)].name];
    all.emplace_back(shown.bytes.size() / sizeof(float));
    std::memcpy(all.back().data(), shown.bytes.data(), shown.bytes.size());
  };
  RunOptions options;
  options.pool = &pool;
  options.on_tensor = &on_tensor;
  const Status ran = (*executor)->Run(options);
  EXPECT_TRUE(ran) << ran.error().message;
  return values;
}

TEST(Observe, ShowsValuesBeforeTheirMemoryIsUsedAgain) {
  // Each step may write into the memory of the one before; `seen` is a view
  // that nothing reads.
  const Values values = ShownBy(R"(graph main
input  x: float32[4]
a: float32[4] = NEG(x)
b: float32[4] = ABS(a)
const  shape: int32[2] = 2 2
c: float32[2,2] = RESHAPE(b, shape)
d: float32[2,2] = NEG(c)
const  flat: int32[1] = 4
seen: float32[4] = RESHAPE(d, flat)
e: float32[2,2] = EXP(d)
f: float32[2,2] = NEG(e)
output f
)",
                                {0, 1, 0, -2});
  const auto one = [&](const std::string& name) {
    const auto found = values.find("main/" + name);
    return found == values.end() ? std::vector<float>() : found->second.front();
  };
  EXPECT_EQ(one("x"), (std::vector<float>{0, 1, 0, -2}));
  EXPECT_EQ(one("a"), (std::vector<float>{0, -1, 0, 2}));
  EXPECT_EQ(one("b"), (std::vector<float>{0, 1, 0, 2}));
  EXPECT_EQ(one("c"), (std::vector<float>{0, 1, 0, 2}));
  EXPECT_EQ(one("d"), (std::vector<float>{0, -1, 0, -2}));
  EXPECT_EQ(one("seen"), (std::vector<float>{0, -1, 0, -2}));
  EXPECT_EQ(one("e")[0], 1.0f);
  EXPECT_EQ(one("f")[0], -1.0f);
  for (const auto& [name, all] : values) EXPECT_EQ(all.size(), 1u) << name;
}

TEST(Observe, ShowsEveryRoundOfALoop) {
  const Values values = ShownBy(R"(graph main
input  x: float32[1]
y: float32[1] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
z: float32[1] = NEG(y)
output z
graph cond
input  x: float32[1]
const  limit: float32[1] = 8
more: bool[1] = LESS(x, limit)
output more
graph body
input  x: float32[1]
twice: float32[1] = ADD(x, x)
output twice
)",
                                {3});
  EXPECT_EQ(values.at("main/y"), (std::vector<std::vector<float>>{{12}}));
  EXPECT_EQ(values.at("main/z"), (std::vector<std::vector<float>>{{-12}}));
  EXPECT_EQ(values.at("body/twice"),
            (std::vector<std::vector<float>>{{6}, {12}}));
  EXPECT_EQ(values.at("cond/x"),
            (std::vector<std::vector<float>>{{3}, {6}, {12}}));
}

}  // namespace
}  // namespace lathe::run

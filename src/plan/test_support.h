// What the tests of plan share: graphs from text, planned and run plainly.

#ifndef LATHE_PLAN_TEST_SUPPORT_H_
#define LATHE_PLAN_TEST_SUPPORT_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/aligned_buffer.h"
#include "src/base/cpu.h"
#include "src/base/thread_pool.h"
#include "src/graph/shapes.h"
#include "src/graph/text.h"
#include "src/plan/plan.h"

namespace lathe::plan {

inline graph::Graph ReadGraph(std::string_view text) {
  auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message << "\n" << text;
  return graph ? *std::move(graph) : graph::Graph::Empty();
}

// The same graph with nothing marked.
inline std::string WithoutRegions(const std::string& text) {
  std::string kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("region ")) kept += line + "\n";
  }
  return kept;
}

// The levels that can run here, lowest first.
inline std::vector<Isa> IsasHere() {
  std::vector<Isa> isas;
  for (const Isa isa : KnownIsas()) {
    if (CpuHas(isa)) isas.push_back(isa);
  }
  return isas;
}

// A plan of subgraph 0 with memory, run step by step. Memory starts as NaN, so
// that what nobody wrote is noticed.
class Bench {
 public:
  explicit Bench(graph::Graph graph, PlanOptions options = {})
      : graph_(std::move(graph)), options_(options) {
    Prepare(graph::StoredTensors(graph_, graph_.subgraphs[0]));
  }
  explicit Bench(std::string_view text, PlanOptions options = {})
      : Bench(ReadGraph(text), options) {}

  // Plans again with another shape of an input.
  void Resize(size_t input, const graph::Shape& shape) {
    auto known = graph::StoredTensors(graph_, graph_.subgraphs[0]);
    known[graph_.subgraphs[0].inputs[input]].shape = shape;
    Prepare(std::move(known));
  }

  const Status& status() const { return status_; }
  const graph::Subgraph& subgraph() const { return graph_.subgraphs[0]; }
  const Plan& plan() const { return plan_; }
  const PackedCache& cache() const { return cache_; }

  std::vector<std::string> StepNames() const {
    std::vector<std::string> names;
    for (const Step& step : plan_.steps) names.push_back(step.name);
    return names;
  }
  const PlanTensor& Named(std::string_view name) const {
    return *std::ranges::find(plan_.tensors, name, &PlanTensor::name);
  }

  std::span<std::byte> Bytes(int32_t tensor) const {
    return {pointers_[tensor], plan_.tensors[tensor].bytes};
  }
  std::span<float> Floats(int32_t tensor) const {
    const auto bytes = Bytes(tensor);
    return {reinterpret_cast<float*>(bytes.data()), bytes.size() / 4};
  }
  std::span<float> Input(size_t i) const { return Floats(plan_.inputs[i]); }
  std::vector<float> Output(size_t i) const {
    const auto values = Floats(plan_.outputs[i]);
    return {values.begin(), values.end()};
  }

  // Values in [-1, 1) for all inputs.
  void Fill(uint32_t seed) const {
    std::mt19937 rng(seed);
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      for (float& x : Input(i)) {
        x = static_cast<float>(rng()) / 2147483648.0f - 1;
      }
    }
  }
  Status Run() const {
    ThreadPool pool(static_cast<int>(options_.threads));
    for (const Step& step : plan_.steps) {
      StepContext context;
      context.tensors = pointers_.data();
      context.scratch = arena_.data() + step.scratch_offset;
      if (step.shared >= 0) {
        context.shared = arena_.data() + plan_.shared[step.shared].offset;
      }
      context.pool = &pool;
      LATHE_TRY(step.run(context));
    }
    return {};
  }

 private:
  void Prepare(std::vector<graph::KnownTensor> known) {
    status_ = graph::InferSubgraph(graph_, graph_.subgraphs[0], known);
    if (!status_) return;
    auto plan = MakePlan(graph_, 0, known, options_, cache_);
    if (!plan) {
      status_ = std::unexpected(plan.error());
      return;
    }
    plan_ = *std::move(plan);
    auto arena = AlignedBuffer::Create(plan_.arena_bytes);
    ASSERT_TRUE(arena);
    arena_ = *std::move(arena);
    if (arena_.size() > 0) std::memset(arena_.data(), 0xFF, arena_.size());
    pointers_.assign(plan_.tensors.size(), nullptr);
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const PlanTensor& tensor = plan_.tensors[i];
      if (tensor.home == Home::kConstant) {
        pointers_[i] = const_cast<std::byte*>(tensor.constant);
      } else if (tensor.home == Home::kArena) {
        pointers_[i] = arena_.data() + tensor.offset;
      }
    }
  }

  graph::Graph graph_;
  PlanOptions options_;
  PackedCache cache_;
  Status status_;
  Plan plan_;
  AlignedBuffer arena_;
  std::vector<std::byte*> pointers_;
};

}  // namespace lathe::plan

#endif  // LATHE_PLAN_TEST_SUPPORT_H_

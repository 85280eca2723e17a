#include "src/quant/instructions.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "src/quant/ops.h"

namespace lathe::quant {
namespace {

using graph::Graph;
using graph::Tensor;

bool IsRotation(Step step) {
  return step == Step::kRotate || step == Step::kRotateInParts;
}
// Steps that leave the tensor itself float.
bool LeavesFloat(Step step) {
  return step == Step::kAddQuantize || step == Step::kNothing ||
         IsRotation(step) || step == Step::kMultiply;
}
bool MakesIntegers(Step step) {
  return step == Step::kRetype || step == Step::kAddDequantize;
}

class Planner {
 public:
  Planner(const Graph& graph, Records records, Behaviour behaviour)
      : graph_(graph), records_(std::move(records)), behaviour_(behaviour) {}

  Result<std::vector<TensorInstructions>> Run() {
    GroupByBuffer();
    FindEdges();
    for (const auto& [buffer, tensors] : groups_) {
      if (buffer != 0) ShareBuffer(tensors);
    }
    std::vector<TensorInstructions> all;
    for (const auto& [buffer, tensors] : groups_) {
      for (const TensorId id : tensors) {
        if (!Of(id).any()) continue;
        LATHE_ASSIGN(auto steps, PlanTensor(id));
        all.push_back({id, std::move(steps)});
      }
    }
    return all;
  }

 private:
  TensorRecords& Of(TensorId id) { return records_[id.subgraph][id.tensor]; }
  const Tensor& TensorOf(TensorId id) const {
    return graph_.subgraphs[id.subgraph].tensors[id.tensor];
  }
  bool Same(const GridPtr& a, const GridPtr& b) const {
    return SameGrid(a, b, behaviour_);
  }

  void GroupByBuffer() {
    std::map<uint32_t, size_t> group_of;
    for (size_t s = 0; s < graph_.subgraphs.size(); ++s) {
      const auto& tensors = graph_.subgraphs[s].tensors;
      for (size_t t = 0; t < tensors.size(); ++t) {
        const bool empty = graph_.buffers[tensors[t].buffer].empty();
        const uint32_t buffer = empty ? 0 : tensors[t].buffer;
        const auto [at, added] = group_of.try_emplace(buffer, groups_.size());
        if (added) groups_.push_back({buffer, {}});
        groups_[at->second].second.push_back({s, static_cast<int32_t>(t)});
      }
    }
  }

  // --- Shared constants -----------------------------------------------------

  bool Compatible(const Record& a, const Record& b) const {
    if (a.steps == b.steps && Same(a.grid, b.grid)) return true;
    if (LeavesFloat(a.steps[0]) && LeavesFloat(b.steps[0])) return true;
    return MakesIntegers(a.steps[0]) && MakesIntegers(b.steps[0]) &&
           Same(a.grid, b.grid);
  }
  bool AgreesWithItself(const TensorRecords& records) const {
    return std::ranges::all_of(records.consumers, [&](const Record& record) {
      return Compatible(record, records.consumers[0]);
    });
  }
  bool Agree(const TensorRecords& a, const TensorRecords& b) const {
    if (!a.any() || !b.any()) return true;
    if (a.producer.has_value() != b.producer.has_value() ||
        a.consumers.empty() != b.consumers.empty()) {
      return false;
    }
    if (a.producer && !Compatible(*a.producer, *b.producer)) return false;
    return a.consumers.empty() || Compatible(a.consumers[0], b.consumers[0]);
  }

  // Marks what must get a copy of its own. Steps are inserted in front, so that
  // the grouping of consumers sees them.
  void ShareBuffer(const std::vector<TensorId>& tensors) {
    std::set<size_t> split;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!AgreesWithItself(Of(tensors[i]))) split.insert(i);
    }
    const bool agree =
        split.empty() && std::ranges::all_of(tensors, [&](TensorId id) {
          return Agree(Of(tensors[0]), Of(id));
        });
    // A tensor that nobody reads keeps its floats.
    const bool has_idle =
        behaviour_ == Behaviour::kCorrect && tensors.size() > 1 &&
        std::ranges::any_of(tensors,
                            [&](TensorId id) { return !Of(id).any(); });
    if (!agree || has_idle) {
      for (size_t i = 0; i + (has_idle ? 0 : 1) < tensors.size(); ++i) {
        Prepend(Of(tensors[i]), Step::kDuplicateBuffer);
      }
    }
    for (const size_t i : split) {
      Prepend(Of(tensors[i]), Step::kDuplicateTensor);
    }
  }
  static void Prepend(TensorRecords& records, Step step) {
    for (Record& record : records.consumers) {
      record.steps.insert(record.steps.begin(), step);
    }
  }

  // --- One tensor -----------------------------------------------------------

  // Whether two consumers share what is inserted for their step at `depth`.
  bool Merge(const Record& a, const Record& b, size_t depth) const {
    const auto rotates = [](const Record& r) {
      return r.grid != nullptr && r.grid->hadamard_size > 0;
    };
    if (behaviour_ == Behaviour::kCompat) {
      // Whatever their sizes (A8).
      if (rotates(a) && rotates(b)) return true;
      return depth < a.steps.size() && depth < b.steps.size() &&
             a.steps[depth] == b.steps[depth] && Same(a.grid, b.grid);
    }
    if (depth >= a.steps.size() || depth >= b.steps.size() ||
        a.steps[depth] != b.steps[depth]) {
      return false;
    }
    const auto last = [](const Record& r) { return r.steps.back(); };
    if (last(a) == last(b) && a.grid != nullptr && b.grid != nullptr) {
      if (IsRotation(last(a))) {
        return a.grid->hadamard_size == b.grid->hadamard_size;
      }
      if (last(a) == Step::kMultiply) {
        return a.grid->multiplier == b.grid->multiplier;
      }
    }
    return Same(a.grid, b.grid);
  }

  using Group = std::vector<size_t>;  // Consumers, ascending.

  // By depth: the consumers that share their step there.
  std::vector<std::vector<Group>> GroupConsumers(
      const std::vector<Record>& consumers) const {
    size_t longest = 0;
    Group all;
    for (size_t i = 0; i < consumers.size(); ++i) {
      all.push_back(i);
      longest = std::max(longest, consumers[i].steps.size());
    }
    std::vector<std::vector<Group>> depths = {{all}};
    for (size_t depth = 0; depth < longest; ++depth) {
      std::vector<Group> next;
      for (size_t i = 0; i < consumers.size(); ++i) {
        if (consumers[i].steps.size() <= depth) continue;
        for (const Group& current : depths[depth]) {
          if (std::ranges::find(current, i) == current.end()) continue;
          const auto found = std::ranges::find_if(next, [&](const Group& g) {
            return std::ranges::find(current, g[0]) != current.end() &&
                   Merge(consumers[g[0]], consumers[i], depth);
          });
          if (found == next.end()) {
            next.push_back({i});
          } else {
            found->push_back(i);
          }
        }
      }
      depths.push_back(std::move(next));
    }
    depths.erase(depths.begin());
    return depths;
  }

  static Instruction For(const std::vector<Record>& consumers,
                         const Group& group, size_t depth, int32_t producer) {
    const Record& first = consumers[group[0]];
    Instruction made = {first.steps[depth], producer, {}, first.grid};
    for (const size_t i : group) made.consumers.push_back(consumers[i].op);
    return made;
  }

  // Who writes a tensor, and everyone who reads it, the subgraph's outputs
  // first.
  struct Edges {
    int32_t producer = kBoundary;
    std::vector<int32_t> readers;
  };

  void FindEdges() {
    for (const graph::Subgraph& subgraph : graph_.subgraphs) {
      auto& edges = edges_.emplace_back(subgraph.tensors.size());
      for (const int32_t t : subgraph.outputs) {
        edges[t].readers.push_back(kBoundary);
      }
      for (size_t i = 0; i < subgraph.ops.size(); ++i) {
        const auto op = static_cast<int32_t>(i);
        for (const int32_t t : subgraph.ops[i].inputs) {
          if (t >= 0) edges[t].readers.push_back(op);
        }
        for (const int32_t t : subgraph.ops[i].outputs) {
          if (t >= 0) edges[t].producer = op;
        }
      }
    }
  }

  Result<std::vector<Instruction>> PlanTensor(TensorId id) {
    const TensorRecords& records = Of(id);
    const auto& [producer, readers] = edges_[id.subgraph][id.tensor];

    const auto depths = GroupConsumers(records.consumers);
    std::vector<Instruction> steps;
    if (!depths.empty()) {
      for (const Group& group : depths[0]) {
        steps.push_back(For(records.consumers, group, 0, producer));
      }
    }
    if (records.producer) {
      steps = MeetProducer({records.producer->steps[0], producer, readers,
                            records.producer->grid,
                            /*from_producer=*/true},
                           std::move(steps));
    }
    for (size_t depth = 1; depth < depths.size(); ++depth) {
      for (const Group& group : depths[depth]) {
        if (records.consumers[group[0]].steps.size() > depth) {
          steps.push_back(For(records.consumers, group, depth, producer));
        }
      }
    }
    KeepLast(steps);
    LATHE_TRY(CheckAgreement(id, steps));
    DropRequantize(id, steps);
    return steps;
  }

  // The producer's dequantizing against what each group of consumers needs.
  std::vector<Instruction> MeetProducer(Instruction producer,
                                        std::vector<Instruction> consumers) {
    std::vector<Instruction> met;
    const auto serve = [&](const Instruction& consumer) {
      for (const int32_t op : consumer.consumers) {
        const auto found = std::ranges::find(producer.consumers, op);
        if (found != producer.consumers.end()) producer.consumers.erase(found);
      }
    };
    for (Instruction& consumer : consumers) {
      if (producer.step != Step::kAddDequantize ||
          (consumer.step != Step::kAddQuantize &&
           consumer.step != Step::kNothing)) {
        met.push_back(std::move(consumer));
        continue;
      }
      serve(consumer);
      Instruction made = consumer;
      made.grid = producer.grid;
      if (consumer.step == Step::kNothing) {
        made.step = Step::kAddDequantize;
        met.push_back(std::move(made));
        continue;
      }
      made.step = Step::kRetype;
      const bool same = Same(producer.grid, consumer.grid);
      met.push_back(std::move(made));
      if (!same) met.push_back(std::move(consumer));
    }
    if (!producer.consumers.empty()) met.insert(met.begin(), producer);
    return met;
  }

  // The last group of consumers keeps the original tensor; a tensor of its own
  // comes with a buffer of its own.
  static void KeepLast(std::vector<Instruction>& steps) {
    for (size_t i = steps.size(); i-- > 0;) {
      if (steps[i].step == Step::kDuplicateTensor) {
        steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
    std::set<int32_t> own;
    for (const Instruction& step : steps) {
      if (step.step == Step::kDuplicateTensor) {
        own.insert(step.consumers.begin(), step.consumers.end());
      }
    }
    std::erase_if(steps, [&](const Instruction& step) {
      return !own.empty() && step.step == Step::kDuplicateBuffer &&
             std::ranges::all_of(step.consumers,
                                 [&](int32_t op) { return own.contains(op); });
    });
  }

  // A tensor cannot be float and integers at once.
  Status CheckAgreement(TensorId id,
                        const std::vector<Instruction>& steps) const {
    std::map<int32_t, size_t> copy_of;  // By consumer; 0 is the original.
    std::vector<std::pair<bool, bool>> kinds(1);
    for (const Instruction& step : steps) {
      if (step.consumers.empty()) continue;
      if (step.step == Step::kDuplicateTensor) {
        kinds.emplace_back();
        for (const int32_t op : step.consumers) {
          copy_of.try_emplace(op, kinds.size() - 1);
        }
        continue;
      }
      auto& [is_float, is_integer] =
          kinds[copy_of.try_emplace(step.consumers[0], 0).first->second];
      is_float |= step.step == Step::kNothing;
      is_integer |= MakesIntegers(step.step);
    }
    for (const auto& [is_float, is_integer] : kinds) {
      if (is_float && is_integer) {
        return Invalid(
            "tensor \"{}\": one rule makes it integers, another leaves it "
            "float",
            TensorOf(id).name);
      }
    }
    return {};
  }

  // An operator that may write any scale writes the one that its readers want.
  void DropRequantize(TensorId id, std::vector<Instruction>& steps) const {
    if (steps.size() != 2 || steps[0].step != Step::kRetype ||
        steps[1].step != Step::kAddQuantize ||
        steps[0].consumers != steps[1].consumers ||
        steps[0].producer == kBoundary || steps[0].grid == nullptr ||
        steps[1].grid == nullptr || !SameKind(*steps[0].grid, *steps[1].grid)) {
      return;
    }
    const auto& op = graph_.subgraphs[id.subgraph].ops[steps[0].producer];
    const auto target = TargetOf(op.code);
    if (!target || FactsOf(*target).scale != ScaleRule::kFree) return;
    auto grid = std::make_shared<Grid>(*steps[0].grid);
    grid->scale = steps[1].grid->scale;
    grid->zero_point = steps[1].grid->zero_point;
    steps[0].grid = std::move(grid);
    steps.pop_back();
  }

  const Graph& graph_;
  Records records_;
  const Behaviour behaviour_;
  std::vector<std::pair<uint32_t, std::vector<TensorId>>> groups_;
  std::vector<std::vector<Edges>> edges_;  // By subgraph and tensor.
};

}  // namespace

Result<std::vector<TensorInstructions>> PlanInstructions(
    const graph::Graph& graph, Records records, Behaviour behaviour) {
  return Planner(graph, std::move(records), behaviour).Run();
}

}  // namespace lathe::quant

#include "src/plan/lowering.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/aligned_buffer.h"
#include "src/base/mapped_file.h"
#include "src/plan/arena.h"

namespace lathe::plan {
namespace {

void AppendInteger(std::vector<std::byte>& bytes, graph::Type type,
                   int64_t value) {
  const auto put = [&](auto v) {
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    bytes.insert(bytes.end(), p, p + sizeof(v));
  };
  if (type == graph::Type::kInt32) return put(static_cast<int32_t>(value));
  if (type == graph::Type::kInt64) return put(value);
  put(static_cast<uint8_t>(value));
}

}  // namespace

Lowering::Lowering(const graph::Graph& graph, const graph::Subgraph& subgraph,
                   const std::vector<graph::KnownTensor>& known,
                   const PlanOptions& options, PackedCache& cache,
                   OpRange range)
    : graph_(graph),
      subgraph_(subgraph),
      known_(known),
      options_(options),
      cache_(cache) {
  range.end = std::min(range.end, subgraph.ops.size());
  plan_.next_op = range.end;
  for (size_t i = 0; i < subgraph.tensors.size(); ++i) {
    const graph::Tensor& source = subgraph.tensors[i];
    PlanTensor tensor;
    tensor.name = source.name;
    tensor.type = known[i].type;
    tensor.shape = known[i].shape;
    tensor.bytes = tensor.type == graph::Type::kResource
                       ? kHandleBytes
                       : graph::ByteCount(tensor.type, tensor.shape);
    tensor.root = static_cast<int32_t>(i);
    if (graph.IsConstant(source)) {
      const graph::Buffer& buffer = graph.BufferOf(source);
      tensor.home = Home::kConstant;
      tensor.constant = buffer.bytes.data();
      tensor.bytes = buffer.bytes.size();
    } else if (known[i].values && (tensor.type == graph::Type::kInt32 ||
                                   tensor.type == graph::Type::kInt64 ||
                                   tensor.type == graph::Type::kBool)) {
      auto bytes = std::make_shared<std::vector<std::byte>>();
      for (const int64_t value : *known[i].values) {
        AppendInteger(*bytes, tensor.type, value);
      }
      tensor.home = Home::kConstant;
      tensor.constant = bytes->data();
      plan_.owned.push_back(std::move(bytes));
    } else if (source.is_variable) {
      tensor.home = Home::kOutside;
    }
    plan_.tensors.push_back(std::move(tensor));
  }
  const auto place = [&](int32_t t, Home home) {
    PlanTensor& tensor = plan_.tensors[t];
    if (tensor.home == Home::kNone) tensor.home = home;
  };
  if (range.holds_inputs) plan_.inputs = subgraph.inputs;
  for (const int32_t input : subgraph.inputs) {
    const bool grows = TypeOf(input) == graph::Type::kString;
    place(input, range.holds_inputs && !grows ? Home::kArena : Home::kOutside);
  }
  for (size_t i = 0; i < range.first; ++i) {
    for (const int32_t t : subgraph.ops[i].outputs) place(t, Home::kOutside);
  }
  // What is kept: results of these operators that others read later.
  std::vector<bool> made(subgraph.tensors.size());
  for (size_t i = range.first; i < range.end; ++i) {
    for (const int32_t t : subgraph.ops[i].outputs) made[t] = true;
  }
  const auto keep = [&](int32_t t) {
    if (t < 0 || !made[t]) return;
    made[t] = false;
    plan_.outputs.push_back(t);
  };
  if (options.keep_all) {
    for (size_t i = range.first; i < range.end; ++i) {
      for (const int32_t t : subgraph.ops[i].outputs) keep(t);
    }
  }
  for (size_t i = range.end; i < subgraph.ops.size(); ++i) {
    for (const int32_t t : subgraph.ops[i].inputs) keep(t);
  }
  if (range.holds_inputs && range.first == 0 && !options.keep_all &&
      range.end == subgraph.ops.size()) {
    plan_.outputs = subgraph.outputs;  // As they stand there.
  } else {
    for (const int32_t t : subgraph.outputs) keep(t);
  }
}

const graph::Shape& Lowering::ShapeOf(int32_t tensor) const {
  return known_[tensor].shape;
}
graph::Type Lowering::TypeOf(int32_t tensor) const {
  return known_[tensor].type;
}
size_t Lowering::Elements(int32_t tensor) const {
  return graph::ElementCount(known_[tensor].shape);
}
std::string Lowering::NameOf(int32_t tensor) const {
  return tensor < 0 ? "-" : plan_.tensors[tensor].name;
}
bool Lowering::IsConstant(int32_t tensor) const {
  return tensor >= 0 && plan_.tensors[tensor].home == Home::kConstant;
}
std::span<const std::byte> Lowering::ConstantBytes(int32_t tensor) const {
  return {plan_.tensors[tensor].constant, plan_.tensors[tensor].bytes};
}

Result<std::vector<int64_t>> Lowering::Ints(int32_t tensor) const {
  if (tensor < 0 || !known_[tensor].values) {
    waits_ = true;
    return Unsupported(
        "tensor {} \"{}\" gives a size or an axis and is only known when the "
        "model runs",
        tensor, NameOf(tensor));
  }
  return *known_[tensor].values;
}

Result<Packed> Lowering::Pack(
    int32_t tensor, std::string_view layout, size_t floats,
    const std::function<void(const float*, float*)>& pack) {
  const std::span<const std::byte> source = ConstantBytes(tensor);
  const std::string key =
      fmt::format("{}/{}/{}", subgraph_.tensors[tensor].buffer,
                  graph::ToString(ShapeOf(tensor)), layout);
  return PackBytes(key, floats * sizeof(float), [&](std::span<std::byte> to) {
    // The format promises 4-byte alignment in practice, not by its rules.
    std::vector<float> copy;
    const float* from = reinterpret_cast<const float*>(source.data());
    if (reinterpret_cast<uintptr_t>(from) % alignof(float) != 0) {
      copy.resize(source.size() / sizeof(float));
      std::memcpy(copy.data(), source.data(), source.size());
      from = copy.data();
    }
    pack(from, reinterpret_cast<float*>(to.data()));
    // The reader copies misaligned constants; memory of the heap would be
    // lost.
    const std::byte* begin = options_.mapping.data();
    if (source.data() >= begin &&
        source.data() + source.size() <= begin + options_.mapping.size()) {
      GiveBackPages(source);
    }
  });
}

Result<Packed> Lowering::PackBytes(
    const std::string& key, uint64_t bytes,
    const std::function<void(std::span<std::byte>)>& pack) {
  packed_bytes_ += bytes;
  return cache_.Get(key, bytes, pack);
}

const graph::Quantization* Lowering::QuantizationOf(int32_t tensor) const {
  if (tensor < 0) return nullptr;
  const auto& quantization = subgraph_.tensors[tensor].quantization;
  return quantization ? &*quantization : nullptr;
}

Result<Lowering::Affine> Lowering::AffineOf(int32_t tensor) const {
  const graph::Quantization* q = QuantizationOf(tensor);
  if (q == nullptr || q->scale.size() != 1) {
    return Invalid("tensor {} \"{}\" {}: {} scales, expected 1", tensor,
                   NameOf(tensor), Name(TypeOf(tensor)),
                   q == nullptr ? 0 : q->scale.size());
  }
  Affine affine;
  affine.scale = q->scale[0];
  affine.zero_point =
      q->zero_point.empty() ? 0 : static_cast<int32_t>(q->zero_point[0]);
  return affine;
}

void Lowering::Add(Step step) {
  for (const int32_t output : step.outputs) {
    PlanTensor& tensor = plan_.tensors[output];
    if (tensor.home == Home::kNone) tensor.home = Home::kArena;
  }
  plan_.steps.push_back(std::move(step));
}

void Lowering::Alias(int32_t output, int32_t input, uint64_t offset) {
  const PlanTensor& from = plan_.tensors[input];
  if (subgraph_.tensors[input].is_variable) {
    // Its memory changes while the model runs; the output is a snapshot.
    Step step;
    step.name = "copy";
    step.inputs = {input};
    step.outputs = {output};
    const size_t bytes = plan_.tensors[output].bytes;
    step.run = [=](const StepContext& context) -> Status {
      std::memcpy(context.tensors[output], context.tensors[input] + offset,
                  bytes);
      return {};
    };
    return Add(std::move(step));
  }
  PlanTensor& to = plan_.tensors[output];
  to.home = from.home;
  if (from.home == Home::kConstant) {
    to.constant = from.constant + offset;
    return;
  }
  to.root = from.root;
  to.root_offset = from.root_offset + offset;
}

namespace {

struct Life {
  uint32_t first = 0, last = 0;
  bool used = false;

  void Touch(uint32_t step) {
    first = used ? std::min(first, step) : step;
    last = used ? std::max(last, step) : step;
    used = true;
  }
};

std::vector<Life> RootLives(const Plan& plan) {
  std::vector<Life> lives(plan.tensors.size());
  const auto touch = [&](int32_t tensor, size_t step) {
    if (tensor < 0 || plan.tensors[tensor].home != Home::kArena) return;
    lives[plan.tensors[tensor].root].Touch(static_cast<uint32_t>(step));
  };
  const size_t end = std::max<size_t>(1, plan.steps.size());
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const int32_t t : plan.steps[i].inputs) touch(t, i);
    for (const int32_t t : plan.steps[i].outputs) touch(t, i);
  }
  // Inputs keep their contents between runs.
  for (const int32_t t : plan.inputs) {
    touch(t, 0);
    touch(t, end - 1);
  }
  for (const int32_t t : plan.outputs) touch(t, end - 1);
  return lives;
}

}  // namespace

// Lets outputs take the memory of an input that dies with the step.
void Lowering::ReuseMemory() {
  std::vector<Life> lives = RootLives(plan_);
  // Inputs keep their contents between runs, outputs behind the last step.
  std::vector<bool> pinned(plan_.tensors.size());
  for (const auto* list : {&plan_.inputs, &plan_.outputs}) {
    for (const int32_t t : *list) pinned[plan_.tensors[t].root] = true;
  }
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const Step& step = plan_.steps[i];
    if (step.may_overwrite < 0 || step.outputs.size() != 1) continue;
    const PlanTensor& from = plan_.tensors[step.may_overwrite];
    const int32_t output = step.outputs[0];
    PlanTensor& to = plan_.tensors[output];
    if (from.home != Home::kArena || to.home != Home::kArena) continue;
    const int32_t root = from.root;
    // Listed twice, it is read in two ways, such as x and residual.
    const auto readers = std::ranges::count_if(step.inputs, [&](int32_t t) {
      return t >= 0 && plan_.tensors[t].home == Home::kArena &&
             plan_.tensors[t].root == root;
    });
    if (pinned[root] || readers != 1 || lives[root].last != i ||
        from.root_offset != 0 || from.bytes != to.bytes ||
        plan_.tensors[root].bytes != to.bytes || to.root != output) {
      continue;
    }
    for (PlanTensor& tensor : plan_.tensors) {  // Aliases of the output too.
      if (tensor.home == Home::kArena && tensor.root == output) {
        tensor.root = root;
      }
    }
    lives[root].Touch(lives[output].last);
    lives[output] = Life();
    if (pinned[output]) pinned[root] = true;
  }
}

Status Lowering::PlaceTensors() {
  const std::vector<Life> lives = RootLives(plan_);
  std::vector<Lifetime> blocks;
  std::vector<int32_t> roots;
  for (size_t i = 0; i < plan_.tensors.size(); ++i) {
    const PlanTensor& tensor = plan_.tensors[i];
    if (tensor.home != Home::kArena || tensor.root != static_cast<int32_t>(i) ||
        !lives[i].used) {
      continue;
    }
    if (tensor.bytes > options_.memory_limit_bytes) {
      return Invalid("tensor {} \"{}\" {}: {} bytes, memory limit {}", i,
                     tensor.name, graph::ToString(tensor.shape), tensor.bytes,
                     options_.memory_limit_bytes);
    }
    blocks.push_back({lives[i].first, lives[i].last, tensor.bytes});
    roots.push_back(static_cast<int32_t>(i));
  }
  const size_t tensors = blocks.size();
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const uint32_t at = static_cast<uint32_t>(i);
    blocks.push_back({at, at, plan_.steps[i].scratch_bytes});
  }
  LATHE_ASSIGN(const ArenaPlan arena, PlanArena(blocks, kCacheLine));

  std::vector<uint64_t> live(std::max<size_t>(1, plan_.steps.size()));
  for (const Lifetime& block : blocks) {
    for (size_t i = block.first_step; i <= block.last_step; ++i) {
      live[i] += block.bytes;
    }
  }
  plan_.peak_step =
      static_cast<size_t>(std::ranges::max_element(live) - live.begin());
  plan_.arena_bytes = arena.bytes;
  if (arena.bytes > options_.memory_limit_bytes) {
    if (plan_.steps.empty()) {  // Inputs alone.
      return Invalid("the inputs need {} bytes, memory limit {}", arena.bytes,
                     options_.memory_limit_bytes);
    }
    const Step& step = plan_.steps[plan_.peak_step];
    return Invalid(
        "the arena needs {} bytes, memory limit {}; most are alive in step {} "
        "{} (\"{}\")",
        arena.bytes, options_.memory_limit_bytes, plan_.peak_step, step.name,
        step.outputs.empty() ? "" : NameOf(step.outputs[0]));
  }
  for (size_t i = 0; i < tensors; ++i) {
    plan_.tensors[roots[i]].offset = arena.offsets[i];
    plan_.tensors[roots[i]].first_step = blocks[i].first_step;
    plan_.tensors[roots[i]].last_step = blocks[i].last_step;
  }
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    plan_.steps[i].scratch_offset = arena.offsets[tensors + i];
  }
  for (PlanTensor& tensor : plan_.tensors) {
    if (tensor.home == Home::kArena) {
      tensor.offset = plan_.tensors[tensor.root].offset + tensor.root_offset;
    }
  }
  return {};
}

Result<Plan> Lowering::Finish() {
  ReuseMemory();
  LATHE_TRY(PlaceTensors());
  return std::move(plan_);
}

}  // namespace lathe::plan

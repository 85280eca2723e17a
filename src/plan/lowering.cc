#include "src/plan/lowering.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "fmt/ranges.h"
#include "src/base/aligned_buffer.h"
#include "src/base/mapped_file.h"
#include "src/kernels/movement/narrow.h"
#include "src/kernels/quantized/densify.h"
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
  readers_.resize(subgraph.tensors.size());
  for (size_t i = range.first; i < range.end; ++i) {
    for (const int32_t t : subgraph.ops[i].inputs) {
      if (t >= 0) readers_[t].push_back(static_cast<uint32_t>(i));
    }
  }
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
      if (!source.sparsity) tensor.bytes = buffer.bytes.size();
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
      keys_[static_cast<int32_t>(i)] =
          fmt::format("values {}", fmt::join(*known[i].values, " "));
    } else if (source.is_variable) {
      tensor.home = Home::kOutside;
    }
    plan_.tensors.push_back(std::move(tensor));
    if (graph.IsConstant(source) && source.sparsity) {
      DensifyConstant(static_cast<int32_t>(i));
    }
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
  PlanTensor& facts = plan_.tensors[tensor];
  const auto found = derived_.find(tensor);
  if (facts.constant == nullptr && found != derived_.end()) {
    Result<Packed> made =
        cache_.Get(KeyOf(tensor), facts.bytes, [&](std::span<std::byte> to) {
          std::vector<std::byte> space;
          const Derived& derived = found->second;
          derived.make(derived.source == graph::kNoTensor
                           ? derived.stored
                           : BytesOf(derived.source, space),
                       to);
          GiveBack(RootOf(tensor));
        });
    if (!made) throw std::bad_alloc();  // The API turns it into an Error.
    facts.constant = (*made)->data();
    plan_.made.push_back(*std::move(made));
  }
  return {facts.constant, facts.bytes};
}

std::string Lowering::KeyOf(int32_t tensor) const {
  const auto found = keys_.find(tensor);
  if (found != keys_.end()) return found->second;
  if (!graph_.IsConstant(subgraph_.tensors[tensor]) && known_[tensor].values) {
    return fmt::format("values {}", fmt::join(*known_[tensor].values, ","));
  }
  return std::to_string(subgraph_.tensors[tensor].buffer);
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
  return PackConstant(
      tensor, layout, floats * sizeof(float),
      [&](std::span<const std::byte> source, std::span<std::byte> to) {
        // The format promises 4-byte alignment in practice, not by its rules.
        std::vector<float> copy;
        const float* from = reinterpret_cast<const float*>(source.data());
        if (reinterpret_cast<uintptr_t>(from) % alignof(float) != 0) {
          copy.resize(source.size() / sizeof(float));
          std::memcpy(copy.data(), source.data(), source.size());
          from = copy.data();
        }
        pack(from, reinterpret_cast<float*>(to.data()));
      });
}

Result<Packed> Lowering::PackConstant(
    int32_t tensor, std::string_view layout, uint64_t bytes,
    const std::function<void(std::span<const std::byte>, std::span<std::byte>)>&
        pack) {
  const std::string key =
      fmt::format("{}/{}/{}/{}", KeyOf(tensor), Name(TypeOf(tensor)),
                  graph::ToString(ShapeOf(tensor)), layout);
  CountPacked(tensor);
  return PackBytes(key, bytes, [&](std::span<std::byte> to) {
    std::vector<std::byte> space;
    pack(BytesOf(tensor, space), to);
    GiveBack(RootOf(tensor));
  });
}

void Lowering::GiveBack(std::span<const std::byte> source) const {
  // The reader copies misaligned constants; memory of the heap would be lost.
  const std::byte* begin = options_.mapping.data();
  if (source.data() >= begin &&
      source.data() + source.size() <= begin + options_.mapping.size()) {
    GiveBackPages(source);
  }
}

std::span<const std::byte> Lowering::BytesOf(
    int32_t tensor, std::vector<std::byte>& space) const {
  const PlanTensor& facts = plan_.tensors[tensor];
  const auto found = derived_.find(tensor);
  if (facts.constant != nullptr || found == derived_.end()) {
    return {facts.constant, facts.bytes};
  }
  const Derived& derived = found->second;
  space.resize(facts.bytes);
  std::vector<std::byte> below;
  derived.make(derived.source == graph::kNoTensor
                   ? derived.stored
                   : BytesOf(derived.source, below),
               space);
  return space;
}

std::span<const std::byte> Lowering::RootOf(int32_t tensor) const {
  const auto found = derived_.find(tensor);
  if (found == derived_.end()) {
    return {plan_.tensors[tensor].constant, plan_.tensors[tensor].bytes};
  }
  return found->second.source == graph::kNoTensor
             ? found->second.stored
             : RootOf(found->second.source);
}

void Lowering::CountPacked(int32_t tensor) {
  const auto found = derived_.find(tensor);
  if (found == derived_.end() || found->second.last_node == node_) return;
  ++found->second.packed_by;
  found->second.last_node = node_;
}

void Lowering::MakeConstant(int32_t output, int32_t source,
                            std::string_view how, Make make) {
  CountPacked(source);
  PlanTensor& tensor = plan_.tensors[output];
  tensor.home = Home::kConstant;
  tensor.constant = nullptr;
  keys_[output] = fmt::format("{}/{}/{}", KeyOf(source),
                              graph::ToString(known_[output].shape), how);
  Derived derived;
  derived.source = source;
  derived.make = std::move(make);
  derived_[output] = std::move(derived);
}

bool Lowering::IsWidenedHalf(int32_t tensor) const {
  const auto found = derived_.find(tensor);
  return found != derived_.end() && TypeOf(tensor) == graph::Type::kFloat32 &&
         found->second.source != graph::kNoTensor &&
         TypeOf(found->second.source) == graph::Type::kFloat16;
}

// The verifier has seen to it that everything is in bounds.
void Lowering::DensifyConstant(int32_t tensor) {
  const graph::Tensor& facts = subgraph_.tensors[tensor];
  const graph::Sparsity& sparsity = *facts.sparsity;
  const size_t rank = facts.shape.size();
  // How far a position of each dim moves: a dim counts blocks if it has some,
  // and of several blocks of one dim the last traversed is the innermost.
  std::vector<size_t> strides(sparsity.traversal_order.size());
  size_t run = 1;
  for (size_t i = rank; i-- > 0;) {
    strides[i] = run;
    run *= static_cast<size_t>(facts.shape[i]);
  }
  std::vector<size_t> sizes(facts.shape.begin(), facts.shape.end());
  sizes.resize(strides.size());
  for (size_t i = sparsity.traversal_order.size(); i-- > 0;) {
    const size_t dim = static_cast<size_t>(sparsity.traversal_order[i]);
    if (dim < rank) continue;
    const size_t of = static_cast<size_t>(sparsity.block_map[dim - rank]);
    const auto size = static_cast<size_t>(sparsity.dimensions[i].dense_size);
    sizes[dim] = size;
    sizes[of] /= size;
    strides[dim] = strides[of];
    strides[of] *= size;
  }
  std::vector<kernels::SparseLevel> levels;
  for (size_t i = 0; i < sparsity.traversal_order.size(); ++i) {
    const size_t dim = static_cast<size_t>(sparsity.traversal_order[i]);
    const graph::SparseDimension& from = sparsity.dimensions[i];
    kernels::SparseLevel level;
    level.size = sizes[dim];
    level.stride = strides[dim];
    level.compressed = from.format == 1;
    level.segments = from.segments;
    level.indices = from.indices;
    levels.push_back(level);
  }
  const size_t bits = graph::BitsPerElement(facts.type);
  const size_t elements = Elements(tensor);
  Derived derived;
  derived.stored = {graph_.BufferOf(facts).bytes.data(),
                    graph_.BufferOf(facts).bytes.size()};
  derived.make = [=](std::span<const std::byte> from, std::span<std::byte> to) {
    if (bits >= 8) {
      return kernels::Densify(levels, bits / 8, from.data(), to.data());
    }
    const size_t stored = from.size() * 8 / bits;
    std::vector<std::byte> values(stored), dense(elements);
    kernels::Unpack({bits, true}, stored, from.data(), values.data());
    kernels::Densify(levels, 1, values.data(), dense.data());
    kernels::Pack({bits, true}, elements, dense.data(), to.data());
  };
  const auto subgraph = &subgraph_ - graph_.subgraphs.data();
  keys_[tensor] = fmt::format("{}/dense {}.{}", facts.buffer, subgraph, tensor);
  plan_.tensors[tensor].constant = nullptr;
  derived_[tensor] = std::move(derived);
}

// Works out what steps may read; forgets what was only packed.
void Lowering::FinishConstants() {
  std::map<int32_t, size_t> uses;
  for (const graph::Op& op : subgraph_.ops) {
    for (const int32_t t : op.inputs) ++uses[t];
  }
  for (const int32_t t : plan_.outputs) ++uses[t];
  for (const auto& [tensor, derived] : derived_) {
    PlanTensor& facts = plan_.tensors[tensor];
    if (facts.home != Home::kConstant || facts.constant != nullptr) continue;
    if (derived.packed_by >= uses[tensor]) {
      facts.home = Home::kNone;
    } else {
      ConstantBytes(tensor);
    }
  }
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
    const auto found = derived_.find(input);
    if (found != derived_.end() && from.constant == nullptr && offset == 0 &&
        from.bytes == to.bytes) {
      CountPacked(input);
      keys_[output] = KeyOf(input);
      Derived derived = found->second;
      derived.packed_by = 0;
      derived.last_node = 0;
      derived_[output] = std::move(derived);
      return;
    }
    to.constant = ConstantBytes(input).data() + offset;
    keys_[output] = fmt::format("{}+{}", KeyOf(input), offset);
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
  std::vector<std::vector<int32_t>> members(plan_.tensors.size());  // By root.
  for (size_t i = 0; i < plan_.tensors.size(); ++i) {
    const PlanTensor& tensor = plan_.tensors[i];
    if (tensor.home != Home::kArena) continue;
    members[tensor.root].push_back(static_cast<int32_t>(i));
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
    for (const int32_t t : members[output]) plan_.tensors[t].root = root;
    members[root].insert(members[root].end(), members[output].begin(),
                         members[output].end());
    members[output].clear();
    lives[root].Touch(lives[output].last);
    lives[output] = Life();
    if (pinned[output]) pinned[root] = true;
  }
}

std::span<const uint32_t> Lowering::ReadersOf(int32_t tensor) const {
  return readers_[static_cast<size_t>(tensor)];
}

Lowering::Share Lowering::ShareSpace(const std::string& key, uint64_t bytes) {
  const auto [at, added] =
      shares_.try_emplace(key, static_cast<int32_t>(plan_.shared.size()));
  if (added) plan_.shared.push_back({bytes});
  return {at->second, added};
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
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    if (plan_.steps[i].shared < 0) continue;
    SharedSpace& space = plan_.shared[plan_.steps[i].shared];
    const uint32_t at = static_cast<uint32_t>(i);
    space.first_step = std::min(space.first_step, at);
    space.last_step = at;
  }
  const size_t shared = blocks.size();
  for (const SharedSpace& space : plan_.shared) {
    blocks.push_back({space.first_step, space.last_step, space.bytes});
  }
  LATHE_ASSIGN(const ArenaPlan arena, PlanArena(blocks, kCacheLine));

  // What is born less what has died, then summed.
  std::vector<uint64_t> live(std::max<size_t>(1, plan_.steps.size()) + 1);
  for (const Lifetime& block : blocks) {
    live[block.first_step] += block.bytes;
    live[block.last_step + 1] -= block.bytes;
  }
  std::partial_sum(live.begin(), live.end(), live.begin());
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
  for (size_t i = 0; i < plan_.shared.size(); ++i) {
    plan_.shared[i].offset = arena.offsets[shared + i];
  }
  for (PlanTensor& tensor : plan_.tensors) {
    if (tensor.home == Home::kArena) {
      tensor.offset = plan_.tensors[tensor.root].offset + tensor.root_offset;
    }
  }
  return {};
}

Result<Plan> Lowering::Finish() {
  FinishConstants();
  ReuseMemory();
  LATHE_TRY(PlaceTensors());
  return std::move(plan_);
}

}  // namespace lathe::plan

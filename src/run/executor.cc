#include "src/run/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <utility>

#include "src/graph/shape_rule.h"
#include "src/graph/shapes_runtime.h"
#include "src/plan/string_op.h"

namespace lathe::run {
namespace {

using graph::KnownTensor;
using graph::OpCode;

std::string PlaceOf(const graph::Subgraph& subgraph, size_t op) {
  const graph::Op& at = subgraph.ops[op];
  return fmt::format(
      "operator {} {} \"{}\"", op, Name(at.code),
      at.outputs.empty() ? "" : subgraph.tensors[at.outputs[0]].name);
}

bool ReadBool(std::span<const std::byte> bytes) {
  return !bytes.empty() && bytes[0] != std::byte{0};
}

bool Overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return !a.empty() && !b.empty() && a.data() < b.data() + b.size() &&
         b.data() < a.data() + a.size();
}

}  // namespace

Result<std::unique_ptr<Executor>> Executor::Create(
    Shared& shared, size_t subgraph, const std::vector<graph::Shape>& shapes) {
  std::unique_ptr<Executor> executor(new Executor(shared, subgraph, nullptr));
  LATHE_TRY(executor->Start(shapes));
  return executor;
}

Status Executor::Start(const std::vector<graph::Shape>& shapes) {
  const graph::Subgraph& source = Source();
  pointers_.assign(source.tensors.size(), nullptr);
  sizes_.assign(source.tensors.size(), 0);
  for (size_t i = 0; i < source.tensors.size(); ++i) {
    const graph::Tensor& tensor = source.tensors[i];
    if (!tensor.is_variable) continue;
    const auto at = static_cast<int32_t>(i);
    const uint64_t bytes = graph::ByteCount(tensor.type, tensor.shape);
    if (bytes > MemoryLeft()) {
      return Invalid(
          "variable {} \"{}\" {}: {} bytes, {} are left of the memory limit", i,
          tensor.name, graph::ToString(tensor.shape), bytes, MemoryLeft());
    }
    owned_[at].resize(bytes);
    pointers_[i] = owned_[at].data();
    sizes_[i] = bytes;
  }
  ResetVariables();
  return Reshape(shapes);
}

void Executor::ResetVariables() {
  for (auto& [tensor, bytes] : owned_) {
    const graph::Tensor& source = Source().tensors[static_cast<size_t>(tensor)];
    if (!source.is_variable) continue;
    std::ranges::fill(bytes, std::byte{0});
    const auto& q = source.quantization;
    if (!q || q->zero_point.size() != 1 || q->zero_point[0] == 0) continue;
    const size_t size = graph::BitsPerElement(source.type) / 8;
    if (size == 0) continue;
    for (size_t at = 0; at + size <= bytes.size(); at += size) {
      std::memcpy(bytes.data() + at, &q->zero_point[0], size);
    }
  }
  for (auto& [subgraph, child] : children_) child->ResetVariables();
}

Status Executor::Reshape(const std::vector<graph::Shape>& shapes) {
  stages_.clear();
  const graph::Subgraph& source = Source();
  known_ = graph::StoredTensors(*shared_.graph, source);
  for (size_t i = 0; i < shapes.size(); ++i) {
    KnownTensor& input = known_[static_cast<size_t>(source.inputs[i])];
    if (input.shape != shapes[i]) input.values.reset();
    input.shape = shapes[i];
  }
  for (size_t i = 0; i < source.tensors.size(); ++i) {
    if (owned_.contains(static_cast<int32_t>(i)) &&
        source.tensors[i].is_variable) {
      continue;
    }
    pointers_[i] = nullptr;
    sizes_[i] = 0;
  }
  // String inputs are owned, empty until they are set.
  for (const int32_t input : source.inputs) {
    if (source.tensors[static_cast<size_t>(input)].type ==
            graph::Type::kString &&
        !shared_.graph->IsConstant(
            source.tensors[static_cast<size_t>(input)])) {
      SetStrings(input, {});
    }
  }
  return PlanAhead();
}

bool Executor::IsConstant(int32_t tensor) const {
  return shared_.graph->IsConstant(
      Source().tensors[static_cast<size_t>(tensor)]);
}

std::span<std::byte> Executor::Bytes(int32_t tensor) const {
  const auto at = static_cast<size_t>(tensor);
  const graph::Tensor& source = Source().tensors[at];
  if (pointers_[at] == nullptr && shared_.graph->IsConstant(source)) {
    const std::span<const std::byte> bytes =
        shared_.graph->BufferOf(source).bytes;
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
  }
  return {pointers_[at], pointers_[at] == nullptr ? 0 : sizes_[at]};
}

void Executor::SetStrings(int32_t tensor, std::vector<std::byte> blob) {
  std::vector<std::byte>& own = owned_[tensor];
  own = std::move(blob);
  pointers_[static_cast<size_t>(tensor)] = own.data();
  sizes_[static_cast<size_t>(tensor)] = own.size();
}

uint64_t Executor::memory_bytes() const {
  uint64_t bytes = 0;
  for (const auto& stage : stages_) bytes += stage->session.plan().arena_bytes;
  for (const auto& [tensor, own] : owned_) bytes += own.size();
  for (const auto& [subgraph, child] : children_) {
    bytes += child->memory_bytes();
  }
  return bytes;
}

uint64_t Executor::MemoryLeft() const {
  const Executor* first = this;
  while (first->caller_ != nullptr) first = first->caller_;
  const uint64_t limit = shared_.options.memory_limit_bytes;
  return limit - std::min(limit, first->memory_bytes());
}

bool Executor::IsUsed(int32_t tensor) const {
  const graph::Subgraph& source = Source();
  const auto in = [&](const std::vector<int32_t>& list) {
    return std::ranges::find(list, tensor) != list.end();
  };
  return in(source.outputs) ||
         std::ranges::any_of(source.ops,
                             [&](const auto& op) { return in(op.inputs); });
}

// --- Planning --------------------------------------------------------------

Status Executor::PlanAhead() {
  do {
    LATHE_ASSIGN(const bool built, BuildStage(/*running=*/false));
    if (!built) break;
  } while (!AtEnd());
  return {};
}

Executor::Operands Executor::OperandsOf(
    size_t op, const std::vector<KnownTensor>& known) const {
  Operands all;
  for (const int32_t t : Source().ops[op].inputs) {
    all.facts.push_back(t < 0 ? nullptr : &known[static_cast<size_t>(t)]);
    all.bytes.push_back(t < 0 ? std::span<std::byte>() : Bytes(t));
  }
  for (const int32_t t : Source().ops[op].outputs) {
    all.output_types.push_back(Source().tensors[static_cast<size_t>(t)].type);
  }
  return all;
}

Status Executor::Take(size_t op, Result<std::vector<KnownTensor>> outputs,
                      std::vector<KnownTensor>& known) const {
  if (!outputs) {
    return Fail(outputs.error().code, "{}: {}", PlaceOf(Source(), op),
                outputs.error().message);
  }
  const std::vector<int32_t>& tensors = Source().ops[op].outputs;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto at = static_cast<size_t>(tensors[i]);
    known[at] = std::move((*outputs)[i]);
    // What is stored decides: CAST and QUANTIZE often say it nowhere else.
    known[at].type = Source().tensors[at].type;
    graph::FitValues(known[at]);
  }
  return {};
}

// Works out an operator's outputs from what is in memory: from as few small
// integers as it takes, the last inputs first (those say the shape, the first
// are data), else from all bytes. What these values are counts for `use` beyond
// kShapes alone.
Status Executor::InferAtRun(size_t op, Use use, std::vector<KnownTensor>& known,
                            Stage::Reason& reason) {
  const graph::Op& source = Source().ops[op];
  Operands operands = OperandsOf(op, known);
  reason.op = op;
  reason.exact = use != Use::kShapes;
  std::vector<KnownTensor> inputs(source.inputs.size());
  auto outputs = graph::InferOp(*shared_.graph, source, operands.facts);
  const auto open = [&] {
    return !outputs && outputs.error().code == ErrorCode::kUnsupported;
  };
  for (size_t i = inputs.size(); i-- > 0;) {
    if (use != Use::kAllValues && !open()) break;
    const KnownTensor* facts = operands.facts[i];
    if (facts == nullptr || facts->values || !graph::IsFollowed(facts->type)) {
      continue;
    }
    const uint64_t count = graph::ElementCount(facts->shape);
    if (count > graph::kMostFollowedValues) continue;
    auto values = graph::IntegersIn(facts->type, count, operands.bytes[i]);
    if (!values) continue;
    inputs[i] = *facts;
    inputs[i].values = *std::move(values);
    operands.facts[i] = &inputs[i];
    reason.values.emplace_back(source.inputs[i],
                               std::vector<std::byte>(operands.bytes[i].begin(),
                                                      operands.bytes[i].end()));
    outputs = graph::InferOp(*shared_.graph, source, operands.facts);
  }
  reason.complete = !open();
  if (!reason.complete) {
    outputs = graph::InferOpWithValues(*shared_.graph, source, operands.facts,
                                       operands.bytes, operands.output_types);
  }
  if (outputs && (!reason.exact || !reason.complete)) {
    for (KnownTensor& output : *outputs) {
      reason.outputs.push_back(output.shape);
      output.values.reset();
    }
  }
  for (size_t i = 0; reason.exact && i < inputs.size(); ++i) {
    if (inputs[i].values) {
      known[static_cast<size_t>(source.inputs[i])].values =
          std::move(inputs[i].values);
    }
  }
  return Take(op, std::move(outputs), known);
}

// Works out shapes from operator `first` on, this one with `use`. Returns the
// first operator whose outputs cannot be known now, or which runs between
// plans.
Result<size_t> Executor::InferFrom(size_t first, bool running, Use use,
                                   std::vector<KnownTensor>& known,
                                   std::vector<Stage::Reason>& reasons) {
  const graph::Subgraph& source = Source();
  std::vector<bool> made_here(source.tensors.size());
  std::vector<const KnownTensor*> inputs;
  for (size_t i = first; i < source.ops.size(); ++i) {
    const graph::Op& op = source.ops[i];
    if (plan::RunsBetweenPlans(source, op)) return i;
    // A variable keeps the shape it is stored with.
    if (op.code == OpCode::kReadVariable) continue;
    const bool values_there =
        running && std::ranges::none_of(op.inputs, [&](int32_t t) {
          return t >= 0 && (made_here[static_cast<size_t>(t)] ||
                            (Bytes(t).empty() &&
                             graph::ElementCount(
                                 known[static_cast<size_t>(t)].shape) > 0));
        });
    for (const int32_t t : op.outputs) made_here[static_cast<size_t>(t)] = true;
    inputs.clear();
    for (const int32_t t : op.inputs) {
      inputs.push_back(t < 0 ? nullptr : &known[static_cast<size_t>(t)]);
    }
    auto outputs = graph::InferOp(*shared_.graph, op, inputs);
    const bool open =
        !outputs && outputs.error().code == ErrorCode::kUnsupported;
    if (open && !values_there) return i;
    const Use here = i == first ? use : Use::kShapes;
    if (open || (outputs && values_there && here != Use::kShapes)) {
      Stage::Reason reason;
      LATHE_TRY(InferAtRun(i, here, known, reason));
      reasons.push_back(std::move(reason));
    } else {
      LATHE_TRY(Take(i, std::move(outputs), known));
    }
  }
  return source.ops.size();
}

// False when nothing more can be planned before the model runs.
Result<bool> Executor::BuildStage(bool running, Use use) {
  const graph::Subgraph& source = Source();
  auto stage = std::make_unique<Stage>();
  stage->first_op = NextOp();
  stage->known = known_;
  if (!running && !stages_.empty() && stages_.back()->between) {
    // Results of control flow whose shapes the rules do not know.
    const graph::Op& op = source.ops[stage->first_op - 1];
    for (const int32_t t : op.outputs) {
      if (pointers_[static_cast<size_t>(t)] == nullptr) return false;
    }
  }
  LATHE_ASSIGN(const size_t end, InferFrom(stage->first_op, running, use,
                                           stage->known, stage->reasons));
  plan::PlanOptions options = shared_.options;
  options.memory_limit_bytes = MemoryLeft();
  LATHE_ASSIGN(
      plan::Plan made,
      plan::MakePlan(*shared_.graph, subgraph_, stage->known, options,
                     *shared_.cache,
                     {stage->first_op, end, /*holds_inputs=*/stages_.empty()}));
  stage->next_op = made.next_op;
  const bool at_between =
      stage->next_op < source.ops.size() &&
      plan::RunsBetweenPlans(source, source.ops[stage->next_op]);
  if (stage->next_op == stage->first_op && !at_between && !stages_.empty()) {
    if (!running) return false;
    // Its kernel waits for values.
    if (use == Use::kShapes) return BuildStage(running, Use::kSomeValues);
    if (use == Use::kSomeValues) return BuildStage(running, Use::kAllValues);
    return Unsupported("{}: cannot be planned for values of a running model",
                       PlaceOf(source, stage->first_op));
  }
  LATHE_ASSIGN(stage->session, Session::Create(std::move(made), pointers_));
  TakeOutputs(*stage);
  bool more = stage->next_op > stage->first_op || at_between;
  if (at_between) {
    stage->between = true;
    const size_t op = stage->next_op++;
    const Operands operands = OperandsOf(op, stage->known);
    if (Take(op, graph::InferOp(*shared_.graph, source.ops[op], operands.facts),
             stage->known)) {
      for (const int32_t t : source.ops[op].outputs) {
        const auto at = static_cast<size_t>(t);
        if (stage->known[at].type == graph::Type::kString) {
          more = false;
          continue;
        }
        const uint64_t bytes = stage->known[at].type == graph::Type::kResource
                                   ? plan::kHandleBytes
                                   : graph::ByteCount(stage->known[at].type,
                                                      stage->known[at].shape);
        if (bytes > options.memory_limit_bytes) {
          return Invalid("tensor \"{}\": {} bytes, memory limit {}",
                         source.tensors[at].name, bytes,
                         options.memory_limit_bytes);
        }
        owned_[t].resize(bytes);
        pointers_[at] = owned_[t].data();
        sizes_[at] = bytes;
      }
    } else {
      more = false;
    }
  }
  known_ = stage->known;
  if (shared_.options.single_ops) {
    stage->shown = ShownAfterSteps(source, stage->session.plan(),
                                   stage->first_op, stage->next_op);
  }
  stages_.push_back(std::move(stage));
  ++plans_made_;
  return more;
}

// Of the stage's own operators alone: its plan may hold what others computed as
// a constant.
void Executor::TakeOutputs(const Stage& stage) {
  const auto take = [&](int32_t t) {
    if (t < 0 || owned_.contains(t)) return;
    const std::span<std::byte> bytes = stage.session.Bytes(t);
    if (bytes.data() == nullptr) return;
    pointers_[static_cast<size_t>(t)] = bytes.data();
    sizes_[static_cast<size_t>(t)] = bytes.size();
  };
  if (stage.first_op == 0) std::ranges::for_each(Source().inputs, take);
  for (size_t op = stage.first_op; op < stage.next_op; ++op) {
    std::ranges::for_each(Source().ops[op].outputs, take);
  }
}

void Executor::DropStages(size_t count) {
  // What the plans computed goes with their arenas.
  for (size_t op = stages_[count]->first_op; op < NextOp(); ++op) {
    for (const int32_t t : Source().ops[op].outputs) {
      if (owned_.contains(t)) continue;
      pointers_[static_cast<size_t>(t)] = nullptr;
      sizes_[static_cast<size_t>(t)] = 0;
    }
  }
  stages_.resize(count);
  known_ = stages_.back()->known;
}

bool Executor::StillHolds(Stage& stage) const {
  return std::ranges::all_of(stage.reasons, [&](Stage::Reason& reason) {
    const bool same = std::ranges::all_of(reason.values, [&](const auto& was) {
      return std::ranges::equal(Bytes(was.first), was.second);
    });
    if (reason.exact && !same) return false;
    if (reason.complete && same) return true;
    const Operands operands = OperandsOf(reason.op, stage.known);
    const auto outputs = graph::InferOpWithValues(
        *shared_.graph, Source().ops[reason.op], operands.facts, operands.bytes,
        operands.output_types);
    if (!outputs || !std::ranges::equal(*outputs, reason.outputs, {},
                                        &KnownTensor::shape)) {
      return false;
    }
    for (auto& [tensor, was] : reason.values) {
      const std::span<const std::byte> now = Bytes(tensor);
      was.assign(now.begin(), now.end());
    }
    return true;
  });
}

// --- Running ---------------------------------------------------------------

void Executor::Show(std::span<const int32_t> tensors,
                    const RunOptions& options) const {
  for (const int32_t t : tensors) {
    const std::span<const std::byte> bytes = Bytes(t);
    if (bytes.empty()) continue;
    (*options.on_tensor)({subgraph_, t, Known(t), bytes});
  }
}

void Executor::Tell(const Stage& stage, size_t first, size_t at, double ms,
                    const RunOptions& options) const {
  if (caller_ == nullptr) {
    if (options.on_step != nullptr && *options.on_step) {
      (*options.on_step)(first + at, ms);
    }
    return;
  }
  if (options.on_inner_step == nullptr || !*options.on_inner_step) return;
  const plan::Plan& plan = stage.session.plan();
  InnerStep told;
  told.subgraph = subgraph_;
  told.step = first + at;
  told.ms = ms;
  int32_t output = graph::kNoTensor;
  if (at < plan.steps.size()) {
    const plan::Step& step = plan.steps[at];
    told.name = step.name;
    told.kernel = step.kernel;
    told.flops = step.flops;
    if (!step.outputs.empty()) output = step.outputs[0];
  } else {
    const graph::Op& op = Source().ops[stage.next_op - 1];
    told.name = Name(op.code);
    if (!op.outputs.empty()) output = op.outputs[0];
  }
  if (output >= 0) told.tensor = Source().tensors[output].name;
  (*options.on_inner_step)(told);
}

Status Executor::Run(const RunOptions& options) {
  size_t step = 0;
  const bool tells =
      caller_ == nullptr
          ? options.on_step != nullptr && *options.on_step
          : options.on_inner_step != nullptr && *options.on_inner_step;
  const bool shows = options.on_tensor != nullptr && *options.on_tensor;
  for (size_t i = 0; i < stages_.size() || !AtEnd(); ++i) {
    if (i > 0 && i < stages_.size() && !StillHolds(*stages_[i])) DropStages(i);
    if (i == stages_.size()) {
      LATHE_TRY(BuildStage(/*running=*/true));
    }
    Stage& stage = *stages_[i];
    OnStep on_step;
    const auto tell = [&, step](size_t at, double ms) {
      Tell(stage, step, at, ms, options);
    };
    if (tells) on_step = std::cref(tell);  // Too large to be held unallocated.
    if (shows) {
      if (i == 0) Show(Source().inputs, options);
      Show(stage.shown[0], options);
      on_step = [&, step, also = on_step](size_t at, double ms) {
        if (also) also(at, ms);
        Show(stage.shown[at + 1], options);
      };
    }
    LATHE_TRY(stage.session.Run(*options.pool, options.stop, on_step,
                                &shared_.held->resources));
    step += stage.session.plan().steps.size();
    if (!stage.between) continue;
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    if (const Status status = RunBetween(stage, options); !status) {
      return Fail(status.error().code, "{}: {}",
                  PlaceOf(Source(), stage.next_op - 1), status.error().message);
    }
    if (shows) Show(Source().ops[stage.next_op - 1].outputs, options);
    if (tells) {
      const double ms =
          std::chrono::duration<double, std::milli>(Clock::now() - start)
              .count();
      const size_t last = stage.session.plan().steps.size();
      Tell(stage, step - last, last, ms, options);
    }
    ++step;
    // Shapes other than those that later plans were made for.
    bool same = true;
    for (const int32_t t : Source().ops[stage.next_op - 1].outputs) {
      KnownTensor& planned = stage.known[static_cast<size_t>(t)];
      const KnownTensor& found = known_[static_cast<size_t>(t)];
      if (i + 1 < stages_.size()) {
        same = same && stages_[i + 1]->known[static_cast<size_t>(t)].shape ==
                           found.shape;
      }
      planned.shape = found.shape;
      planned.values.reset();
    }
    if (!same && i + 1 < stages_.size()) DropStages(i + 1);
  }
  return {};
}

Status Executor::Own(int32_t tensor, std::span<const std::byte> bytes,
                     const KnownTensor& facts) {
  const auto at = static_cast<size_t>(tensor);
  std::vector<std::byte>& own = owned_[tensor];
  if (bytes.size() > own.size() && bytes.size() - own.size() > MemoryLeft()) {
    return Invalid("tensor \"{}\": {} bytes, {} are left of the memory limit",
                   Source().tensors[at].name, bytes.size(),
                   own.size() + MemoryLeft());
  }
  own.assign(bytes.begin(), bytes.end());
  pointers_[at] = own.data();
  sizes_[at] = own.size();
  known_[at].type = facts.type;
  known_[at].shape = facts.shape;
  known_[at].values.reset();
  return {};
}

Result<Executor*> Executor::ChildFor(
    size_t subgraph, const std::vector<KnownTensor>& arguments) {
  std::vector<graph::Shape> shapes;
  for (const KnownTensor& argument : arguments) {
    shapes.push_back(argument.shape);
  }
  std::unique_ptr<Executor>& child = children_[subgraph];
  if (!child) {
    // It counts for the memory limit while it is planned.
    child.reset(new Executor(shared_, subgraph, this));
    if (Status status = child->Start(shapes); !status) {
      children_.erase(subgraph);
      return std::unexpected(std::move(status).error());
    }
    return child.get();
  }
  const std::vector<int32_t>& inputs = child->Source().inputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (child->Known(inputs[i]).shape == shapes[i]) continue;
    if (Status status = child->Reshape(shapes); !status) {
      children_.erase(subgraph);  // Half planned.
      return std::unexpected(std::move(status).error());
    }
    break;
  }
  return child.get();
}

namespace {

Status Feed(Executor& child, int32_t input, std::span<const std::byte> bytes) {
  if (child.Known(input).type == graph::Type::kString) {
    child.SetStrings(input, {bytes.begin(), bytes.end()});
    return {};
  }
  const std::span<std::byte> to = child.Bytes(input);
  if (child.IsConstant(input)) return {};
  if (to.size() != bytes.size()) {
    return Invalid("an argument of {} bytes, expected {}", bytes.size(),
                   to.size());
  }
  if (!bytes.empty() && to.data() != bytes.data()) {
    std::memmove(to.data(), bytes.data(), bytes.size());
  }
  return {};
}

}  // namespace

Result<Executor*> Executor::Call(size_t subgraph,
                                 std::span<const int32_t> arguments,
                                 const RunOptions& options) {
  std::vector<KnownTensor> facts;
  for (const int32_t t : arguments) {
    facts.push_back(known_[static_cast<size_t>(t)]);
  }
  LATHE_ASSIGN(Executor * child, ChildFor(subgraph, facts));
  for (size_t i = 0; i < arguments.size(); ++i) {
    LATHE_TRY(Feed(*child, child->Source().inputs[i], Bytes(arguments[i])));
  }
  LATHE_TRY(child->Run(options));
  return child;
}

Status Executor::RunBranch(const graph::Op& op,
                           const std::vector<int64_t>& targets, size_t chosen,
                           const RunOptions& options) {
  const size_t skipped =
      op.inputs.size() -
      shared_.graph->subgraphs[targets[chosen]].inputs.size();
  LATHE_ASSIGN(
      const Executor* child,
      Call(static_cast<size_t>(targets[chosen]),
           std::span<const int32_t>(op.inputs).subspan(skipped), options));
  for (size_t i = 0; i < op.outputs.size(); ++i) {
    const int32_t from = child->Source().outputs[i];
    LATHE_TRY(Own(op.outputs[i], child->Bytes(from), child->Known(from)));
  }
  return {};
}

Status Executor::RunWhile(const graph::Op& op, const RunOptions& options) {
  const auto cond = static_cast<size_t>(op.options.Int("cond_subgraph_index"));
  const auto body = static_cast<size_t>(op.options.Int("body_subgraph_index"));
  const bool shows = options.on_tensor != nullptr && *options.on_tensor;
  // Where the state lies: in this executor, then where the body left it, or, if
  // that memory is written before it is read, in `held`.
  std::vector<std::span<const std::byte>> state;
  std::vector<std::vector<std::byte>> held(op.inputs.size());
  std::vector<KnownTensor> facts;
  std::vector<bool> tested;  // What the condition reads; often a counter.
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    state.push_back(Bytes(op.inputs[i]));
    facts.push_back(known_[static_cast<size_t>(op.inputs[i])]);
    facts.back().values.reset();
  }
  const auto run = [&](size_t subgraph) -> Result<Executor*> {
    LATHE_ASSIGN(Executor * child, ChildFor(subgraph, facts));
    const std::vector<int32_t>& inputs = child->Source().inputs;
    if (tested.empty()) {
      for (const int32_t t : inputs) tested.push_back(child->IsUsed(t));
    }
    for (size_t i = 0; i < state.size(); ++i) {
      if (subgraph == cond && !tested[i] && !shows) continue;
      LATHE_TRY(Feed(*child, inputs[i], state[i]));
    }
    LATHE_TRY(child->Run(options));
    return child;
  };
  for (;;) {
    if (Stopped(options.stop)) {
      return Fail(ErrorCode::kInterrupted, "interrupted");
    }
    LATHE_ASSIGN(const Executor* test, run(cond));
    if (!ReadBool(test->Bytes(test->Source().outputs[0]))) break;
    LATHE_ASSIGN(const Executor* round, run(body));
    const std::vector<int32_t>& inputs = round->Source().inputs;
    const std::vector<int32_t>& outputs = round->Source().outputs;
    bool moves = cond == body;
    for (size_t i = 0; i < state.size(); ++i) {
      const graph::Shape& shape = round->Known(outputs[i]).shape;
      // A body of other shapes is planned anew.
      moves = moves || shape != facts[i].shape;
      facts[i].shape = shape;
    }
    for (size_t i = 0; i < state.size(); ++i) {
      state[i] = round->Bytes(outputs[i]);
      bool lost = moves;
      for (size_t j = 0; j < inputs.size() && !lost; ++j) {
        lost = j != i && Overlap(state[i], round->Bytes(inputs[j]));
      }
      if (!lost) continue;
      held[i].assign(state[i].begin(), state[i].end());
      state[i] = held[i];
    }
  }
  for (size_t i = 0; i < op.outputs.size(); ++i) {
    LATHE_TRY(Own(op.outputs[i], state[i], facts[i]));
  }
  return {};
}

Status Executor::RunOnce(const graph::Op& op, const RunOptions& options) {
  const auto target =
      static_cast<size_t>(op.options.Int("init_subgraph_index"));
  if (shared_.held->called_once.contains(target)) return {};
  LATHE_TRY(Call(target, {}, options));
  shared_.held->called_once.insert(target);
  return {};
}

Status Executor::RunStrings(size_t op) {
  const graph::Op& source = Source().ops[op];
  const Operands operands = OperandsOf(op, known_);
  LATHE_ASSIGN(std::vector<KnownTensor> outputs,
               graph::InferOpWithValues(*shared_.graph, source, operands.facts,
                                        operands.bytes, operands.output_types));
  std::vector<std::vector<std::byte>> made(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].type = operands.output_types[i];
  }
  LATHE_TRY(
      plan::RunStringOp(source, operands.facts, operands.bytes, outputs, made));
  for (size_t i = 0; i < outputs.size(); ++i) {
    LATHE_TRY(Own(source.outputs[i], made[i], outputs[i]));
  }
  return {};
}

Status Executor::RunBetween(Stage& stage, const RunOptions& options) {
  const graph::Op& op = Source().ops[stage.next_op - 1];
  const graph::Options& fields = op.options;
  switch (op.code) {
    case OpCode::kIf:
      return RunBranch(op,
                       {fields.Int("else_subgraph_index"),
                        fields.Int("then_subgraph_index")},
                       ReadBool(Bytes(op.inputs[0])), options);
    case OpCode::kStablehloCase: {
      const std::vector<int64_t> targets =
          fields.Ints("branch_subgraph_indices");
      int32_t chosen = -1;
      const std::span<const std::byte> bytes = Bytes(op.inputs[0]);
      if (bytes.size() >= sizeof(chosen)) {
        std::memcpy(&chosen, bytes.data(), sizeof(chosen));
      }
      // Out of range is the last branch.
      const size_t last = targets.size() - 1;
      const bool fits = chosen >= 0 && static_cast<size_t>(chosen) <= last;
      return RunBranch(op, targets, fits ? static_cast<size_t>(chosen) : last,
                       options);
    }
    case OpCode::kStablehloComposite:
      return RunBranch(op, {fields.Int("decomposition_subgraph_index")}, 0,
                       options);
    case OpCode::kWhile:
      return RunWhile(op, options);
    case OpCode::kCallOnce:
      return RunOnce(op, options);
    default:
      return RunStrings(stage.next_op - 1);
  }
}

}  // namespace lathe::run

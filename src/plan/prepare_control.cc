// Resource variables, and the rows of what run/ does itself.

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;

std::vector<std::pair<std::string, std::string>> HandleNames(
    const graph::Graph& graph) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const graph::Subgraph& subgraph : graph.subgraphs) {
    for (const graph::Op& op : subgraph.ops) {
      if (op.code != OpCode::kVarHandle) continue;
      std::pair name(op.options.Text("container"),
                     op.options.Text("shared_name"));
      if (std::ranges::find(names, name) == names.end()) {
        names.push_back(std::move(name));
      }
    }
  }
  return names;
}

Status NeedHandle(Lowering& lowering, int32_t tensor) {
  const PlanTensor& handle = lowering.plan().tensors[tensor];
  if (handle.type == graph::Type::kResource && handle.bytes >= kHandleBytes) {
    return {};
  }
  return Invalid("\"{}\" is {}, expected a resource", handle.name,
                 Name(handle.type));
}

Result<Resource*> ResourceOf(const StepContext& context, int32_t tensor) {
  int32_t handle = -1;
  std::memcpy(&handle, context.tensors[tensor], kHandleBytes);
  if (handle < 0 || static_cast<size_t>(handle) >= context.resources->size()) {
    return Invalid("resource {}; there are {}", handle,
                   context.resources->size());
  }
  return &(*context.resources)[static_cast<size_t>(handle)];
}

Status PrepareVarHandle(Lowering& lowering, const Node& node) {
  const int32_t y = node.outputs[0];
  const int32_t handle = HandleOf(lowering.graph(), *node.op);
  LATHE_TRY(NeedHandle(lowering, y));
  Step step;
  step.name = "VAR_HANDLE";
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    std::memcpy(context.tensors[y], &handle, kHandleBytes);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareAssign(Lowering& lowering, const Node& node) {
  const int32_t handle = node.inputs[0], x = node.inputs[1];
  LATHE_TRY(NeedHandle(lowering, handle));
  Step step;
  step.name = "ASSIGN_VARIABLE";
  step.inputs = {handle, x};
  const graph::Type type = lowering.TypeOf(x);
  const graph::Shape shape = lowering.ShapeOf(x);
  const size_t bytes = lowering.plan().tensors[x].bytes;
  step.run = [=](const StepContext& context) -> Status {
    LATHE_ASSIGN(Resource * resource, ResourceOf(context, handle));
    const bool same = resource->assigned && resource->type == type &&
                      resource->shape == shape;
    if (!same) {  // The first time; the next runs allocate nothing.
      resource->type = type;
      resource->shape = shape;
      resource->bytes.resize(bytes);
      resource->assigned = true;
    }
    if (bytes > 0) {
      std::memcpy(resource->bytes.data(), context.tensors[x], bytes);
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareRead(Lowering& lowering, const Node& node) {
  const int32_t handle = node.inputs[0], y = node.outputs[0];
  LATHE_TRY(NeedHandle(lowering, handle));
  Step step;
  step.name = "READ_VARIABLE";
  step.inputs = {handle};
  step.outputs = {y};
  const graph::Type type = lowering.TypeOf(y);
  const graph::Shape shape = lowering.ShapeOf(y);
  const size_t bytes = lowering.plan().tensors[y].bytes;
  step.run = [=](const StepContext& context) -> Status {
    LATHE_ASSIGN(const Resource* resource, ResourceOf(context, handle));
    if (!resource->assigned) {
      return Invalid("the variable is read before it is assigned");
    }
    if (resource->type != type || resource->shape != shape) {
      return Invalid("the variable holds {} {}, expected {} {}",
                     Name(resource->type), graph::ToString(resource->shape),
                     Name(type), graph::ToString(shape));
    }
    if (bytes > 0) {
      std::memcpy(context.tensors[y], resource->bytes.data(), bytes);
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

constexpr TypeMask kAnyType = ~TypeMask{0};

constexpr OpRow kRows[] = {
    {OpCode::kVarHandle, PrepareVarHandle, kAnyType},
    {OpCode::kAssignVariable, PrepareAssign, kMovable, 1},
    {OpCode::kReadVariable, PrepareRead, kMovable},
    {OpCode::kIf, nullptr, kAnyType, 0},
    {OpCode::kWhile, nullptr, kAnyType, 0},
    {OpCode::kStablehloCase, nullptr, kAnyType, 0},
    {OpCode::kCallOnce, nullptr, kAnyType, OpRow::kNone},
    {OpCode::kStablehloComposite, nullptr, kAnyType, OpRow::kNone},
};

}  // namespace

std::span<const OpRow> ControlRows() { return kRows; }

int32_t HandleOf(const graph::Graph& graph, const graph::Op& op) {
  const auto names = HandleNames(graph);
  const std::pair name(op.options.Text("container"),
                       op.options.Text("shared_name"));
  return static_cast<int32_t>(std::ranges::find(names, name) - names.begin());
}

size_t HandleCount(const graph::Graph& graph) {
  return HandleNames(graph).size();
}

}  // namespace lathe::plan

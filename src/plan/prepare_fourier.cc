// RFFT2D and parts of complex numbers.

#include <utility>

#include "src/kernels/fft/complex.h"
#include "src/kernels/fft/rfft2d.h"
#include "src/plan/copies.h"
#include "src/plan/lowering.h"
#include "src/plan/prepare.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;

constexpr TypeMask kComplex64 = Types({Type::kComplex64});
constexpr TypeMask kComplex = Types({Type::kComplex64, Type::kComplex128});

Status PrepareRfft2d(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  LATHE_ASSIGN(const std::vector<int64_t> length,
               lowering.Ints(node.inputs[1]));
  const graph::Shape& in = lowering.ShapeOf(x);
  kernels::Rfft2dShape shape;
  for (size_t i = 0; i + 2 < in.size(); ++i) {
    shape.batch *= static_cast<size_t>(in[i]);
  }
  shape.in_h = in[in.size() - 2];
  shape.in_w = in[in.size() - 1];
  shape.rows = length[0];
  shape.columns = length[1];
  // The tables are of the output's order; refuse before they are made.
  const uint64_t most = lowering.options().memory_limit_bytes;
  if (static_cast<uint64_t>(length[0] + length[1]) > most / 16) {
    return Invalid("fft_length {} by {} passes the memory limit of {} bytes",
                   length[0], length[1], most);
  }
  const kernels::Rfft2dPlan plan =
      kernels::PlanRfft2d(shape, lowering.options().threads);
  Step step;
  step.name = "RFFT2D";
  step.inputs = {x};
  step.outputs = {y};
  step.scratch_bytes = plan.scratch_floats * sizeof(float);
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunRfft2d(plan, context.As<float>(x), context.As<float>(y),
                       *context.pool,
                       reinterpret_cast<float*>(context.scratch));
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareComplexAbs(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const size_t n = lowering.Elements(y);
  const bool wide = lowering.TypeOf(x) == Type::kComplex128;
  Step step;
  step.name = Name(node.op->code);
  step.inputs = {x};
  step.outputs = {y};
  step.run = [=](const StepContext& context) -> Status {
    if (wide) {
      kernels::RunComplexAbs(n, context.As<double>(x), context.As<double>(y),
                             *context.pool);
    } else {
      kernels::RunComplexAbs(n, context.As<float>(x), context.As<float>(y),
                             *context.pool);
    }
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// REAL and IMAG: every second number.
Status PrepareComplexPart(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0], y = node.outputs[0];
  kernels::CopyLoops loops;
  loops.Add(lowering.Elements(y), 2, 1);
  loops.from_first = node.op->code == OpCode::kImag ? 1 : 0;
  AddCopies(lowering, node, {{loops, x}}, y);
  return {};
}

bool FromFloat(const OpTypes& types) {
  return types.Has(0) && types.In(0).type == Type::kFloat32;
}

// The parts are of the complex type's own width.
bool PartsFit(const OpTypes& types) {
  const bool wide = types.In(0).type == Type::kComplex128;
  return types.Out(0).type == (wide ? Type::kFloat64 : Type::kFloat32);
}

constexpr OpRow kRows[] = {
    {OpCode::kRfft2d, PrepareRfft2d, kComplex64, -1, FromFloat,
     "input float32"},
    {OpCode::kComplexAbs, PrepareComplexAbs, kComplex, 0, PartsFit,
     "output as wide as a part"},
    {OpCode::kReal, PrepareComplexPart, kComplex, 0, PartsFit,
     "output as wide as a part"},
    {OpCode::kImag, PrepareComplexPart, kComplex, 0, PartsFit,
     "output as wide as a part"},
};

}  // namespace

std::span<const OpRow> FourierRows() { return kRows; }

}  // namespace lathe::plan

// What the preparers of recurrent layers share.
//
// States are variables: the steps write them in place.

#ifndef LATHE_PLAN_PREPARE_RECURRENT_H_
#define LATHE_PLAN_PREPARE_RECURRENT_H_

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "src/kernels/recurrent/lstm.h"
#include "src/kernels/recurrent/rnn.h"
#include "src/plan/prepare.h"

namespace lathe::plan::recurrent {

using graph::OpCode;
using graph::Type;
using kernels::GateActivation;
using kernels::RecurrentMatrix;

inline constexpr int32_t kNone = graph::kNoTensor;

// Where an LSTM of one direction has its states and, from here on, the weights
// of its layer norms.
inline constexpr size_t kLstmH = 18, kLstmC = 19, kLstmNorms = 20;

// kNone where the operator has fewer inputs.
int32_t InputAt(const Node& node, size_t i);
size_t Dim(const Lowering& lowering, int32_t tensor, size_t axis);
graph::Shape ShapeOf(std::initializer_list<size_t> dims);

Result<GateActivation> GateActivationOf(const graph::Options& options);
kernels::RecurrentKernels KernelsOf(const Lowering& lowering);

// The tensor is there and of this type and shape.
Status Want(const Lowering& lowering, int32_t tensor, Type type,
            const graph::Shape& shape, std::string_view what);
// A state: a variable of so many values.
Status WantState(const Lowering& lowering, int32_t tensor, Type type,
                 size_t values, std::string_view what);
// The outputs have the type of their operator's family.
Status WantOutputs(const Lowering& lowering, const Node& node, Type type);

template <typename T>
std::vector<T> ConstantOf(const Lowering& lowering, int32_t tensor) {
  const std::span<const std::byte> bytes = lowering.ConstantBytes(tensor);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

template <typename T>
const T* Maybe(const StepContext& context, int32_t tensor) {
  return tensor < 0 ? nullptr : context.As<T>(tensor);
}

// Weights on their way to a kernel: what is known now, and the tensors whose
// bytes are read in place.
struct Matrix {
  RecurrentMatrix shape;
  std::vector<int32_t> tensors;
  Packed packed;
  std::shared_ptr<const std::vector<int32_t>> row_sums;

  RecurrentMatrix At(const StepContext& context) const {
    RecurrentMatrix matrix = shape;
    if (matrix.packed != nullptr) return matrix;
    for (size_t i = 0; i < tensors.size(); ++i) {
      matrix.bytes[i] = context.As<int8_t>(tensors[i]);
    }
    return matrix;
  }
};

// Matrices [rows, k], one under the other, all float32 or all int8.
Result<Matrix> MatrixOf(Lowering& lowering, const std::vector<int32_t>& tensors,
                        size_t rows, size_t k, bool asymmetric,
                        std::string_view what);

// A vector of a gate, float32 or int8 with a scale, as floats that last.
struct Vector {
  int32_t tensor = kNone;
  std::shared_ptr<const std::vector<float>> values;  // For int8.

  const float* At(const StepContext& context) const {
    return values ? values->data() : Maybe<float>(context, tensor);
  }
};

Result<Vector> VectorOf(const Lowering& lowering, int32_t tensor, size_t n,
                        std::string_view what);

// Sizes of x: [batch, k], or with time as its first or second axis.
void SetTimes(const Lowering& lowering, int32_t x, bool time_major,
              size_t& batch, size_t& time);

// The step's operands: every input that is there.
Step StepOf(const Node& node);

// The auxiliary input of a bidirectional layer, kNone or as long as x; needed
// where it has weights (`stacked`).
Status CheckAuxiliary(const Lowering& lowering, int32_t x, int32_t aux,
                      bool stacked);

// Adds the step of a layer in both directions, whose outputs of so many values
// lie side by side or in a tensor each. Layer::Run takes kernels, context,
// output and its stride.
template <typename Layer>
void AddBothDirections(Lowering& lowering, const Node& node, const Layer& fw,
                       size_t fw_width, const Layer& bw, size_t bw_width,
                       uint64_t flops) {
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  const bool merged = node.outputs.size() == 1;
  const int32_t y = node.outputs[0], y_bw = node.outputs.back();
  Step step = StepOf(node);
  step.kernel = kernels.gemm.name;
  step.flops = flops;
  step.scratch_bytes = std::max(fw.scratch, bw.scratch);
  step.run = [=](const StepContext& context) -> Status {
    float* to = context.As<float>(y);
    const size_t width = fw_width + bw_width;
    fw.Run(kernels, context, to, merged ? width : fw_width);
    bw.Run(kernels, context, merged ? to + fw_width : context.As<float>(y_bw),
           merged ? width : bw_width);
    return {};
  };
  lowering.Add(std::move(step));
}

Status PrepareBasicLstm(Lowering& lowering, const Node& node);
Status PrepareLstm(Lowering& lowering, const Node& node);
Status PrepareBidirectionalLstm(Lowering& lowering, const Node& node);
Status PrepareIntegerLstm(Lowering& lowering, const Node& node);
Status PrepareRnn(Lowering& lowering, const Node& node);
Status PrepareBidirectionalRnn(Lowering& lowering, const Node& node);
Status PrepareSvdf(Lowering& lowering, const Node& node);

}  // namespace lathe::plan::recurrent

#endif  // LATHE_PLAN_PREPARE_RECURRENT_H_

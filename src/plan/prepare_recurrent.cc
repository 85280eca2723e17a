#include "src/plan/prepare_recurrent.h"

namespace lathe::plan {
namespace recurrent {

int32_t InputAt(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : kNone;
}

size_t Dim(const Lowering& lowering, int32_t tensor, size_t axis) {
  return static_cast<size_t>(lowering.ShapeOf(tensor)[axis]);
}

Result<GateActivation> GateActivationOf(const graph::Options& options) {
  const int64_t value = options.Int("fused_activation_function");
  if (value < 0 || value > 4) {
    return Unsupported("fused activation {} has no kernel", value);
  }
  return static_cast<GateActivation>(value);
}

kernels::RecurrentKernels KernelsOf(const Lowering& lowering) {
  const Isa isa = lowering.options().isa;
  return {kernels::ChooseGemm(isa), kernels::ChooseElementwise(isa),
          kernels::ChooseNorm(isa)};
}

Status Want(const Lowering& lowering, int32_t tensor, Type type,
            const graph::Shape& shape, std::string_view what) {
  if (tensor < 0) return Invalid("{} is left out", what);
  if (lowering.TypeOf(tensor) != type || lowering.ShapeOf(tensor) != shape) {
    return Invalid("{} (tensor {} \"{}\") is {} {}, expected {} {}", what,
                   tensor, lowering.NameOf(tensor),
                   Name(lowering.TypeOf(tensor)),
                   graph::ToString(lowering.ShapeOf(tensor)), Name(type),
                   graph::ToString(shape));
  }
  return {};
}

graph::Shape ShapeOf(std::initializer_list<size_t> dims) {
  graph::Shape shape;
  for (const size_t dim : dims) shape.push_back(static_cast<int32_t>(dim));
  return shape;
}

Status WantState(const Lowering& lowering, int32_t tensor, Type type,
                 size_t values, std::string_view what) {
  if (tensor < 0) return Invalid("{} is left out", what);
  if (!lowering.TensorOf(tensor).is_variable) {
    return Invalid("{} (tensor {} \"{}\") is not a variable", what, tensor,
                   lowering.NameOf(tensor));
  }
  if (lowering.TypeOf(tensor) != type || lowering.Elements(tensor) != values) {
    return Invalid(
        "{} (tensor {} \"{}\") is {} {}, expected {} values of {}", what,
        tensor, lowering.NameOf(tensor), Name(lowering.TypeOf(tensor)),
        graph::ToString(lowering.ShapeOf(tensor)), values, Name(type));
  }
  return {};
}

Result<Matrix> MatrixOf(Lowering& lowering, const std::vector<int32_t>& tensors,
                        size_t rows, size_t k, bool asymmetric,
                        std::string_view what) {
  Matrix matrix;
  matrix.tensors = tensors;
  matrix.shape.blocks = tensors.size();
  matrix.shape.rows = rows;
  matrix.shape.k = k;
  const Type type =
      tensors[0] < 0 ? Type::kFloat32 : lowering.TypeOf(tensors[0]);
  if (type != Type::kFloat32 && type != Type::kInt8) {
    return Unsupported("no kernel for {} of {}", what, Name(type));
  }
  std::string key = fmt::format(
      "recurrent/{}", kernels::ChooseGemm(lowering.options().isa).name);
  for (const int32_t tensor : tensors) {
    LATHE_TRY(Want(lowering, tensor, type, ShapeOf({rows, k}), what));
    if (!lowering.IsConstant(tensor)) {
      return Unsupported("{} (tensor {} \"{}\") must be a constant", what,
                         tensor, lowering.NameOf(tensor));
    }
    key += fmt::format("/{}:{}x{}", lowering.KeyOf(tensor), rows, k);
  }
  if (type == Type::kFloat32) {
    const kernels::GemmKernel& kernel =
        kernels::ChooseGemm(lowering.options().isa);
    const kernels::PanelShape panels{matrix.shape.columns(), 1, k};
    LATHE_ASSIGN(matrix.packed,
                 lowering.PackBytes(
                     key, kernels::PackedFloats(kernel, panels) * sizeof(float),
                     [&](std::span<std::byte> to) {
                       std::vector<float> joined;
                       for (const int32_t tensor : tensors) {
                         const std::vector<float> part =
                             ConstantOf<float>(lowering, tensor);
                         joined.insert(joined.end(), part.begin(), part.end());
                       }
                       kernels::PackPanels(kernel, panels, joined.data(), 0, 1,
                                           k,
                                           reinterpret_cast<float*>(to.data()));
                     }));
    matrix.shape.packed = matrix.packed->as<float>();
    return matrix;
  }
  auto sums = std::make_shared<std::vector<int32_t>>();
  for (size_t i = 0; i < tensors.size(); ++i) {
    LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(tensors[i]));
    matrix.shape.scales[i] = affine.scale;
    if (!asymmetric) continue;
    const std::vector<int8_t> bytes = ConstantOf<int8_t>(lowering, tensors[i]);
    for (size_t row = 0; row < rows; ++row) {
      int32_t sum = 0;
      for (size_t p = 0; p < k; ++p) sum += bytes[row * k + p];
      sums->push_back(sum);
    }
  }
  if (asymmetric) {
    matrix.row_sums = sums;
    matrix.shape.row_sums = sums->data();
  }
  return matrix;
}

Result<Vector> VectorOf(const Lowering& lowering, int32_t tensor, size_t n,
                        std::string_view what) {
  Vector vector;
  if (tensor < 0) return vector;
  if (lowering.TypeOf(tensor) != Type::kInt8) {
    LATHE_TRY(Want(lowering, tensor, Type::kFloat32, ShapeOf({n}), what));
    vector.tensor = tensor;
    return vector;
  }
  LATHE_TRY(Want(lowering, tensor, Type::kInt8, ShapeOf({n}), what));
  if (!lowering.IsConstant(tensor)) {
    return Unsupported("{} (tensor {} \"{}\") must be a constant", what, tensor,
                       lowering.NameOf(tensor));
  }
  LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(tensor));
  auto values = std::make_shared<std::vector<float>>();
  for (const int8_t q : ConstantOf<int8_t>(lowering, tensor)) {
    values->push_back(affine.scale * static_cast<float>(q));
  }
  vector.values = std::move(values);
  return vector;
}

void SetTimes(const Lowering& lowering, int32_t x, bool time_major,
              size_t& batch, size_t& time) {
  if (lowering.ShapeOf(x).size() == 2) {
    batch = Dim(lowering, x, 0);
    time = 1;
    return;
  }
  batch = Dim(lowering, x, time_major ? 1 : 0);
  time = Dim(lowering, x, time_major ? 0 : 1);
}

Status WantOutputs(const Lowering& lowering, const Node& node, Type type) {
  for (const int32_t output : node.outputs) {
    if (lowering.TypeOf(output) != type) {
      return Unsupported("no kernel from {} to {}",
                         Name(lowering.TypeOf(node.inputs[0])),
                         Name(lowering.TypeOf(output)));
    }
  }
  return {};
}

Step StepOf(const Node& node) {
  Step step;
  step.name = Name(node.op->code);
  for (const int32_t input : node.inputs) {
    if (input >= 0) step.inputs.push_back(input);
  }
  step.outputs = node.outputs;
  return step;
}

Status CheckAuxiliary(const Lowering& lowering, int32_t x, int32_t aux,
                      bool stacked) {
  if (stacked && aux < 0) return Invalid("the auxiliary input is left out");
  if (aux < 0) return {};
  const graph::Shape& shape = lowering.ShapeOf(x);
  const graph::Shape& other = lowering.ShapeOf(aux);
  if (lowering.TypeOf(aux) != Type::kFloat32 || other.size() != 3 ||
      other[0] != shape[0] || other[1] != shape[1]) {
    return Invalid("the auxiliary input is {} {}; the input is {}",
                   Name(lowering.TypeOf(aux)), graph::ToString(other),
                   graph::ToString(shape));
  }
  return {};
}

}  // namespace recurrent

namespace {

using namespace recurrent;

constexpr TypeMask kInt8 = Types({Type::kInt8});

constexpr OpRow kRows[] = {
    {OpCode::kLstm, PrepareLstm, kFloat32, 0},
    {OpCode::kLstm, PrepareIntegerLstm, kInt8, 0},
    {OpCode::kLstm, PrepareBasicLstm, Types({Type::kUint8}), 0},
    {OpCode::kUnidirectionalSequenceLstm, PrepareLstm, kFloat32, 0},
    {OpCode::kUnidirectionalSequenceLstm, PrepareIntegerLstm, kInt8, 0},
    {OpCode::kBidirectionalSequenceLstm, PrepareBidirectionalLstm, kFloat32, 0},
    {OpCode::kRnn, PrepareRnn, kFloat32, 0},
    {OpCode::kUnidirectionalSequenceRnn, PrepareRnn, kFloat32, 0},
    {OpCode::kBidirectionalSequenceRnn, PrepareBidirectionalRnn, kFloat32, 0},
    {OpCode::kSvdf, PrepareSvdf, kFloat32 | kInt8, 0},
};

}  // namespace

std::span<const OpRow> RecurrentRows() { return kRows; }

}  // namespace lathe::plan

// LSTM, RNN and SVDF layers: float32, float32 with int8 weights, and integers.
//
// States are variables: the steps write them in place.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "src/kernels/quantized/unary.h"
#include "src/kernels/recurrent/integer_lstm.h"
#include "src/kernels/recurrent/lstm.h"
#include "src/kernels/recurrent/rnn.h"
#include "src/plan/prepare.h"
#include "src/plan/prepare_quantized_elementwise.h"

namespace lathe::plan {
namespace {

using graph::OpCode;
using graph::Type;
using kernels::GateActivation;
using kernels::RecurrentMatrix;

constexpr int32_t kNone = graph::kNoTensor;

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

// The tensor is there and of this type and shape.
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

// A state: a variable of so many values.
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

// A vector of a gate, float32 or int8 with a scale, as floats that last.
struct Vector {
  int32_t tensor = kNone;
  std::shared_ptr<const std::vector<float>> values;  // For int8.

  const float* At(const StepContext& context) const {
    return values ? values->data() : Maybe<float>(context, tensor);
  }
};

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

// Where the operands of one direction of an LSTM stand among the inputs.
struct LstmPlaces {
  size_t weights = 1;  // Wx of the four gates, then Wh, peepholes of i, f, o,
                       // biases, projection and its bias.
  int32_t x = kNone, aux = kNone;
  size_t aux_weights = SIZE_MAX;
  size_t norms = SIZE_MAX;
  int32_t h = kNone, c = kNone;
};

// One direction, ready to run.
struct LstmLayer {
  kernels::LstmWeights weights;
  Matrix input, aux, recurrent, projection;
  std::array<Vector, 4> diagonal, peephole, norm, bias;
  Vector projection_bias;
  LstmPlaces places;
  size_t batch = 0, time = 0;
  bool time_major = false, backward = false;
  size_t scratch = 0;

  Status Run(const kernels::RecurrentKernels& kernels,
             const StepContext& context, float* y, size_t y_stride) const {
    kernels::LstmWeights w = weights;
    w.input = input.At(context);
    if (aux.shape.blocks) w.aux = aux.At(context);
    if (recurrent.shape.blocks) w.recurrent = recurrent.At(context);
    if (projection.shape.blocks) w.projection = projection.At(context);
    for (size_t gate = 0; gate < 4; ++gate) {
      w.diagonal[gate] = diagonal[gate].At(context);
      w.peephole[gate] = peephole[gate].At(context);
      w.norm[gate] = norm[gate].At(context);
      w.bias[gate] = bias[gate].At(context);
    }
    w.projection_bias = projection_bias.At(context);
    kernels::LstmSequence sequence;
    sequence.batch = batch;
    sequence.time = time;
    sequence.time_major = time_major;
    sequence.backward = backward;
    sequence.x = context.As<float>(places.x);
    sequence.aux = Maybe<float>(context, places.aux);
    sequence.h = context.As<float>(places.h);
    sequence.c = context.As<float>(places.c);
    sequence.y = y;
    sequence.y_stride = y_stride;
    kernels::RunLstm(kernels, w, sequence, context.scratch, *context.pool);
    return {};
  }
};

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

Result<LstmLayer> LstmLayerOf(Lowering& lowering, const Node& node,
                              const LstmPlaces& places, bool time_major,
                              bool backward) {
  const graph::Options& options = node.op->options;
  LstmLayer layer;
  layer.places = places;
  layer.time_major = time_major;
  layer.backward = backward;
  SetTimes(lowering, places.x, time_major, layer.batch, layer.time);
  const auto at = [&](size_t group, size_t gate) {
    return InputAt(node, places.weights + group + gate);
  };
  constexpr size_t kWx = 0, kWh = 4, kPeephole = 8, kBias = 11,
                   kProjection = 15;
  const int32_t to_output = at(kWx, kernels::kOutputGate);
  const int32_t from_h = at(kWh, kernels::kOutputGate);
  if (to_output < 0 || from_h < 0) {
    return Invalid("weights of the output gate are left out");
  }
  kernels::LstmWeights& w = layer.weights;
  if (lowering.ShapeOf(to_output).size() != 2) {
    return Invalid("weights of the output gate have rank {}, expected 2",
                   lowering.ShapeOf(to_output).size());
  }
  w.cells = Dim(lowering, to_output, 0);
  w.inputs = static_cast<size_t>(lowering.ShapeOf(places.x).back());
  w.outputs = static_cast<size_t>(lowering.ShapeOf(from_h).back());
  w.coupled = at(kWx, kernels::kInputGate) < 0;
  w.cell_clip = static_cast<float>(options.Float("cell_clip"));
  w.projection_clip = static_cast<float>(options.Float("proj_clip"));
  LATHE_ASSIGN(w.activation, GateActivationOf(options));
  const bool asymmetric = options.Bool("asymmetric_quantize_inputs");
  const size_t first = w.coupled ? 1 : 0;
  const auto gates = [&](size_t begin) {
    std::vector<int32_t> tensors;
    for (size_t gate = first; gate < 4; ++gate) {
      tensors.push_back(InputAt(node, begin + gate));
    }
    return tensors;
  };
  LATHE_ASSIGN(layer.input,
               MatrixOf(lowering, gates(places.weights + kWx), w.cells,
                        w.inputs, asymmetric, "input weights"));
  if (lowering.ShapeOf(from_h).size() == 1) {
    for (size_t gate = first; gate < 4; ++gate) {
      if (at(kWh, gate) < 0) return Invalid("recurrent weights are left out");
      LATHE_ASSIGN(layer.diagonal[gate],
                   VectorOf(lowering, at(kWh, gate), w.cells,
                            "diagonal recurrent weights"));
    }
  } else {
    LATHE_ASSIGN(layer.recurrent,
                 MatrixOf(lowering, gates(places.weights + kWh), w.cells,
                          w.outputs, asymmetric, "recurrent weights"));
  }
  if (places.aux >= 0) {
    w.aux_inputs = static_cast<size_t>(lowering.ShapeOf(places.aux).back());
    LATHE_ASSIGN(layer.aux,
                 MatrixOf(lowering, gates(places.aux_weights), w.cells,
                          w.aux_inputs, asymmetric, "auxiliary weights"));
  }
  constexpr size_t kPeepholeGates[] = {
      kernels::kInputGate, kernels::kForgetGate, kernels::kOutputGate};
  for (size_t i = first; i < 3; ++i) {
    LATHE_ASSIGN(
        layer.peephole[kPeepholeGates[i]],
        VectorOf(lowering, at(kPeephole, i), w.cells, "peephole weights"));
  }
  for (size_t gate = first; gate < 4; ++gate) {
    LATHE_TRY(Want(lowering, at(kBias, gate), Type::kFloat32,
                   ShapeOf({w.cells}), "gate bias"));
    layer.bias[gate].tensor = at(kBias, gate);
    if (places.norms == SIZE_MAX) continue;
    LATHE_ASSIGN(layer.norm[gate],
                 VectorOf(lowering, InputAt(node, places.norms + gate), w.cells,
                          "layer norm coefficients"));
  }
  const int32_t projection = at(kProjection, 0);
  if (projection >= 0) {
    LATHE_ASSIGN(layer.projection,
                 MatrixOf(lowering, {projection}, w.outputs, w.cells,
                          asymmetric, "projection weights"));
    LATHE_ASSIGN(layer.projection_bias, VectorOf(lowering, at(kProjection, 1),
                                                 w.outputs, "projection bias"));
  } else if (w.outputs != w.cells) {
    return Invalid("{} outputs of {} cells without a projection", w.outputs,
                   w.cells);
  }
  LATHE_TRY(WantState(lowering, places.h, Type::kFloat32,
                      layer.batch * w.outputs, "output state"));
  LATHE_TRY(WantState(lowering, places.c, Type::kFloat32, layer.batch * w.cells,
                      "cell state"));
  w.input = layer.input.shape;
  w.aux = layer.aux.shape;
  w.recurrent = layer.recurrent.shape;
  w.projection = layer.projection.shape;
  layer.scratch = kernels::LstmScratch(w, layer.batch, layer.time);
  return layer;
}

uint64_t FlopsOf(const LstmLayer& layer) {
  const kernels::LstmWeights& w = layer.weights;
  const uint64_t per_step =
      (w.coupled ? 3 : 4) * w.cells * (w.inputs + w.aux_inputs + w.outputs) +
      (layer.projection.shape.blocks ? w.cells * w.outputs : 0);
  return 2 * per_step * layer.batch * layer.time;
}

// The outputs have the type of their operator's family.
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

// The step's operands: every input that is there.
Step StepOf(const Node& node) {
  Step step;
  step.name = Name(node.op->code);
  for (const int32_t input : node.inputs) {
    if (input >= 0) step.inputs.push_back(input);
  }
  step.outputs = node.outputs;
  return step;
}

Status PrepareBasicLstm(Lowering& lowering, const Node& node) {
  const int32_t x = node.inputs[0];
  const std::vector<int32_t> y = node.outputs;
  if (node.op->options.Int("kernel_type") != 1) {
    return Unsupported("no kernel for the full LSTM with {}",
                       Name(lowering.TypeOf(x)));
  }
  if (std::ranges::any_of(node.inputs, [](int32_t t) { return t < 0; })) {
    return Invalid("an input is left out");
  }
  const int32_t h_before = node.inputs[1], weights = node.inputs[2];
  const int32_t bias = node.inputs[3], c_before = node.inputs[4];
  const size_t batch = Dim(lowering, x, 0), inputs = Dim(lowering, x, 1);
  const size_t cells = Dim(lowering, c_before, 1);
  LATHE_TRY(Want(lowering, h_before, lowering.TypeOf(x),
                 ShapeOf({batch, cells}), "input 1"));
  const bool integer = lowering.TypeOf(x) == Type::kUint8;
  LATHE_TRY(Want(lowering, c_before, integer ? Type::kInt16 : Type::kFloat32,
                 ShapeOf({batch, cells}), "input 4"));
  LATHE_TRY(Want(lowering, bias, integer ? Type::kInt32 : Type::kFloat32,
                 ShapeOf({4 * cells}), "input 3"));
  const Type fine = integer ? Type::kInt16 : Type::kFloat32;
  const Type wanted[] = {lowering.TypeOf(x), fine, lowering.TypeOf(x), fine};
  for (size_t i = 0; i < 4; ++i) {
    if (lowering.TypeOf(y[i]) != wanted[i]) {
      return Unsupported("no kernel for output {} of {}", i,
                         Name(lowering.TypeOf(y[i])));
    }
  }
  // States that live on get the new values.
  const auto keep = [=, h_lives = lowering.TensorOf(h_before).is_variable,
                     c_lives = lowering.TensorOf(c_before).is_variable,
                     h_bytes = batch * cells * (integer ? 1 : sizeof(float)),
                     c_bytes = batch * cells *
                               (integer ? sizeof(int16_t) : sizeof(float))](
                        const StepContext& context) {
    if (h_lives) {
      std::memcpy(context.tensors[h_before], context.tensors[y[0]], h_bytes);
    }
    if (c_lives) {
      std::memcpy(context.tensors[c_before], context.tensors[y[1]], c_bytes);
    }
  };
  Step step = StepOf(node);
  step.flops = 2 * batch * 4 * cells * (inputs + cells);
  if (integer) {
    LATHE_TRY(Want(lowering, weights, Type::kUint8,
                   ShapeOf({4 * cells, inputs + cells}), "input 2"));
    LATHE_ASSIGN(const Lowering::Affine w, lowering.AffineOf(weights));
    LATHE_ASSIGN(const Lowering::Affine b, lowering.AffineOf(bias));
    LATHE_ASSIGN(const Lowering::Affine state, lowering.AffineOf(y[1]));
    int exponent = 0;
    if (!kernels::IsPowerOfTwo(state.scale, &exponent) || exponent != -11) {
      return Unsupported("no kernel for a cell state of scale {}", state.scale);
    }
    const kernels::BasicIntegerLstm lstm{
        batch, inputs, cells, w.zero_point,
        kernels::MultiplierOf(double{4096 * b.scale})};
    step.run = [=](const StepContext& context) -> Status {
      kernels::RunBasicIntegerLstm(
          lstm, context.As<uint8_t>(weights), context.As<int32_t>(bias),
          context.As<uint8_t>(x), context.As<uint8_t>(h_before),
          context.As<int16_t>(c_before), context.As<uint8_t>(y[0]),
          context.As<int16_t>(y[1]), context.As<uint8_t>(y[2]),
          context.As<int16_t>(y[3]), *context.pool);
      keep(context);
      return {};
    };
  } else {
    LATHE_ASSIGN(const Matrix matrix,
                 MatrixOf(lowering, {weights}, 4 * cells, inputs + cells, false,
                          "input 2"));
    if (matrix.shape.packed == nullptr) {
      return Unsupported("no kernel for weights of int8");
    }
    const kernels::RecurrentKernels kernels = KernelsOf(lowering);
    step.kernel = kernels.gemm.name;
    step.run = [=](const StepContext& context) -> Status {
      kernels::RunBasicLstm(
          kernels, matrix.At(context), batch, inputs, cells,
          context.As<float>(x), context.As<float>(h_before),
          context.As<float>(bias), context.As<float>(c_before),
          context.As<float>(y[0]), context.As<float>(y[1]),
          context.As<float>(y[2]), context.As<float>(y[3]), *context.pool);
      keep(context);
      return {};
    };
  }
  lowering.Add(std::move(step));
  return {};
}

constexpr size_t kLstmH = 18, kLstmC = 19, kLstmNorms = 20;

Status PrepareLstm(Lowering& lowering, const Node& node) {
  const graph::Options& options = node.op->options;
  if (node.op->code == OpCode::kLstm && options.Int("kernel_type") == 1) {
    return PrepareBasicLstm(lowering, node);
  }
  LATHE_TRY(WantOutputs(lowering, node, Type::kFloat32));
  LstmPlaces places;
  places.x = node.inputs[0];
  places.h = InputAt(node, kLstmH);
  places.c = InputAt(node, kLstmC);
  places.norms = kLstmNorms;
  LATHE_ASSIGN(
      const LstmLayer layer,
      LstmLayerOf(lowering, node, places, options.Bool("time_major"), false));
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  const int32_t y = node.outputs[0];
  Step step = StepOf(node);
  step.kernel = kernels.gemm.name;
  step.flops = FlopsOf(layer);
  step.scratch_bytes = layer.scratch;
  step.run = [=](const StepContext& context) -> Status {
    return layer.Run(kernels, context, context.As<float>(y),
                     layer.weights.outputs);
  };
  lowering.Add(std::move(step));
  return {};
}

// Both directions have the same operands side by side; an auxiliary input
// without weights is what the backward direction reads instead of x.
Status PrepareBidirectionalLstm(Lowering& lowering, const Node& node) {
  LATHE_TRY(WantOutputs(lowering, node, Type::kFloat32));
  const graph::Options& options = node.op->options;
  constexpr size_t kBackward = 18, kStates = 35, kAux = 39, kAuxWeights = 40;
  const int32_t aux = InputAt(node, kAux);
  const bool stacked = InputAt(node, kAuxWeights + 1) >= 0;
  const bool time_major = options.Bool("time_major", true);
  LstmPlaces forward;
  forward.x = node.inputs[0];
  forward.h = InputAt(node, kStates);
  forward.c = InputAt(node, kStates + 1);
  forward.aux = stacked ? aux : kNone;
  forward.aux_weights = kAuxWeights;
  if (stacked && aux < 0) return Invalid("the auxiliary input is left out");
  LstmPlaces backward = forward;
  backward.weights = kBackward;
  backward.h = InputAt(node, kStates + 2);
  backward.c = InputAt(node, kStates + 3);
  backward.aux_weights = kAuxWeights + 4;
  if (aux >= 0) {
    const graph::Shape& x = lowering.ShapeOf(forward.x);
    const graph::Shape& other = lowering.ShapeOf(aux);
    if (lowering.TypeOf(aux) != Type::kFloat32 || other.size() != 3 ||
        other[0] != x[0] || other[1] != x[1]) {
      return Invalid("the auxiliary input is {} {}; the input is {}",
                     Name(lowering.TypeOf(aux)), graph::ToString(other),
                     graph::ToString(x));
    }
    if (!stacked) backward.x = aux;
  }
  LATHE_ASSIGN(const LstmLayer fw,
               LstmLayerOf(lowering, node, forward, time_major, false));
  LATHE_ASSIGN(const LstmLayer bw,
               LstmLayerOf(lowering, node, backward, time_major, true));
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  const bool merged = node.outputs.size() == 1;
  const int32_t y = node.outputs[0], y_bw = node.outputs.back();
  const size_t fw_width = fw.weights.outputs, bw_width = bw.weights.outputs;
  Step step = StepOf(node);
  step.kernel = kernels.gemm.name;
  step.flops = FlopsOf(fw) + FlopsOf(bw);
  step.scratch_bytes = std::max(fw.scratch, bw.scratch);
  step.run = [=](const StepContext& context) -> Status {
    float* to = context.As<float>(y);
    const size_t width = fw_width + bw_width;
    LATHE_TRY(fw.Run(kernels, context, to, merged ? width : fw_width));
    return bw.Run(kernels, context,
                  merged ? to + fw_width : context.As<float>(y_bw),
                  merged ? width : bw_width);
  };
  lowering.Add(std::move(step));
  return {};
}

// One direction of a simple layer.
struct RnnLayer {
  kernels::RnnWeights weights;
  Matrix input, aux, recurrent;
  int32_t x = kNone, aux_x = kNone, bias = kNone, h = kNone;
  size_t batch = 0, time = 0;
  bool time_major = false, backward = false;
  size_t scratch = 0;

  void Run(const kernels::RecurrentKernels& kernels, const StepContext& context,
           float* y, size_t y_stride) const {
    kernels::RnnWeights w = weights;
    w.input = input.At(context);
    if (aux.shape.blocks) w.aux = aux.At(context);
    w.recurrent = recurrent.At(context);
    w.bias = context.As<float>(bias);
    kernels::RnnSequence sequence;
    sequence.batch = batch;
    sequence.time = time;
    sequence.time_major = time_major;
    sequence.backward = backward;
    sequence.x = context.As<float>(x);
    sequence.aux = Maybe<float>(context, aux_x);
    sequence.h = context.As<float>(h);
    sequence.y = y;
    sequence.y_stride = y_stride;
    kernels::RunRnn(kernels, w, sequence, context.scratch, *context.pool);
  }
};

// `first`: the place of W; R, the bias and the state follow.
Result<RnnLayer> RnnLayerOf(Lowering& lowering, const Node& node, int32_t x,
                            size_t first, int32_t aux, int32_t aux_weights,
                            bool time_major, bool backward) {
  const graph::Options& options = node.op->options;
  RnnLayer layer;
  layer.x = x;
  layer.aux_x = aux;
  layer.bias = InputAt(node, first + 2);
  layer.h = InputAt(node, first + 3);
  layer.time_major = time_major;
  layer.backward = backward;
  SetTimes(lowering, x, time_major, layer.batch, layer.time);
  const int32_t weights = InputAt(node, first);
  const int32_t recurrent = InputAt(node, first + 1);
  if (weights < 0 || lowering.ShapeOf(weights).size() != 2) {
    return Invalid("input {} must be a matrix of weights", first);
  }
  kernels::RnnWeights& w = layer.weights;
  w.units = Dim(lowering, weights, 0);
  w.inputs = static_cast<size_t>(lowering.ShapeOf(x).back());
  LATHE_ASSIGN(w.activation, GateActivationOf(options));
  const bool asymmetric = options.Bool("asymmetric_quantize_inputs");
  LATHE_ASSIGN(layer.input, MatrixOf(lowering, {weights}, w.units, w.inputs,
                                     asymmetric, "input weights"));
  LATHE_ASSIGN(layer.recurrent,
               MatrixOf(lowering, {recurrent}, w.units, w.units, asymmetric,
                        "recurrent weights"));
  if (aux >= 0) {
    w.aux_inputs = static_cast<size_t>(lowering.ShapeOf(aux).back());
    LATHE_ASSIGN(layer.aux,
                 MatrixOf(lowering, {aux_weights}, w.units, w.aux_inputs,
                          asymmetric, "auxiliary weights"));
  }
  LATHE_TRY(
      Want(lowering, layer.bias, Type::kFloat32, ShapeOf({w.units}), "bias"));
  LATHE_TRY(WantState(lowering, layer.h, Type::kFloat32, layer.batch * w.units,
                      "hidden state"));
  w.input = layer.input.shape;
  w.aux = layer.aux.shape;
  w.recurrent = layer.recurrent.shape;
  layer.scratch = kernels::RnnScratch(w, layer.batch, layer.time);
  return layer;
}

uint64_t FlopsOf(const RnnLayer& layer) {
  const kernels::RnnWeights& w = layer.weights;
  return 2 * w.units * (w.inputs + w.aux_inputs + w.units) * layer.batch *
         layer.time;
}

Status PrepareRnn(Lowering& lowering, const Node& node) {
  LATHE_TRY(WantOutputs(lowering, node, Type::kFloat32));
  LATHE_ASSIGN(const RnnLayer layer,
               RnnLayerOf(lowering, node, node.inputs[0], 1, kNone, kNone,
                          node.op->options.Bool("time_major"), false));
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  const int32_t y = node.outputs[0];
  Step step = StepOf(node);
  step.kernel = kernels.gemm.name;
  step.flops = FlopsOf(layer);
  step.scratch_bytes = layer.scratch;
  step.run = [=](const StepContext& context) -> Status {
    layer.Run(kernels, context, context.As<float>(y), layer.weights.units);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

Status PrepareBidirectionalRnn(Lowering& lowering, const Node& node) {
  LATHE_TRY(WantOutputs(lowering, node, Type::kFloat32));
  const bool time_major = node.op->options.Bool("time_major");
  constexpr size_t kForward = 1, kBackward = 5, kAux = 9, kAuxWeights = 10;
  const int32_t x = node.inputs[0], aux = InputAt(node, kAux);
  const int32_t fw_aux = InputAt(node, kAuxWeights);
  const int32_t bw_aux = InputAt(node, kAuxWeights + 1);
  const bool stacked = fw_aux >= 0;
  if (stacked && aux < 0) return Invalid("the auxiliary input is left out");
  if (aux >= 0) {
    const graph::Shape& shape = lowering.ShapeOf(x);
    const graph::Shape& other = lowering.ShapeOf(aux);
    if (lowering.TypeOf(aux) != Type::kFloat32 || other.size() != 3 ||
        other[0] != shape[0] || other[1] != shape[1]) {
      return Invalid("the auxiliary input is {} {}; the input is {}",
                     Name(lowering.TypeOf(aux)), graph::ToString(other),
                     graph::ToString(shape));
    }
  }
  const int32_t bw_x = aux >= 0 && !stacked ? aux : x;
  LATHE_ASSIGN(const RnnLayer fw,
               RnnLayerOf(lowering, node, x, kForward, stacked ? aux : kNone,
                          fw_aux, time_major, false));
  LATHE_ASSIGN(const RnnLayer bw,
               RnnLayerOf(lowering, node, bw_x, kBackward,
                          stacked ? aux : kNone, bw_aux, time_major, true));
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  const bool merged = node.outputs.size() == 1;
  const int32_t y = node.outputs[0], y_bw = node.outputs.back();
  const size_t fw_width = fw.weights.units, bw_width = bw.weights.units;
  Step step = StepOf(node);
  step.kernel = kernels.gemm.name;
  step.flops = FlopsOf(fw) + FlopsOf(bw);
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
  return {};
}

Status PrepareSvdf(Lowering& lowering, const Node& node) {
  const graph::Options& options = node.op->options;
  const int32_t x = node.inputs[0], feature = node.inputs[1];
  const int32_t time = node.inputs[2], bias = InputAt(node, 3);
  const int32_t state = InputAt(node, 4), y = node.outputs[0];
  if (lowering.ShapeOf(time).size() != 2 || Dim(lowering, time, 1) == 0) {
    return Invalid("input 2 is {}, expected [filters, memory]",
                   graph::ToString(lowering.ShapeOf(time)));
  }
  kernels::SvdfShape shape;
  shape.batch = Dim(lowering, x, 0);
  shape.inputs = Dim(lowering, x, 1);
  shape.rank = static_cast<size_t>(options.Int("rank"));
  shape.units = Dim(lowering, feature, 0) / shape.rank;
  shape.memory = Dim(lowering, time, 1);
  const size_t filters = shape.filters();
  const size_t values = shape.batch * filters * shape.memory;
  const bool integer = lowering.TypeOf(x) == Type::kInt8;
  LATHE_TRY(
      WantOutputs(lowering, node, integer ? Type::kInt8 : Type::kFloat32));
  if (bias >= 0) {
    LATHE_TRY(Want(lowering, bias, integer ? Type::kInt32 : Type::kFloat32,
                   ShapeOf({shape.units}), "bias"));
  }
  LATHE_TRY(WantState(lowering, state, integer ? Type::kInt16 : Type::kFloat32,
                      values, "state"));
  LATHE_ASSIGN(const GateActivation activation, GateActivationOf(options));
  Step step = StepOf(node);
  step.flops = 2 * shape.batch * filters * (shape.inputs + shape.memory);
  if (integer) {
    if (activation != GateActivation::kRelu) {
      return Unsupported(
          "no kernel for int8 with another activation than RELU");
    }
    LATHE_TRY(Want(lowering, feature, Type::kInt8,
                   ShapeOf({filters, shape.inputs}), "feature weights"));
    LATHE_TRY(Want(lowering, time, Type::kInt16,
                   ShapeOf({filters, shape.memory}), "time weights"));
    LATHE_ASSIGN(const Lowering::Affine ax, lowering.AffineOf(x));
    LATHE_ASSIGN(const Lowering::Affine af, lowering.AffineOf(feature));
    LATHE_ASSIGN(const Lowering::Affine at, lowering.AffineOf(time));
    LATHE_ASSIGN(const Lowering::Affine as, lowering.AffineOf(state));
    LATHE_ASSIGN(const Lowering::Affine ay, lowering.AffineOf(y));
    const kernels::SvdfIntegers numbers{
        kernels::MultiplierOf(ax.scale * af.scale / as.scale),
        kernels::MultiplierOf(as.scale * at.scale / ay.scale), ax.zero_point,
        ay.zero_point};
    step.run = [=](const StepContext& context) -> Status {
      kernels::RunIntegerSvdf(shape, numbers, context.As<int8_t>(feature),
                              context.As<int16_t>(time),
                              Maybe<int32_t>(context, bias),
                              context.As<int8_t>(x), context.As<int16_t>(state),
                              context.As<int8_t>(y), *context.pool);
      return {};
    };
    lowering.Add(std::move(step));
    return {};
  }
  LATHE_ASSIGN(
      const Matrix matrix,
      MatrixOf(lowering, {feature}, filters, shape.inputs,
               options.Bool("asymmetric_quantize_inputs"), "feature weights"));
  // Time weights of int8 are floats from here on.
  std::shared_ptr<std::vector<float>> times;
  if (lowering.TypeOf(time) == Type::kInt8) {
    LATHE_TRY(Want(lowering, time, Type::kInt8,
                   ShapeOf({filters, shape.memory}), "time weights"));
    if (!lowering.IsConstant(time)) {
      return Unsupported("time weights of int8 must be constants");
    }
    LATHE_ASSIGN(const Lowering::Affine affine, lowering.AffineOf(time));
    times = std::make_shared<std::vector<float>>();
    for (const int8_t q : ConstantOf<int8_t>(lowering, time)) {
      times->push_back(static_cast<float>(q) * affine.scale);
    }
  } else {
    LATHE_TRY(Want(lowering, time, Type::kFloat32,
                   ShapeOf({filters, shape.memory}), "time weights"));
  }
  const kernels::RecurrentKernels kernels = KernelsOf(lowering);
  step.kernel = kernels.gemm.name;
  step.scratch_bytes = kernels::SvdfScratch(shape, matrix.shape);
  step.run = [=](const StepContext& context) -> Status {
    kernels::RunSvdf(kernels, shape, matrix.At(context),
                     times ? times->data() : context.As<float>(time),
                     Maybe<float>(context, bias), activation,
                     context.As<float>(x), context.As<float>(state),
                     context.As<float>(y), context.scratch, *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

// What an integer LSTM works out from constants; gates point into it.
struct IntegerBiases {
  std::array<std::vector<int32_t>, 4> input, recurrent;
  std::vector<int32_t> projection;
};

// bias (0 if none) + factor * sums of the rows.
Result<std::vector<int32_t>> FoldedBias(const Lowering& lowering,
                                        int32_t weights, int32_t bias,
                                        int32_t factor) {
  for (const int32_t tensor : {weights, bias}) {
    if (tensor >= 0 && !lowering.IsConstant(tensor)) {
      return Unsupported("tensor {} \"{}\" must be a constant", tensor,
                         lowering.NameOf(tensor));
    }
  }
  const std::vector<int8_t> bytes = ConstantOf<int8_t>(lowering, weights);
  const size_t rows = Dim(lowering, weights, 0);
  const size_t k = Dim(lowering, weights, 1);
  std::vector<int32_t> sums = bias >= 0 ? ConstantOf<int32_t>(lowering, bias)
                                        : std::vector<int32_t>(rows);
  for (size_t row = 0; row < rows; ++row) {
    int32_t sum = 0;
    for (size_t p = 0; p < k; ++p) sum += bytes[row * k + p];
    sums[row] = static_cast<int32_t>(static_cast<uint32_t>(sums[row]) +
                                     static_cast<uint32_t>(sum) *
                                         static_cast<uint32_t>(factor));
  }
  return sums;
}

struct IntegerLstmPlan {
  kernels::IntegerLstm lstm;
  std::shared_ptr<IntegerBiases> biases = std::make_shared<IntegerBiases>();
};

// Scales of the graph's intermediates: sums of the gates, and o * tanh(c).
Result<Lowering::Affine> IntermediateOf(const Lowering& lowering,
                                        const Node& node, size_t i) {
  const auto& intermediates = node.op->intermediates;
  if (i >= intermediates.size() || intermediates[i] < 0) {
    return Invalid("{} intermediates, expected 5", intermediates.size());
  }
  return lowering.AffineOf(intermediates[i]);
}

Result<IntegerLstmPlan> IntegerLstmOf(const Lowering& lowering,
                                      const Node& node) {
  IntegerLstmPlan plan;
  kernels::IntegerLstm& lstm = plan.lstm;
  const graph::Options& options = node.op->options;
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const int32_t h = InputAt(node, kLstmH), c = InputAt(node, kLstmC);
  const int32_t to_output = InputAt(node, 4), from_h = InputAt(node, 8);
  if (to_output < 0 || from_h < 0 || h < 0 || c < 0 ||
      lowering.ShapeOf(to_output).size() != 2 ||
      lowering.ShapeOf(from_h).size() != 2) {
    return Invalid("weights of the output gate or a state are left out");
  }
  lstm.cells = Dim(lowering, to_output, 0);
  lstm.inputs = static_cast<size_t>(lowering.ShapeOf(x).back());
  lstm.outputs = Dim(lowering, from_h, 1);
  lstm.coupled = InputAt(node, 1) < 0;
  const bool normed = InputAt(node, kLstmNorms + 1) >= 0;
  LATHE_ASSIGN(const Lowering::Affine ax, lowering.AffineOf(x));
  LATHE_ASSIGN(const Lowering::Affine ay, lowering.AffineOf(y));
  LATHE_ASSIGN(const Lowering::Affine ah, lowering.AffineOf(h));
  LATHE_ASSIGN(const Lowering::Affine ac, lowering.AffineOf(c));
  LATHE_ASSIGN(const Lowering::Affine hidden,
               IntermediateOf(lowering, node, 4));
  int exponent = 0;
  if (!kernels::IsPowerOfTwo(ac.scale, &exponent) || exponent < -15 ||
      exponent > -9) {
    return Invalid(
        "cell state of scale {}; allowed: powers of two from 2^-15 to 2^-9",
        ac.scale);
  }
  lstm.cell_exponent = exponent;
  const float cell_clip = static_cast<float>(options.Float("cell_clip"));
  if (cell_clip > 0) {
    lstm.cell_clip =
        static_cast<int16_t>(std::min(cell_clip / ac.scale, 32767.0F));
  }
  const float proj_clip = static_cast<float>(options.Float("proj_clip"));
  if (proj_clip > 0) {
    lstm.projection_clip =
        static_cast<int8_t>(std::min(proj_clip / ay.scale, 127.0F));
  }
  for (size_t gate = lstm.coupled ? 1 : 0; gate < 4; ++gate) {
    kernels::IntegerGate& g = lstm.gates[gate];
    const int32_t wx = InputAt(node, 1 + gate), wh = InputAt(node, 5 + gate);
    const int32_t bias = InputAt(node, 12 + gate);
    LATHE_TRY(Want(lowering, wx, Type::kInt8,
                   ShapeOf({lstm.cells, lstm.inputs}), "input weights"));
    LATHE_TRY(Want(lowering, wh, Type::kInt8,
                   ShapeOf({lstm.cells, lstm.outputs}), "recurrent weights"));
    LATHE_TRY(
        Want(lowering, bias, Type::kInt32, ShapeOf({lstm.cells}), "gate bias"));
    LATHE_ASSIGN(const Lowering::Affine awx, lowering.AffineOf(wx));
    LATHE_ASSIGN(const Lowering::Affine awh, lowering.AffineOf(wh));
    float sum_scale = 1.0F / 4096;
    if (normed) {
      LATHE_ASSIGN(const Lowering::Affine sums,
                   IntermediateOf(lowering, node, gate));
      sum_scale = sums.scale;
      const int32_t norm = InputAt(node, kLstmNorms + gate);
      LATHE_TRY(Want(lowering, norm, Type::kInt16, ShapeOf({lstm.cells}),
                     "layer norm coefficients"));
      LATHE_ASSIGN(const Lowering::Affine an, lowering.AffineOf(norm));
      g.norm_scale = kernels::MultiplierOf(an.scale);
      g.variance_guard = std::max(
          1, static_cast<int32_t>(std::min(10000 * an.scale, 0x1p30f)));
    }
    g.to_gate_x = kernels::MultiplierOf(awx.scale * ax.scale / sum_scale);
    g.to_gate_h = kernels::MultiplierOf(awh.scale * ah.scale / sum_scale);
    // Peepholes of i, f and o.
    if (gate != kernels::kCellGate) {
      const int32_t peephole =
          InputAt(node, 9 + (gate == kernels::kOutputGate ? 2 : gate));
      if (peephole >= 0) {
        LATHE_TRY(Want(lowering, peephole, Type::kInt16, ShapeOf({lstm.cells}),
                       "peephole weights"));
        LATHE_ASSIGN(const Lowering::Affine ap, lowering.AffineOf(peephole));
        g.to_gate_c = kernels::MultiplierOf(
            static_cast<float>(std::pow(2.0, exponent) * ap.scale / sum_scale));
      }
    }
    LATHE_ASSIGN(
        plan.biases->input[gate],
        FoldedBias(lowering, wx, normed ? kNone : bias, -ax.zero_point));
    LATHE_ASSIGN(plan.biases->recurrent[gate],
                 FoldedBias(lowering, wh, kNone, -ah.zero_point));
    g.input_bias = plan.biases->input[gate].data();
    g.recurrent_bias = plan.biases->recurrent[gate].data();
  }
  lstm.to_hidden = kernels::MultiplierOf(
      static_cast<float>(std::pow(2, -15) / hidden.scale * std::pow(2, -15)));
  lstm.hidden_zero = hidden.zero_point;
  lstm.output_zero = ah.zero_point;
  const int32_t projection = InputAt(node, 16);
  if (projection >= 0) {
    const int32_t bias = InputAt(node, 17);
    LATHE_TRY(Want(lowering, projection, Type::kInt8,
                   ShapeOf({lstm.outputs, lstm.cells}), "projection weights"));
    if (bias >= 0) {
      LATHE_TRY(Want(lowering, bias, Type::kInt32, ShapeOf({lstm.outputs}),
                     "projection bias"));
    }
    LATHE_ASSIGN(const Lowering::Affine ap, lowering.AffineOf(projection));
    lstm.to_output = kernels::MultiplierOf(ap.scale * hidden.scale / ah.scale);
    LATHE_ASSIGN(plan.biases->projection,
                 FoldedBias(lowering, projection, bias, hidden.zero_point));
    lstm.projection_bias = plan.biases->projection.data();
  } else if (lstm.outputs != lstm.cells) {
    return Invalid("{} outputs of {} cells without a projection", lstm.outputs,
                   lstm.cells);
  }
  return plan;
}

Status PrepareIntegerLstm(Lowering& lowering, const Node& node) {
  const graph::Options& options = node.op->options;
  if (node.op->code == OpCode::kLstm && options.Int("kernel_type") == 1) {
    return PrepareBasicLstm(lowering, node);
  }
  if (node.op->intermediates.size() > 5) {
    return Unsupported(
        "the form whose gates sum in int8 has no kernel ({} intermediates; "
        "allowed: 5)",
        node.op->intermediates.size());
  }
  LATHE_TRY(WantOutputs(lowering, node, Type::kInt8));
  LATHE_ASSIGN(const IntegerLstmPlan plan, IntegerLstmOf(lowering, node));
  const int32_t x = node.inputs[0], y = node.outputs[0];
  const int32_t h = InputAt(node, kLstmH), c = InputAt(node, kLstmC);
  const bool time_major = options.Bool("time_major");
  size_t batch = 0, time = 0;
  SetTimes(lowering, x, time_major, batch, time);
  const kernels::IntegerLstm& lstm = plan.lstm;
  LATHE_TRY(WantState(lowering, h, Type::kInt8, batch * lstm.outputs,
                      "output state"));
  LATHE_TRY(
      WantState(lowering, c, Type::kInt16, batch * lstm.cells, "cell state"));
  Step step = StepOf(node);
  step.flops =
      2 * batch * time *
      ((lstm.coupled ? 3 : 4) * lstm.cells * (lstm.inputs + lstm.outputs) +
       (InputAt(node, 16) >= 0 ? lstm.cells * lstm.outputs : 0));
  step.scratch_bytes = kernels::IntegerLstmScratch(lstm, batch);
  step.run = [=, inputs = node.inputs](const StepContext& context) -> Status {
    const auto at = [&](size_t i) {
      return i < inputs.size() ? inputs[i] : kNone;
    };
    kernels::IntegerLstm now = plan.lstm;
    for (size_t gate = now.coupled ? 1 : 0; gate < 4; ++gate) {
      kernels::IntegerGate& g = now.gates[gate];
      g.input = context.As<int8_t>(at(1 + gate));
      g.recurrent = context.As<int8_t>(at(5 + gate));
      if (gate != kernels::kCellGate) {
        g.peephole = Maybe<int16_t>(
            context, at(9 + (gate == kernels::kOutputGate ? 2 : gate)));
      }
      g.norm = Maybe<int16_t>(context, at(kLstmNorms + gate));
      g.norm_bias = context.As<int32_t>(at(12 + gate));
    }
    now.projection = Maybe<int8_t>(context, at(16));
    kernels::IntegerSequence sequence;
    sequence.batch = batch;
    sequence.time = time;
    sequence.time_major = time_major;
    sequence.x = context.As<int8_t>(x);
    sequence.h = context.As<int8_t>(h);
    sequence.c = context.As<int16_t>(c);
    sequence.y = context.As<int8_t>(y);
    kernels::RunIntegerLstm(now, sequence, context.scratch, *context.pool);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

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

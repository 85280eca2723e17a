// LSTM layers: float32, float32 with int8 weights, and the old one of uint8.

#include <algorithm>
#include <array>
#include <cmath>

#include "src/kernels/quantized/unary.h"
#include "src/kernels/recurrent/integer_lstm.h"
#include "src/plan/prepare_recurrent.h"

namespace lathe::plan::recurrent {
namespace {

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

  void Run(const kernels::RecurrentKernels& kernels, const StepContext& context,
           float* y, size_t y_stride) const {
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
  }
};

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

}  // namespace

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
    layer.Run(kernels, context, context.As<float>(y), layer.weights.outputs);
    return {};
  };
  lowering.Add(std::move(step));
  return {};
}

namespace {

// Both directions have the same operands side by side; an auxiliary input
// without weights is what the backward direction reads instead of x.

}  // namespace

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
  LATHE_TRY(CheckAuxiliary(lowering, forward.x, aux, stacked));
  LstmPlaces backward = forward;
  backward.weights = kBackward;
  backward.h = InputAt(node, kStates + 2);
  backward.c = InputAt(node, kStates + 3);
  backward.aux_weights = kAuxWeights + 4;
  if (aux >= 0 && !stacked) backward.x = aux;
  LATHE_ASSIGN(const LstmLayer fw,
               LstmLayerOf(lowering, node, forward, time_major, false));
  LATHE_ASSIGN(const LstmLayer bw,
               LstmLayerOf(lowering, node, backward, time_major, true));
  AddBothDirections(lowering, node, fw, fw.weights.outputs, bw,
                    bw.weights.outputs, FlopsOf(fw) + FlopsOf(bw));
  return {};
}

}  // namespace lathe::plan::recurrent

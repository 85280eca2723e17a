// Simple recurrent layers and SVDF.

#include <algorithm>
#include <cmath>

#include "src/plan/prepare_recurrent.h"

namespace lathe::plan::recurrent {
namespace {

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

}  // namespace

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
  LATHE_TRY(CheckAuxiliary(lowering, x, aux, stacked));
  const int32_t bw_x = aux >= 0 && !stacked ? aux : x;
  LATHE_ASSIGN(const RnnLayer fw,
               RnnLayerOf(lowering, node, x, kForward, stacked ? aux : kNone,
                          fw_aux, time_major, false));
  LATHE_ASSIGN(const RnnLayer bw,
               RnnLayerOf(lowering, node, bw_x, kBackward,
                          stacked ? aux : kNone, bw_aux, time_major, true));
  AddBothDirections(lowering, node, fw, fw.weights.units, bw, bw.weights.units,
                    FlopsOf(fw) + FlopsOf(bw));
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

}  // namespace lathe::plan::recurrent

// LSTM layers of int8 with 16-bit cells.

#include <algorithm>
#include <array>
#include <cmath>

#include "src/kernels/quantized/unary.h"
#include "src/kernels/recurrent/integer_lstm.h"
#include "src/plan/prepare_recurrent.h"

namespace lathe::plan::recurrent {
namespace {

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

}  // namespace

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

}  // namespace lathe::plan::recurrent

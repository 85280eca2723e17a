// The shared pieces, operator by operator.

#include "src/import/models/blocks.h"

#include <vector>

namespace lathe::importer {

using graph::Attribute;
using graph::OpCode;
using graph::Shape;

TensorId Linear(Builder& b, TensorId x, TensorId weights, TensorId bias) {
  const std::initializer_list<Attribute> options = {{"keep_num_dims", true}};
  if (bias == kNone) {
    return b.Op(OpCode::kFullyConnected, {x, weights, kNone}, options);
  }
  return b.Op(OpCode::kFullyConnected, {x, weights, bias}, options);
}

TensorId Silu(Builder& b, TensorId x) {
  return b.Op(OpCode::kMul, {x, b.Op(OpCode::kLogistic, {x})});
}

namespace {

TensorId MeanOfLast(Builder& b, TensorId x) {
  const int32_t axis = static_cast<int32_t>(b.ShapeOf(x).size()) - 1;
  return b.Op(OpCode::kMean, {x, b.Ints("last_axis", {1}, {&axis, 1})},
              {{"keep_dims", true}});
}

}  // namespace

TensorId LayerNorm(Builder& b, TensorId x, TensorId gamma, TensorId beta,
                   float epsilon) {
  const TensorId c = b.Op(OpCode::kSub, {x, MeanOfLast(b, x)});
  const TensorId variance = MeanOfLast(b, b.Op(OpCode::kMul, {c, c}));
  const TensorId scale =
      b.Op(OpCode::kRsqrt,
           {b.Op(OpCode::kAdd, {variance, Scalar(b, "epsilon", epsilon)})});
  TensorId y = b.Op(OpCode::kMul, {c, scale});
  if (gamma != kNone) y = b.Op(OpCode::kMul, {y, gamma});
  if (beta != kNone) y = b.Op(OpCode::kAdd, {y, beta});
  return y;
}

TensorId RmsNorm(Builder& b, TensorId x, TensorId gamma, float epsilon) {
  const TensorId mean = MeanOfLast(b, b.Op(OpCode::kMul, {x, x}));
  const TensorId scale =
      b.Op(OpCode::kRsqrt,
           {b.Op(OpCode::kAdd, {mean, Scalar(b, "epsilon", epsilon)})});
  return b.Op(OpCode::kMul, {b.Op(OpCode::kMul, {x, scale}), gamma});
}

TensorId Snake(Builder& b, TensorId x, TensorId a, TensorId inverse_b) {
  const TensorId s = b.Op(OpCode::kSin, {b.Op(OpCode::kMul, {x, a})});
  const TensorId bump =
      b.Op(OpCode::kMul, {b.Op(OpCode::kMul, {s, s}), inverse_b});
  return b.Op(OpCode::kAdd, {x, bump});
}

TensorId Attend(Builder& b, TensorId q, TensorId k, TensorId v, TensorId bias) {
  TensorId scores = b.Op(OpCode::kBatchMatmul, {q, k}, {{"adj_y", true}});
  if (bias != kNone) scores = b.Op(OpCode::kAdd, {scores, bias});
  const TensorId weights = b.Op(OpCode::kSoftmax, {scores}, {{"beta", 1.0}});
  return b.Op(OpCode::kBatchMatmul, {weights, v});
}

TensorId ToHeads(Builder& b, TensorId x, int32_t heads) {
  const Shape& shape = b.ShapeOf(x);
  if (shape.size() < 2) return x;  // An error already stuck.
  const int32_t width = shape.back(), n = shape[shape.size() - 2];
  const int32_t order[] = {1, 0, 2};
  return Transpose(b, Reshape(b, x, {n, heads, width / heads}), order);
}

TensorId FromHeads(Builder& b, TensorId x) {
  const Shape shape = b.ShapeOf(x);
  if (shape.size() != 3) return x;
  const int32_t order[] = {1, 0, 2};
  return Reshape(b, Transpose(b, x, order), {1, shape[1], shape[0] * shape[2]});
}

TensorId Reshape(Builder& b, TensorId x, const Shape& shape) {
  const TensorId target =
      b.Ints("shape", {static_cast<int32_t>(shape.size())}, shape);
  std::vector<int64_t> copy(shape.begin(), shape.end());
  return b.Op(OpCode::kReshape, {x, target}, {{"new_shape", copy}});
}

TensorId Transpose(Builder& b, TensorId x, std::span<const int32_t> order) {
  return b.Op(
      OpCode::kTranspose,
      {x, b.Ints("order", {static_cast<int32_t>(order.size())}, order)});
}

std::vector<TensorId> Split(Builder& b, TensorId x, int32_t axis,
                            size_t parts) {
  const TensorId inputs[] = {b.Ints("axis", {}, {&axis, 1}), x};
  return b.Ops(OpCode::kSplit, inputs,
               {{"num_splits", static_cast<int64_t>(parts)}}, parts);
}

std::vector<TensorId> SplitSizes(Builder& b, TensorId x, int32_t axis,
                                 const std::vector<int32_t>& sizes) {
  const TensorId inputs[] = {
      x, b.Ints("sizes", {static_cast<int32_t>(sizes.size())}, sizes),
      b.Ints("axis", {}, {&axis, 1})};
  return b.Ops(OpCode::kSplitV, inputs,
               {{"num_splits", static_cast<int64_t>(sizes.size())}},
               sizes.size());
}

TensorId Concat(Builder& b, std::span<const TensorId> parts, int32_t axis) {
  return b.Ops(OpCode::kConcatenation, parts,
               {{"axis", static_cast<int64_t>(axis)}}, 1)[0];
}

TensorId Scalar(Builder& b, std::string name, float value) {
  return b.Floats(std::move(name), {}, {&value, 1});
}

}  // namespace lathe::importer

// Pieces that the authored networks share, in primitive operators.
//
// The forms are fixed: passes/ recognises them as regions.

#ifndef LATHE_IMPORT_MODELS_BLOCKS_H_
#define LATHE_IMPORT_MODELS_BLOCKS_H_

#include <string>

#include "src/graph/builder.h"

namespace lathe::importer {

using graph::Builder;
using graph::TensorId;

inline constexpr TensorId kNone = graph::kNoTensor;

// x W^T + bias over the last axis; weights [out, in].
TensorId Linear(Builder& b, TensorId x, TensorId weights,
                TensorId bias = kNone);
// x * logistic(x)
TensorId Silu(Builder& b, TensorId x);
// MEAN, SUB, MUL, MEAN, ADD, RSQRT, MUL, [MUL gamma], [ADD beta].
TensorId LayerNorm(Builder& b, TensorId x, TensorId gamma, TensorId beta,
                   float epsilon);
// MUL, MEAN, ADD, RSQRT, MUL, MUL gamma.
TensorId RmsNorm(Builder& b, TensorId x, TensorId gamma, float epsilon);
// MUL a, SIN, MUL, MUL b, ADD: x + sin^2(x a) b.
TensorId Snake(Builder& b, TensorId x, TensorId a, TensorId inverse_b);
// BATCH_MATMUL(q, k^T), [ADD bias], SOFTMAX, BATCH_MATMUL(v).
TensorId Attend(Builder& b, TensorId q, TensorId k, TensorId v,
                TensorId bias = kNone);
// [n, heads * d] or [1, n, heads * d] to [heads, n, d], and back to [1, n, ..].
TensorId ToHeads(Builder& b, TensorId x, int32_t heads);
TensorId FromHeads(Builder& b, TensorId x);

TensorId Reshape(Builder& b, TensorId x, const graph::Shape& shape);
TensorId Transpose(Builder& b, TensorId x, std::span<const int32_t> order);
std::vector<TensorId> Split(Builder& b, TensorId x, int32_t axis, size_t parts);
std::vector<TensorId> SplitSizes(Builder& b, TensorId x, int32_t axis,
                                 const std::vector<int32_t>& sizes);
TensorId Concat(Builder& b, std::span<const TensorId> parts, int32_t axis);
TensorId Scalar(Builder& b, std::string name, float value);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_MODELS_BLOCKS_H_

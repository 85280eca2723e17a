#include "src/quant/hadamard_ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "flatbuffers/flexbuffers.h"

namespace lathe::quant {
namespace {

using graph::Op;
using graph::OpCode;
using graph::Shape;
using graph::Tensor;
using graph::Type;

// 64 x 64 floats are 16 KiB, which stays in the first cache.
constexpr int64_t kLargestFactor = 64;

int32_t AddShape(Inserter& inserter, size_t subgraph, std::string name,
                 const std::vector<int32_t>& dims) {
  return inserter.AddConstant(subgraph, std::move(name), Type::kInt32,
                              {static_cast<int32_t>(dims.size())},
                              std::as_bytes(std::span(dims)));
}

// Powers of two of which `size` is the product, as equal as possible.
std::vector<int32_t> Factors(int64_t size) {
  int bits = 0;
  while ((int64_t{1} << bits) < size) ++bits;
  int most = 0;
  while ((int64_t{1} << (most + 1)) <= kLargestFactor) ++most;
  const int count = std::max(1, (bits + most - 1) / most);
  std::vector<int32_t> factors;
  for (int i = 0; i < count; ++i) {
    factors.push_back(int32_t{1} << ((bits + i) / count));
  }
  return factors;
}

// Dims as a reshape's operand, if at most one of them may change.
bool HasFixedForm(const Tensor& tensor) {
  return std::ranges::count(tensor.shape_signature, -1) <= 1;
}

}  // namespace

Inserted RotateByCustomOp(Inserter& inserter, size_t subgraph, int32_t tensor,
                          int64_t size) {
  const Tensor from = inserter.TensorAt(subgraph, tensor);
  // The older tool derives the shape from the signature.
  Shape shape = from.shape;
  for (size_t i = 0; i < from.shape_signature.size(); ++i) {
    shape[i] = std::abs(from.shape_signature[i]);
  }
  const bool is_dynamic = std::ranges::count(from.shape_signature, -1) > 0;
  const int32_t to = inserter.AddTensor(
      subgraph, from.name + "_rotated", Type::kFloat32, shape,
      is_dynamic ? from.shape_signature : std::vector<int32_t>());
  Op op = inserter.MakeOp(OpCode::kCustom, {tensor}, {to}, true);
  op.custom_name = "aeq.hadamard_rotation";
  flexbuffers::Builder builder;
  builder.Map([&] {
    builder.Int("hadamard_size", size);
    builder.Vector("random_binary_vector", [&] {
      for (int64_t i = 0; i < size; ++i) builder.Int(1);
    });
  });
  builder.Finish();
  op.custom_options = builder.GetBuffer();
  return {{std::move(op)}, to};
}

Inserted RotateByMatrix(Inserter& inserter, size_t subgraph, int32_t tensor,
                        int64_t size) {
  const Tensor from = inserter.TensorAt(subgraph, tensor);
  const auto dim = static_cast<int32_t>(size);
  const auto rows =
      static_cast<int32_t>(graph::ElementCount(from.shape) / size);
  const int32_t before_shape =
      AddShape(inserter, subgraph, from.name + "_prerotate_shape", {rows, dim});
  const int32_t before =
      inserter.AddTensor(subgraph, from.name + "_prerotate_reshaped",
                         Type::kFloat32, {rows, dim}, {});
  const int32_t matrix =
      inserter.AddHadamard(subgraph, from.name + "_hadamard_matrix", size);
  const int32_t rotated = inserter.AddTensor(subgraph, from.name + "_rotated",
                                             Type::kFloat32, {rows, dim}, {});
  const int32_t after_shape =
      AddShape(inserter, subgraph, from.name + "_postrotate_shape", from.shape);
  const int32_t after =
      inserter.AddTensor(subgraph, from.name + "_postrotate_reshaped",
                         Type::kFloat32, from.shape, {});
  Op matmul = inserter.MakeOp(OpCode::kFullyConnected, {before, matrix},
                              {rotated}, true);
  matmul.options.table = "FullyConnectedOptions";
  return {{inserter.MakeOp(OpCode::kReshape, {tensor, before_shape}, {before},
                           true),
           std::move(matmul),
           inserter.MakeOp(OpCode::kReshape, {rotated, after_shape}, {after},
                           true)},
          after};
}

Inserted RotateByFactors(Inserter& inserter, size_t subgraph, int32_t tensor,
                         int64_t size) {
  const Tensor from = inserter.TensorAt(subgraph, tensor);
  const std::vector<int32_t> factors = Factors(size);
  const uint64_t elements = graph::ElementCount(from.shape);
  const bool is_dynamic = std::ranges::count(from.shape_signature, -1) > 0;
  std::vector<Op> ops;
  int32_t at = tensor;
  // [-1, inner...] of the elements; the first dim may change with the input's.
  const auto add = [&](std::string_view suffix, std::vector<int32_t> inner) {
    uint64_t rest = elements;
    for (const int32_t dim : inner) rest /= static_cast<uint64_t>(dim);
    Shape shape = {static_cast<int32_t>(rest)};
    shape.insert(shape.end(), inner.begin(), inner.end());
    std::vector<int32_t> signature;
    if (is_dynamic) {
      signature = shape;
      signature[0] = -1;
    }
    return inserter.AddTensor(subgraph, from.name + std::string(suffix),
                              Type::kFloat32, shape, std::move(signature));
  };
  const auto reshape = [&](std::string_view suffix,
                           std::vector<int32_t> inner) {
    std::vector<int32_t> dims = {-1};
    dims.insert(dims.end(), inner.begin(), inner.end());
    const int32_t to = add(suffix, std::move(inner));
    const int32_t shape = AddShape(
        inserter, subgraph, from.name + std::string(suffix) + "_shape", dims);
    Op op = inserter.MakeOp(OpCode::kReshape, {at, shape}, {to});
    op.options.table = "ReshapeOptions";
    ops.push_back(std::move(op));
    at = to;
  };
  const auto whole = static_cast<int32_t>(size);
  for (const int32_t factor : factors) {
    reshape("_prerotate", {factor});
    const int32_t matrix = inserter.AddHadamard(
        subgraph, fmt::format("hadamard_matrix_{}", factor), factor);
    const int32_t rotated = add("_rotated", {factor});
    Op matmul = inserter.MakeOp(OpCode::kFullyConnected,
                                {at, matrix, graph::kNoTensor}, {rotated});
    matmul.options.table = "FullyConnectedOptions";
    ops.push_back(std::move(matmul));
    at = rotated;
    if (factors.size() == 1) break;
    // The rotated axis goes to the front; after all factors each is back.
    reshape("_rows", {whole / factor, factor});
    const int32_t order =
        AddShape(inserter, subgraph, "hadamard_transposition", {0, 2, 1});
    const int32_t turned = add("_turned", {factor, whole / factor});
    Op transpose = inserter.MakeOp(OpCode::kTranspose, {at, order}, {turned});
    transpose.options.table = "TransposeOptions";
    ops.push_back(std::move(transpose));
    at = turned;
  }

  int32_t shape = 0;
  if (HasFixedForm(from)) {
    std::vector<int32_t> dims = from.shape;
    for (size_t i = 0; i < from.shape_signature.size(); ++i) {
      if (from.shape_signature[i] == -1) dims[i] = -1;
    }
    shape = AddShape(inserter, subgraph, from.name + "_postrotate_shape", dims);
  } else {
    shape = inserter.AddTensor(subgraph, from.name + "_postrotate_shape",
                               Type::kInt32,
                               {static_cast<int32_t>(from.shape.size())}, {});
    Op op = inserter.MakeOp(OpCode::kShape, {tensor}, {shape});
    op.options = {"ShapeOptions", {{"out_type", int64_t{2}}}};  // INT32
    ops.push_back(std::move(op));
  }
  const int32_t after =
      inserter.AddTensor(subgraph, from.name + "_postrotate_reshaped",
                         Type::kFloat32, from.shape, from.shape_signature);
  Op back = inserter.MakeOp(OpCode::kReshape, {at, shape}, {after});
  back.options.table = "ReshapeOptions";
  ops.push_back(std::move(back));
  return {std::move(ops), after};
}

}  // namespace lathe::quant

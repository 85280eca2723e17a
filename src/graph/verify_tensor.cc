// Verifies tensors: sizes, constant bytes, quantization, sparse storage.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/graph/verify_parts.h"

namespace lathe::graph {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 62;

bool IsTensor(const Subgraph& subgraph, int32_t index) {
  return index >= 0 && static_cast<size_t>(index) < subgraph.tensors.size();
}

int32_t ReadInt32(std::span<const std::byte> bytes, uint64_t at) {
  int32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

// A count, count + 1 offsets, then the texts without ends of their own.
void VerifyStrings(const Tensor& tensor, std::span<const std::byte> bytes,
                   Problems& problems) {
  constexpr uint64_t kWord = sizeof(int32_t);
  if (bytes.size() < 2 * kWord) {
    problems.Add("string data of {} bytes", bytes.size());
    return;
  }
  const int64_t count = ReadInt32(bytes, 0);
  const uint64_t header = kWord * static_cast<uint64_t>(count + 2);
  if (count < 0 || header > bytes.size() ||
      static_cast<uint64_t>(count) != ElementCount(tensor.shape)) {
    problems.Add("{} strings in {} bytes for shape {}", count, bytes.size(),
                 ToString(tensor.shape));
    return;
  }
  uint64_t before = header;
  for (int64_t i = 0; i <= count; ++i) {
    const int64_t offset =
        ReadInt32(bytes, kWord * static_cast<uint64_t>(i + 1));
    const bool first_fits = i != 0 || static_cast<uint64_t>(offset) == header;
    if (offset < 0 || static_cast<uint64_t>(offset) < before ||
        static_cast<uint64_t>(offset) > bytes.size() || !first_fits) {
      problems.Add("string {} begins at {} of {} bytes", i, offset,
                   bytes.size());
      return;
    }
    before = static_cast<uint64_t>(offset);
  }
  if (before != bytes.size()) {
    problems.Add("strings end at {} of {} bytes", before, bytes.size());
  }
}

// One traversed dim in CSR form, below `parents` positions. Returns the number
// of positions it makes, or nothing after a problem.
std::optional<uint64_t> CsrPositions(const SparseDimension& dimension,
                                     uint64_t parents, int64_t size,
                                     Problems& problems) {
  const auto& segments = dimension.segments;
  const auto& indices = dimension.indices;
  const bool fits = segments.size() == parents + 1 && segments.front() == 0 &&
                    std::ranges::is_sorted(segments) &&
                    static_cast<size_t>(segments.back()) == indices.size();
  if (!fits) {
    problems.Add("sparse segments do not fit {} indices below {} positions",
                 indices.size(), parents);
    return std::nullopt;
  }
  for (const int32_t index : indices) {
    if (index < 0 || index >= size) {
      problems.Add("sparse index {} in a dim of {}", index, size);
      return std::nullopt;
    }
  }
  return indices.size();
}

// Returns the number of stored values, or nothing after a problem.
std::optional<uint64_t> SparseCount(const Tensor& tensor, Problems& problems) {
  const Sparsity& sparsity = *tensor.sparsity;
  const size_t rank = tensor.shape.size();
  const size_t blocks = sparsity.block_map.size();
  const size_t dims = rank + blocks;
  if (blocks > rank || sparsity.dimensions.size() != dims ||
      sparsity.traversal_order.size() != dims) {
    problems.Add("{} sparse dims, {} in order and {} blocks for shape {}",
                 sparsity.dimensions.size(), sparsity.traversal_order.size(),
                 blocks, ToString(tensor.shape));
    return std::nullopt;
  }
  std::vector<bool> seen(dims, false);
  for (const int32_t dim : sparsity.traversal_order) {
    if (dim < 0 || static_cast<size_t>(dim) >= dims || seen[dim]) {
      problems.Add("the sparse traversal order is no permutation");
      return std::nullopt;
    }
    seen[dim] = true;
  }
  // Sizes of the traversed dims: blocks are stored dense, with their size.
  std::vector<int64_t> sizes(tensor.shape.begin(), tensor.shape.end());
  sizes.resize(dims, 0);
  for (size_t i = 0; i < dims; ++i) {
    const auto dim = static_cast<size_t>(sparsity.traversal_order[i]);
    if (dim < rank) continue;
    const int32_t mapped = sparsity.block_map[dim - rank];
    const SparseDimension& dimension = sparsity.dimensions[i];
    if (mapped < 0 || static_cast<size_t>(mapped) >= rank ||
        dimension.format != 0 || dimension.dense_size < 1 ||
        sizes[mapped] % dimension.dense_size != 0) {
      problems.Add("sparse block {} of size {} on dim {}", dim - rank,
                   dimension.dense_size, mapped);
      return std::nullopt;
    }
    sizes[mapped] /= dimension.dense_size;
    sizes[dim] = dimension.dense_size;
  }
  uint64_t positions = 1;
  for (size_t i = 0; i < dims; ++i) {
    const SparseDimension& dimension = sparsity.dimensions[i];
    const int64_t size = sizes[sparsity.traversal_order[i]];
    if (dimension.format == 1) {
      const auto made = CsrPositions(dimension, positions, size, problems);
      if (!made) return std::nullopt;
      positions = *made;
    } else if (dimension.format != 0 || dimension.dense_size != size) {
      problems.Add("sparse dim {} of size {}, format {}; {} is needed", i,
                   dimension.dense_size, dimension.format, size);
      return std::nullopt;
    } else if (size != 0 &&
               positions > kMostBytes / static_cast<uint64_t>(size)) {
      problems.Add("sparse data is too large");
      return std::nullopt;
    } else {
      positions *= static_cast<uint64_t>(size);
    }
  }
  return positions;
}

void VerifyBytes(const Graph& graph, const Tensor& tensor, Problems& problems) {
  const Buffer& buffer = graph.BufferOf(tensor);
  std::optional<uint64_t> stored;
  if (tensor.sparsity) {
    stored = SparseCount(tensor, problems);
    if (!stored) return;
  }
  if (buffer.empty()) return;
  switch (tensor.type) {
    case Type::kResource:
    case Type::kVariant:
      problems.Add("a {} cannot be constant", Name(tensor.type));
      return;
    case Type::kString:
      // What is produced later is the producer's word.
      if (!buffer.produce) VerifyStrings(tensor, buffer.bytes, problems);
      return;
    default:
      break;
  }
  if (tensor.is_variable) problems.Add("a variable cannot have data");
  const uint64_t bits = BitsPerElement(tensor.type);
  const uint64_t needed =
      stored ? (*stored * bits + 7) / 8 : ByteCount(tensor.type, tensor.shape);
  if (buffer.size() != needed) {
    problems.Add("{} bytes of data; {}{} has {}", buffer.size(),
                 Name(tensor.type), ToString(tensor.shape), needed);
  }
}

// Lowest and highest number of a quantized type; nothing for other types.
struct Limits {
  int64_t lowest, highest;
};
std::optional<Limits> LimitsOf(Type type) {
  switch (type) {
    case Type::kInt8:
      return Limits{INT8_MIN, INT8_MAX};
    case Type::kUint8:
      return Limits{0, UINT8_MAX};
    case Type::kInt16:
      return Limits{INT16_MIN, INT16_MAX};
    case Type::kUint16:
      return Limits{0, UINT16_MAX};
    case Type::kInt32:
      return Limits{INT32_MIN, INT32_MAX};
    case Type::kInt64:
      return Limits{INT64_MIN, INT64_MAX};
    case Type::kInt4:
      return Limits{-8, 7};
    case Type::kUint4:
      return Limits{0, 15};
    case Type::kInt2:
      return Limits{-2, 1};
    default:
      return std::nullopt;
  }
}

void VerifyScales(const Tensor& tensor, const Quantization& q,
                  Problems& problems) {
  // Floats sometimes carry leftovers, which nobody reads.
  const auto limits = LimitsOf(tensor.type);
  if (!limits) return;
  const size_t count = q.scale.size();
  const size_t zeros = q.zero_point.size();
  if (zeros != count && zeros > 1) {
    problems.Add("{} scales but {} zero points", count, zeros);
  }
  if (count > 1) {
    const size_t rank = tensor.shape.size();
    // Biases are tolerated with the axis of their weights: nobody reads it.
    const auto axis = rank == 1 ? 0 : static_cast<size_t>(q.axis);
    if (axis >= rank || static_cast<size_t>(tensor.shape[axis]) != count) {
      problems.Add("{} scales along axis {} of {}", count, q.axis,
                   ToString(tensor.shape));
    }
  }
  for (const float scale : q.scale) {
    if (!std::isfinite(scale) || scale <= 0) {
      problems.Add("scale {}; must be above 0", scale);
      break;
    }
  }
  for (const int64_t zero : q.zero_point) {
    if (zero < limits->lowest || zero > limits->highest) {
      problems.Add("zero point {}; {} allows {} to {}", zero, Name(tensor.type),
                   limits->lowest, limits->highest);
      break;
    }
  }
}

void VerifyDetails(const Subgraph& subgraph, const Tensor& tensor,
                   const Quantization& q, Problems& problems) {
  using Details = Quantization::Details;
  if (q.details != Details::kBlockwise && q.details != Details::kMultiAxis) {
    return;
  }
  if (!IsTensor(subgraph, q.scales_tensor)) {
    problems.Add("scales are tensor {}; there are {}", q.scales_tensor,
                 subgraph.tensors.size());
  }
  if (q.zero_points_tensor != kNoTensor &&
      !IsTensor(subgraph, q.zero_points_tensor)) {
    problems.Add("zero points are tensor {}; there are {}",
                 q.zero_points_tensor, subgraph.tensors.size());
  }
  if (q.details == Details::kMultiAxis) {
    for (const int32_t axis : q.axes) {
      if (axis < 0 || static_cast<size_t>(axis) >= tensor.shape.size()) {
        problems.Add("quantized axis {} of {}", axis, ToString(tensor.shape));
      }
    }
    if (q.block_size < 0) problems.Add("block size {}", q.block_size);
    return;
  }
  if (q.block_size < 1 || tensor.shape.empty() ||
      tensor.shape.back() % q.block_size != 0) {
    problems.Add(
        "block size {}; it must be above 0 and divide the last axis "
        "of {}",
        q.block_size, ToString(tensor.shape));
  }
}

void VerifySignature(const Tensor& tensor, Problems& problems) {
  if (tensor.shape_signature.empty()) return;
  bool fits = tensor.shape_signature.size() == tensor.shape.size();
  for (size_t i = 0; fits && i < tensor.shape.size(); ++i) {
    fits = tensor.shape_signature[i] >= -1;
  }
  if (!fits) {
    problems.Add("shape {} with signature {}", ToString(tensor.shape),
                 ToString(tensor.shape_signature));
  }
}

}  // namespace

void VerifyTensor(const Graph& graph, const Subgraph& subgraph,
                  const Tensor& tensor, Problems& problems) {
  if (static_cast<size_t>(tensor.type) >
      static_cast<size_t>(Type::kFloat8E5m2)) {
    problems.Add("type {}", static_cast<int>(tensor.type));
  }
  if (tensor.shape.size() > kMaxRank) {
    problems.Add("rank {}, limit {}", tensor.shape.size(), kMaxRank);
    return;
  }
  if (std::ranges::any_of(tensor.shape, [](int32_t dim) { return dim < 0; }) ||
      !OffsetsFit(tensor.shape)) {
    problems.Add("shape {}; dims must not be negative, bytes below 2^62",
                 ToString(tensor.shape));
    return;
  }
  VerifySignature(tensor, problems);
  if (tensor.buffer >= graph.buffers.size()) {
    problems.Add("buffer {}; there are {}", tensor.buffer,
                 graph.buffers.size());
    return;
  }
  if (tensor.external_buffer != 0 &&
      std::ranges::find(graph.external_buffers, tensor.external_buffer,
                        &ExternalBuffer::id) == graph.external_buffers.end()) {
    problems.Add("external buffer {} is not declared", tensor.external_buffer);
  }
  VerifyBytes(graph, tensor, problems);
  if (tensor.quantization) {
    VerifyScales(tensor, *tensor.quantization, problems);
    VerifyDetails(subgraph, tensor, *tensor.quantization, problems);
  }
}

}  // namespace lathe::graph

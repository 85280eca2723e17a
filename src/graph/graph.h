// The one intermediate representation: what is computed, and on which
// constants.
//
// Operators and their options are those of the .tflite format, with the same
// meaning (NHWC, row-major), so reading and writing are direct.
// Comes after: format/ and import/, which make graphs from files.
// Comes before: passes/ (graph to graph) and plan/ (graph to steps).

#ifndef LATHE_GRAPH_GRAPH_H_
#define LATHE_GRAPH_GRAPH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/result.h"
#include "src/graph/op_code.h"
#include "src/graph/regions.h"

namespace lathe::graph {

// Numbers are the format's TensorType.
enum class Type : uint8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt32 = 2,
  kUint8 = 3,
  kInt64 = 4,
  kString = 5,
  kBool = 6,
  kInt16 = 7,
  kComplex64 = 8,
  kInt8 = 9,
  kFloat64 = 10,
  kComplex128 = 11,
  kUint64 = 12,
  kResource = 13,
  kVariant = 14,
  kUint32 = 15,
  kUint16 = 16,
  kInt4 = 17,
  kBfloat16 = 18,
  kInt2 = 19,
  kUint4 = 20,
  kFloat8E4m3fn = 21,
  kFloat8E5m2 = 22,
};

std::string_view Name(Type type);  // "float32"
std::optional<Type> TypeNamed(std::string_view name);
// Bits of one element; 0 for string, resource and variant.
size_t BitsPerElement(Type type);

// At most kMaxRank non-negative dims (-1 never stands here).
using Shape = std::vector<int32_t>;
inline constexpr size_t kMaxRank = 16;

// Product of the dims; 1 for a scalar. The verifier bounds it below 2^62 bytes.
uint64_t ElementCount(std::span<const int32_t> shape);
// Bytes of a tensor that is not a string; sub-byte types are packed.
uint64_t ByteCount(Type type, std::span<const int32_t> shape);
// Whether offsets into a tensor of the shape fit 62 bits, for the widest
// element and with empty dims counted as 1: strides of an empty tensor are
// computed too.
bool OffsetsFit(std::span<const int32_t> shape);
std::string ToString(std::span<const int32_t> shape);  // "[1,2,3]"

// Bytes of a constant. Either they are there (mapped from a file or on the
// heap; `owner` keeps them alive), or `produce` makes them when a writer asks,
// one buffer at a time, so that converting streams.
struct Buffer {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  // Fills exactly `produced_bytes` bytes. May be called more than once.
  std::function<Status(std::span<std::byte>)> produce;
  uint64_t produced_bytes = 0;

  uint64_t size() const { return produce ? produced_bytes : bytes.size(); }
  bool empty() const { return size() == 0; }
};

// Makes a buffer that owns a copy of the values.
Buffer MakeBuffer(std::span<const std::byte> bytes);

// real = scale * (q - zero_point). One scale for the tensor, or one per index
// of `axis`. Blockwise: `scales_tensor` etc. name tensors of the subgraph.
struct Quantization {
  std::vector<float> min, max;  // Advisory leftovers; kept for round trips.
  std::vector<float> scale;
  std::vector<int64_t> zero_point;
  int32_t axis = 0;

  enum class Details : uint8_t { kNone, kCustom, kBlockwise, kMultiAxis };
  Details details = Details::kNone;
  std::vector<uint8_t> custom;
  int32_t scales_tensor = 0;
  int32_t zero_points_tensor = 0;
  int32_t block_size = 0;
  std::vector<int32_t> axes;  // kMultiAxis

  bool operator==(const Quantization& other) const;  // Floats by their bits.
};

// The format's sparse storage, kept as it is stored.
struct SparseDimension {
  uint8_t format = 0;  // 0 dense, 1 CSR
  int32_t dense_size = 0;
  uint8_t segments_type = 0, indices_type = 0;  // Union tags of the file.
  std::vector<int32_t> segments, indices;
  bool operator==(const SparseDimension&) const = default;
};
struct Sparsity {
  std::vector<int32_t> traversal_order, block_map;
  std::vector<SparseDimension> dimensions;
  bool operator==(const Sparsity&) const = default;
};

struct VariantSubType {
  Shape shape;
  Type type = Type::kFloat32;
  bool has_rank = false;
  bool operator==(const VariantSubType&) const = default;
};

struct Tensor {
  std::string name;
  Type type = Type::kFloat32;
  Shape shape;
  // Empty, or as long as shape with -1 for dims that a caller may resize.
  std::vector<int32_t> shape_signature;
  bool has_rank = false;
  bool is_variable = false;
  uint32_t buffer = 0;           // Index into Graph::buffers; 0 is empty.
  uint32_t external_buffer = 0;  // Id of an ExternalBuffer; 0 is none.
  std::optional<Quantization> quantization;
  std::optional<Sparsity> sparsity;
  std::vector<VariantSubType> variant_types;
};

// One field of an operator's options, by its name in the format's schema.
// Enums are integers; vectors of integers of any width are int64.
using AttributeValue =
    std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                 std::vector<double>, std::vector<uint8_t>, std::vector<bool>>;
struct Attribute {
  std::string name;
  AttributeValue value;
  bool operator==(const Attribute& other) const;  // Floats by their bits.
};

// An options table. Only fields that differ from the schema's default are
// listed, in the schema's order; a getter is told the default.
struct Options {
  std::string table;  // "Conv2DOptions"; empty: the file stores none.
  std::vector<Attribute> fields;

  int64_t Int(std::string_view name, int64_t otherwise = 0) const;
  bool Bool(std::string_view name, bool otherwise = false) const;
  double Float(std::string_view name, double otherwise = 0) const;
  std::string Text(std::string_view name) const;
  std::vector<int64_t> Ints(std::string_view name) const;
  const AttributeValue* Find(std::string_view name) const;

  bool operator==(const Options&) const = default;
};

inline constexpr int32_t kNoTensor = -1;  // An optional input left out.

struct Op {
  OpCode code = OpCode::kAdd;
  int32_t version = 1;
  std::string custom_name;  // Only for OpCode::kCustom.
  std::vector<int32_t> inputs, outputs, intermediates;  // Tensor indices.
  Options options;
  std::vector<uint8_t> custom_options;
  std::vector<bool> mutating_variable_inputs;
  int32_t debug_metadata_index = -1;
};

// Operators stand in an order in which they can run; each tensor has at most
// one writer.
struct Subgraph {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<Op> ops;
  int32_t debug_metadata_index = -1;
  std::vector<Region> regions;  // Marked by passes; never written to a file.
};

// Maps a signature's own names to tensors.
struct NamedTensor {
  std::string name;
  uint32_t tensor = 0;
  bool operator==(const NamedTensor&) const = default;
};
struct Signature {
  std::string key;
  uint32_t subgraph = 0;
  std::vector<NamedTensor> inputs, outputs;
  bool operator==(const Signature&) const = default;
};

struct Metadata {
  std::string name;
  uint32_t buffer = 0;
  bool operator==(const Metadata&) const = default;
};

struct ExternalBuffer {
  uint32_t id = 0, group = 0;
  uint64_t offset = 0, length = 0;
  std::string packing;
  bool operator==(const ExternalBuffer&) const = default;
};

struct Graph {
  std::string description;
  std::vector<Subgraph> subgraphs;
  std::vector<Buffer> buffers;  // buffers[0] is the empty one.
  std::vector<Signature> signatures;
  std::vector<Metadata> metadata;
  std::vector<int32_t> metadata_buffers;  // The format's old list.
  std::vector<std::string> external_buffer_groups;
  std::vector<ExternalBuffer> external_buffers;

  // A graph with the empty buffer and no subgraph.
  static Graph Empty();

  const Buffer& BufferOf(const Tensor& tensor) const {
    return buffers[tensor.buffer];
  }
  // Whether the tensor's value is stored in the graph.
  bool IsConstant(const Tensor& tensor) const {
    return !BufferOf(tensor).empty() || tensor.external_buffer != 0;
  }
};

// Equality of everything a file stores, constant bytes included; regions and
// the order of buffers do not count (tensors are compared by the bytes they
// refer to). Empty when equal; else one line that names the first difference.
std::string FirstDifference(const Graph& a, const Graph& b);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_GRAPH_H_

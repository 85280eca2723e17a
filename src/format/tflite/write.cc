// Writes a graph as a .tflite file.
//
// First the structure, in which each buffer refers to an empty vector; then the
// constants, one by one, behind it. The references are turned to them before
// the structure is written. All of it together is one valid FlatBuffer, as
// every reference still points forward.

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <tuple>

#include "flatbuffers/flatbuffers.h"
#include "src/format/tflite/options.h"
#include "src/format/tflite/schema_generated.h"
#include "src/format/tflite/sink.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/verify.h"

namespace lathe::format {
namespace {

using flatbuffers::Offset;
using flatbuffers::Vector;
using graph::Graph;
using graph::Op;
using graph::Subgraph;
using graph::Tensor;

constexpr uint64_t kDataAlignment = 16;
// A FlatBuffer ends below 2 GiB: offsets inside have 31 bits.
constexpr uint64_t kLargestFlatBuffer = FLATBUFFERS_MAX_BUFFER_SIZE - 1;
// What the builder may hold without growing beyond that limit, which it treats
// as our own mistake: custom options are the only large part.
constexpr uint64_t kLargestStructure = uint64_t{1} << 30;
// Any offset but 0 and 1; overwritten before the structure is written.
constexpr uint64_t kPlaceholder = 2;

uint64_t AlignUp(uint64_t at, uint64_t alignment) {
  return (at + alignment - 1) / alignment * alignment;
}

// Where one buffer's bytes stand.
struct Placed {
  const graph::Buffer* buffer;
  uint64_t position;  // Of the first byte, from the start of the file.
};

class Writer {
 public:
  explicit Writer(const Graph& graph) : graph_(graph) {}

  Status Write(Sink& sink, StopToken stop) {
    LATHE_TRY(graph::Verify(graph_));
    ChooseBuffers();
    LATHE_TRY(CheckStructureSize());
    // Whether all fits into one FlatBuffer is known only when the structure's
    // size is.
    LATHE_TRY(Build(/*inside=*/true));
    if (Place() > kLargestFlatBuffer) {
      LATHE_TRY(Build(/*inside=*/false));
      Place();
    }
    Patch();
    LATHE_TRY(sink.Write(std::as_bytes(
        std::span(builder_.GetBufferPointer(), builder_.GetSize()))));
    return WriteConstants(sink, stop);
  }

 private:
  // Only buffers that something refers to are written. buffers[0] stays first
  // and empty.
  void ChooseBuffers() {
    std::vector<bool> used(graph_.buffers.size(), false);
    for (const Subgraph& subgraph : graph_.subgraphs) {
      for (const Tensor& tensor : subgraph.tensors) used[tensor.buffer] = true;
    }
    for (const graph::Metadata& metadata : graph_.metadata) {
      used[metadata.buffer] = true;
    }
    for (const int32_t buffer : graph_.metadata_buffers) used[buffer] = true;
    new_index_.assign(graph_.buffers.size(), 0);
    chosen_ = {&graph_.buffers[0]};
    for (size_t i = 1; i < graph_.buffers.size(); ++i) {
      // An empty buffer says the same as the first.
      if (!used[i] || graph_.buffers[i].empty()) continue;
      new_index_[i] = static_cast<uint32_t>(chosen_.size());
      chosen_.push_back(&graph_.buffers[i]);
    }
  }

  Status CheckStructureSize() const {
    uint64_t bytes = 0;
    for (const Subgraph& subgraph : graph_.subgraphs) {
      for (const Op& op : subgraph.ops) bytes += op.custom_options.size();
    }
    if (bytes <= kLargestStructure) return {};
    return Unsupported("custom options of {} bytes together, limit {}", bytes,
                       kLargestStructure);
  }

  Status Build(bool inside) {
    inside_ = inside;
    builder_.Clear();
    code_of_.clear();
    codes_.clear();
    const auto buffers = Buffers();
    std::vector<Offset<schema::SubGraph>> subgraphs;
    for (const Subgraph& subgraph : graph_.subgraphs) {
      LATHE_ASSIGN(const auto made, AddSubgraph(subgraph));
      subgraphs.push_back(made);
    }
    const auto subgraph_list = builder_.CreateVector(subgraphs);
    const auto codes = builder_.CreateVector(codes_);
    const auto description = TextOrNone(graph_.description);
    const auto metadata_buffers = MetadataBuffers();
    const auto metadata = MetadataList();
    const auto signatures = Signatures();
    const auto groups = ExternalGroups();
    const auto externals = ExternalBuffers();
    schema::ModelBuilder model(builder_);
    model.add_version(3);
    model.add_operator_codes(codes);
    model.add_subgraphs(subgraph_list);
    model.add_description(description);
    model.add_buffers(buffers);
    model.add_metadata_buffer(metadata_buffers);
    model.add_metadata(metadata);
    model.add_signature_defs(signatures);
    model.add_external_buffer_groups(groups);
    model.add_external_buffers(externals);
    schema::FinishModelBuffer(builder_, model.Finish());
    return {};
  }

  template <typename T>
  Offset<Vector<T>> ListOrNone(const std::vector<T>& values) {
    return values.empty() ? Offset<Vector<T>>() : builder_.CreateVector(values);
  }
  template <typename T>
  Offset<Vector<Offset<T>>> ListOrNone(const std::vector<Offset<T>>& values) {
    return values.empty() ? Offset<Vector<Offset<T>>>()
                          : builder_.CreateVector(values);
  }
  Offset<flatbuffers::String> TextOrNone(const std::string& text) {
    return text.empty() ? Offset<flatbuffers::String>()
                        : builder_.CreateString(text);
  }

  Offset<Vector<Offset<schema::Buffer>>> Buffers() {
    const auto placeholder = builder_.CreateVector(std::vector<uint8_t>());
    std::vector<Offset<schema::Buffer>> tables;
    for (const graph::Buffer* buffer : chosen_) {
      if (buffer->empty()) {
        tables.push_back(schema::CreateBuffer(builder_));
      } else if (inside_) {
        tables.push_back(schema::CreateBuffer(builder_, placeholder));
      } else {
        tables.push_back(
            schema::CreateBuffer(builder_, 0, kPlaceholder, buffer->size()));
      }
    }
    return builder_.CreateVector(tables);
  }

  Result<Offset<schema::SubGraph>> AddSubgraph(const Subgraph& subgraph) {
    std::vector<Offset<schema::Tensor>> tensors;
    for (const Tensor& tensor : subgraph.tensors) {
      tensors.push_back(AddTensor(tensor));
    }
    std::vector<Offset<schema::Operator>> operators;
    for (size_t i = 0; i < subgraph.ops.size(); ++i) {
      auto made = AddOperator(subgraph.ops[i]);
      if (!made) {
        return Fail(made.error().code, "operator {} {}: {}", i,
                    graph::Name(subgraph.ops[i].code), made.error().message);
      }
      operators.push_back(*made);
    }
    const auto tensor_list = builder_.CreateVector(tensors);
    const auto inputs = builder_.CreateVector(subgraph.inputs);
    const auto outputs = builder_.CreateVector(subgraph.outputs);
    const auto operator_list = builder_.CreateVector(operators);
    const auto name = TextOrNone(subgraph.name);
    return schema::CreateSubGraph(builder_, tensor_list, inputs, outputs,
                                  operator_list, name,
                                  subgraph.debug_metadata_index);
  }

  Offset<schema::Tensor> AddTensor(const Tensor& tensor) {
    Offset<schema::QuantizationParameters> quantization;
    if (tensor.quantization)
      quantization = AddQuantization(*tensor.quantization);
    Offset<schema::SparsityParameters> sparsity;
    if (tensor.sparsity) sparsity = AddSparsity(*tensor.sparsity);
    std::vector<Offset<schema::VariantSubType>> variants;
    for (const graph::VariantSubType& one : tensor.variant_types) {
      const auto shape = builder_.CreateVector(one.shape);
      variants.push_back(schema::CreateVariantSubType(
          builder_, shape, TypeOf(one.type), one.has_rank));
    }
    const auto variant_list = ListOrNone(variants);
    const auto name = TextOrNone(tensor.name);
    const auto shape = builder_.CreateVector(tensor.shape);
    const auto signature = ListOrNone(tensor.shape_signature);
    schema::TensorBuilder table(builder_);
    table.add_shape(shape);
    table.add_type(TypeOf(tensor.type));
    table.add_buffer(new_index_[tensor.buffer]);
    table.add_name(name);
    table.add_quantization(quantization);
    table.add_is_variable(tensor.is_variable);
    table.add_sparsity(sparsity);
    table.add_shape_signature(signature);
    table.add_has_rank(tensor.has_rank);
    table.add_variant_tensors(variant_list);
    table.add_external_buffer(tensor.external_buffer);
    return table.Finish();
  }

  static schema::TensorType TypeOf(graph::Type type) {
    return static_cast<schema::TensorType>(type);
  }

  Offset<schema::QuantizationParameters> AddQuantization(
      const graph::Quantization& q) {
    using Details = graph::Quantization::Details;
    auto kind = schema::QuantizationDetails_NONE;
    Offset<void> details;
    switch (q.details) {
      case Details::kNone:
        break;
      case Details::kCustom: {
        builder_.ForceVectorAlignment(q.custom.size(), 1, kDataAlignment);
        const auto custom = builder_.CreateVector(q.custom);
        details = schema::CreateCustomQuantization(builder_, custom).Union();
        kind = schema::QuantizationDetails_CustomQuantization;
        break;
      }
      case Details::kBlockwise:
        details =
            schema::CreateBlockwiseQuantization(
                builder_, q.scales_tensor, q.zero_points_tensor, q.block_size)
                .Union();
        kind = schema::QuantizationDetails_BlockwiseQuantization;
        break;
      case Details::kMultiAxis: {
        const auto axes = ListOrNone(q.axes);
        details = schema::CreateMultiAxisQuantization(builder_, q.scales_tensor,
                                                      q.zero_points_tensor,
                                                      q.block_size, axes)
                      .Union();
        kind = schema::QuantizationDetails_MultiAxisQuantization;
        break;
      }
    }
    const auto min = ListOrNone(q.min), max = ListOrNone(q.max);
    const auto scale = ListOrNone(q.scale);
    const auto zero_point = ListOrNone(q.zero_point);
    return schema::CreateQuantizationParameters(
        builder_, min, max, scale, zero_point, kind, details, q.axis);
  }

  // Values were read from the width that `kind` names, so they fit it.
  Offset<void> AddIndices(uint8_t kind, const std::vector<int32_t>& values) {
    switch (kind) {
      case schema::SparseIndexVector_Int32Vector: {
        const auto list = builder_.CreateVector(values);
        return schema::CreateInt32Vector(builder_, list).Union();
      }
      case schema::SparseIndexVector_Uint16Vector: {
        const std::vector<uint16_t> narrow(values.begin(), values.end());
        builder_.ForceVectorAlignment(narrow.size(), sizeof(uint16_t), 4);
        const auto list = builder_.CreateVector(narrow);
        return schema::CreateUint16Vector(builder_, list).Union();
      }
      case schema::SparseIndexVector_Uint8Vector: {
        const std::vector<uint8_t> narrow(values.begin(), values.end());
        builder_.ForceVectorAlignment(narrow.size(), 1, 4);
        const auto list = builder_.CreateVector(narrow);
        return schema::CreateUint8Vector(builder_, list).Union();
      }
      default:
        return {};
    }
  }

  Offset<schema::SparsityParameters> AddSparsity(const graph::Sparsity& s) {
    std::vector<Offset<schema::DimensionMetadata>> dimensions;
    for (const graph::SparseDimension& one : s.dimensions) {
      const auto segments = AddIndices(one.segments_type, one.segments);
      const auto indices = AddIndices(one.indices_type, one.indices);
      dimensions.push_back(schema::CreateDimensionMetadata(
          builder_, static_cast<schema::DimensionType>(one.format),
          one.dense_size,
          static_cast<schema::SparseIndexVector>(one.segments_type), segments,
          static_cast<schema::SparseIndexVector>(one.indices_type), indices));
    }
    const auto order = ListOrNone(s.traversal_order);
    const auto blocks = ListOrNone(s.block_map);
    const auto dimension_list = builder_.CreateVector(dimensions);
    return schema::CreateSparsityParameters(builder_, order, blocks,
                                            dimension_list);
  }

  // The number of (operator, version, custom name) in the file's table.
  uint32_t CodeOf(const Op& op) {
    const auto key = std::tuple(op.code, op.version, op.custom_name);
    const auto [place, is_new] =
        code_of_.try_emplace(key, static_cast<uint32_t>(codes_.size()));
    if (is_new) {
      const auto number = static_cast<int32_t>(op.code);
      // The old field ends at 127, which says "see the new one".
      const auto old_number = static_cast<int8_t>(std::min(number, 127));
      const auto name = TextOrNone(op.custom_name);
      codes_.push_back(schema::CreateOperatorCode(
          builder_, old_number, name, op.version,
          static_cast<schema::BuiltinOperator>(number)));
    }
    return place->second;
  }

  Result<Offset<schema::Operator>> AddOperator(const Op& op) {
    Offset<void> options;
    OptionsPlace place;
    if (!op.options.table.empty()) {
      const std::string_view expected = graph::FactsOf(op.code).options;
      if (op.options.table != expected) {
        return Invalid("options {}; the operator takes {}", op.options.table,
                       expected.empty() ? "none" : expected);
      }
      LATHE_ASSIGN(options, WriteOptions(builder_, op.options));
      place = *PlaceOfOptions(op.options.table);
    }
    const uint32_t code = CodeOf(op);
    const auto inputs = builder_.CreateVector(op.inputs);
    const auto outputs = builder_.CreateVector(op.outputs);
    const auto intermediates = ListOrNone(op.intermediates);
    const auto custom_options = ListOrNone(op.custom_options);
    const auto mutating =
        ListOrNone(std::vector<uint8_t>(op.mutating_variable_inputs.begin(),
                                        op.mutating_variable_inputs.end()));
    schema::OperatorBuilder table(builder_);
    table.add_opcode_index(code);
    table.add_inputs(inputs);
    table.add_outputs(outputs);
    if (place.second) {
      table.add_builtin_options_2_type(
          static_cast<schema::BuiltinOptions2>(place.tag));
      table.add_builtin_options_2(options);
    } else {
      table.add_builtin_options_type(
          static_cast<schema::BuiltinOptions>(place.tag));
      table.add_builtin_options(options);
    }
    table.add_custom_options(custom_options);
    table.add_mutating_variable_inputs(mutating);
    table.add_intermediates(intermediates);
    table.add_debug_metadata_index(op.debug_metadata_index);
    return table.Finish();
  }

  Offset<Vector<int32_t>> MetadataBuffers() {
    std::vector<int32_t> indices;
    for (const int32_t buffer : graph_.metadata_buffers) {
      indices.push_back(static_cast<int32_t>(new_index_[buffer]));
    }
    return ListOrNone(indices);
  }

  Offset<Vector<Offset<schema::Metadata>>> MetadataList() {
    std::vector<Offset<schema::Metadata>> tables;
    for (const graph::Metadata& metadata : graph_.metadata) {
      const auto name = TextOrNone(metadata.name);
      tables.push_back(
          schema::CreateMetadata(builder_, name, new_index_[metadata.buffer]));
    }
    return ListOrNone(tables);
  }

  Offset<Vector<Offset<schema::TensorMap>>> Names(
      const std::vector<graph::NamedTensor>& names) {
    std::vector<Offset<schema::TensorMap>> tables;
    for (const graph::NamedTensor& one : names) {
      const auto name = TextOrNone(one.name);
      tables.push_back(schema::CreateTensorMap(builder_, name, one.tensor));
    }
    return builder_.CreateVector(tables);
  }

  Offset<Vector<Offset<schema::SignatureDef>>> Signatures() {
    std::vector<Offset<schema::SignatureDef>> tables;
    for (const graph::Signature& signature : graph_.signatures) {
      const auto inputs = Names(signature.inputs);
      const auto outputs = Names(signature.outputs);
      const auto key = builder_.CreateString(signature.key);
      tables.push_back(schema::CreateSignatureDef(builder_, inputs, outputs,
                                                  key, signature.subgraph));
    }
    return ListOrNone(tables);
  }

  Offset<Vector<Offset<schema::ExternalBufferGroup>>> ExternalGroups() {
    std::vector<Offset<schema::ExternalBufferGroup>> tables;
    for (const std::string& name : graph_.external_buffer_groups) {
      const auto text = TextOrNone(name);
      tables.push_back(schema::CreateExternalBufferGroup(builder_, text));
    }
    return ListOrNone(tables);
  }

  Offset<Vector<Offset<schema::ExternalBuffer>>> ExternalBuffers() {
    std::vector<Offset<schema::ExternalBuffer>> tables;
    for (const graph::ExternalBuffer& one : graph_.external_buffers) {
      const auto packing = TextOrNone(one.packing);
      tables.push_back(schema::CreateExternalBuffer(
          builder_, one.id, one.group, one.offset, one.length, packing));
    }
    return ListOrNone(tables);
  }

  // Gives each constant its place behind the structure; returns the file's
  // size. Inside a FlatBuffer, four bytes of length stand before the first
  // byte.
  uint64_t Place() {
    placed_.clear();
    uint64_t end = builder_.GetSize();
    for (const graph::Buffer* buffer : chosen_) {
      if (buffer->empty()) continue;
      const uint64_t length = inside_ ? sizeof(uint32_t) : 0;
      const uint64_t position = AlignUp(end + length, kDataAlignment);
      placed_.push_back({buffer, position});
      end = position + buffer->size();
    }
    return end;
  }

  // Turns the placeholders to the constants' places.
  void Patch() {
    uint8_t* file = builder_.GetBufferPointer();
    auto* model = flatbuffers::GetMutableRoot<schema::Model>(file);
    auto placed = placed_.begin();
    for (const auto* stored : *model->buffers()) {
      const auto* table = reinterpret_cast<const flatbuffers::Table*>(stored);
      const auto slot_at = [&](flatbuffers::voffset_t field) -> uint8_t* {
        const auto offset = table->GetOptionalFieldOffset(field);
        const auto* base = reinterpret_cast<const uint8_t*>(table);
        return offset == 0 ? nullptr : file + (base - file) + offset;
      };
      uint8_t* data = slot_at(schema::Buffer::VT_DATA);
      uint8_t* offset = slot_at(schema::Buffer::VT_OFFSET);
      if (data == nullptr && offset == nullptr) continue;
      const uint64_t position = (placed++)->position;
      if (data != nullptr) {
        // From the reference to the vector's length.
        const uint64_t distance =
            position - sizeof(uint32_t) - static_cast<uint64_t>(data - file);
        flatbuffers::WriteScalar(data,
                                 static_cast<flatbuffers::uoffset_t>(distance));
      } else {
        flatbuffers::WriteScalar(offset, position);
      }
    }
  }

  Status WriteConstants(Sink& sink, StopToken stop) {
    uint64_t at = builder_.GetSize();
    for (const Placed& one : placed_) {
      if (Stopped(stop)) {
        return Fail(ErrorCode::kInterrupted, "interrupted while writing");
      }
      const uint64_t length = inside_ ? sizeof(uint32_t) : 0;
      std::byte head[kDataAlignment + sizeof(uint32_t)] = {};
      const auto head_bytes = static_cast<size_t>(one.position - at);
      if (inside_) {
        const auto count = static_cast<uint32_t>(one.buffer->size());
        std::memcpy(head + head_bytes - length, &count, sizeof(count));
      }
      LATHE_TRY(sink.Write(std::span(head).first(head_bytes)));
      LATHE_TRY(WriteBytes(sink, *one.buffer));
      at = one.position + one.buffer->size();
    }
    return {};
  }

  static Status WriteBytes(Sink& sink, const graph::Buffer& buffer) {
    if (!buffer.produce) return sink.Write(buffer.bytes);
    try {
      std::vector<std::byte> made(buffer.produced_bytes);
      LATHE_TRY(buffer.produce(made));
      return sink.Write(made);
    } catch (const std::bad_alloc&) {
      return SystemError("not enough memory for a constant of {} bytes",
                         buffer.produced_bytes);
    }
  }

  const Graph& graph_;
  flatbuffers::FlatBufferBuilder builder_;
  bool inside_ = true;
  std::vector<const graph::Buffer*> chosen_;
  std::vector<uint32_t> new_index_;  // By the graph's index.
  std::vector<Placed> placed_;       // Buffers of chosen_ that are not empty.
  std::map<std::tuple<graph::OpCode, int32_t, std::string>, uint32_t> code_of_;
  std::vector<Offset<schema::OperatorCode>> codes_;
};

}  // namespace

Status WriteTflite(const Graph& graph, const std::string& path,
                   StopToken stop) {
  FileSink sink(path);
  LATHE_TRY(sink.Open());
  auto written = Writer(graph).Write(sink, stop);
  if (!written) {
    return Fail(written.error().code, "{}: {}", path, written.error().message);
  }
  return sink.Commit();
}

Result<std::vector<std::byte>> WriteTfliteToMemory(const Graph& graph) {
  MemorySink sink;
  LATHE_TRY(Writer(graph).Write(sink, nullptr));
  return sink.Take();
}

}  // namespace lathe::format

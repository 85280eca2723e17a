// Reads a .tflite file into a graph.

#include <algorithm>
#include <cstring>
#include <map>

#include "flatbuffers/flatbuffers.h"
#include "src/base/mapped_file.h"
#include "src/format/tflite/budget.h"
#include "src/format/tflite/options.h"
#include "src/format/tflite/schema_generated.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/verify.h"

namespace lathe::format {
namespace {

using graph::Graph;
using graph::Op;
using graph::OpCode;
using graph::Subgraph;
using graph::Tensor;
using graph::Type;

constexpr uint32_t kVersion = 3;
// FlatBuffers refuses to look at more. What lies behind (constants of models
// above 2 GiB, archives) is reached through Buffer.offset only.
constexpr size_t kLargestFlatBuffer = FLATBUFFERS_MAX_BUFFER_SIZE - 1;
constexpr size_t kMostProblems = 100;
constexpr size_t kLongestName = 64 << 10;
// Offsets 0 and 1 mean "not used".
constexpr uint64_t kFirstRealOffset = 2;

template <typename T>
size_t CountOf(const T* vector) {
  return vector == nullptr ? 0 : vector->size();
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
         ExternalFiles* external)
      : bytes_(bytes),
        owner_(std::move(owner)),
        external_(external),
        budget_(bytes.size()) {}

  Result<Graph> Read() {
    LATHE_TRY(CheckContainer());
    const schema::Model& model = *schema::GetModel(bytes_.data());
    if (model.version() != kVersion) {
      return Unsupported("version {}; allowed: {}", model.version(), kVersion);
    }
    graph_.description = Text(model.description(), "description");
    ReadOperatorCodes(model);
    ReadBuffers(model);
    ReadExternalBuffers(model);
    for (size_t i = 0; i < CountOf(model.subgraphs()); ++i) {
      ReadSubgraph(*model.subgraphs()->Get(i), i);
      if (Full()) break;
    }
    ReadSignatures(model);
    ReadMetadata(model);
    if (!problems_.empty()) {
      return Fail(only_unsupported_ ? ErrorCode::kUnsupported
                                    : ErrorCode::kInvalidInput,
                  "{}", problems_);
    }
    LATHE_TRY(graph::Verify(graph_));
    LATHE_TRY(AlignBuffers());
    return std::move(graph_);
  }

 private:
  struct Code {
    OpCode code = OpCode::kAdd;
    int32_t version = 1;
    std::string custom_name;
  };

  struct External {
    uint32_t group = 0;
    uint64_t offset = 0, length = 0;
    std::string packing;
    uint32_t buffer = 0;  // In the graph; 0 until a tensor asks for it.
  };

  template <typename... Args>
  void Problem(fmt::format_string<Args...> text, Args&&... args) {
    only_unsupported_ = false;
    Note(fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void UnsupportedThing(fmt::format_string<Args...> text, Args&&... args) {
    Note(fmt::format(text, std::forward<Args>(args)...));
  }
  void Note(const std::string& text) {
    if (++problem_count_ > kMostProblems) return;
    if (!problems_.empty()) problems_ += '\n';
    problems_ += text;
  }
  bool Full() const { return problem_count_ > kMostProblems; }

  Status CheckContainer() {
    // Root offset and identifier.
    if (bytes_.size() < 8 ||
        std::memcmp(bytes_.data() + 4, schema::ModelIdentifier(), 4) != 0) {
      return Invalid(
          "not a .tflite file: {} bytes that do not begin with 'TFL3' at 4",
          bytes_.size());
    }
    flatbuffers::Verifier verifier(
        reinterpret_cast<const uint8_t*>(bytes_.data()),
        std::min(bytes_.size(), kLargestFlatBuffer));
    if (!schema::VerifyModelBuffer(verifier)) {
      return Invalid("damaged or cut off: the FlatBuffer inside does not hold");
    }
    return {};
  }

  std::string Text(const flatbuffers::String* text, std::string_view what) {
    if (text == nullptr) return {};
    if (text->size() > kLongestName || !budget_.Take(text->size())) {
      Problem("{}: a text of {} bytes, limit {}", what, text->size(),
              kLongestName);
      return {};
    }
    return text->str();
  }

  template <typename T, typename U = T>
  std::vector<T> List(const flatbuffers::Vector<U>* stored,
                      std::string_view what) {
    if (stored == nullptr) return {};
    if (!budget_.Take(uint64_t{stored->size()} * sizeof(T))) {
      Problem("{}: a list of {} is too long", what, stored->size());
      return {};
    }
    // The FlatBuffers verifier aligns counts, not elements: so byte by byte.
    std::vector<U> copy(stored->size());
    if (!copy.empty()) {
      std::memcpy(copy.data(), stored->Data(), copy.size() * sizeof(U));
    }
    return std::vector<T>(copy.begin(), copy.end());
  }

  void ReadOperatorCodes(const schema::Model& model) {
    for (size_t i = 0; i < CountOf(model.operator_codes()); ++i) {
      const schema::OperatorCode& stored = *model.operator_codes()->Get(i);
      // Old files have only the first field, which ends at 127.
      const int32_t number =
          std::max(static_cast<int32_t>(stored.deprecated_builtin_code()),
                   static_cast<int32_t>(stored.builtin_code()));
      Code code;
      code.version = stored.version();
      code.custom_name = Text(stored.custom_code(), "custom operator name");
      const graph::OpFacts* facts = graph::FactsOf(number);
      if (facts == nullptr || facts->code == OpCode::kDelegate ||
          facts->code == OpCode::kPlaceholderForGreaterOpCodes) {
        UnsupportedThing("operator code {}: unknown operator {}", i, number);
      } else if (facts->code == OpCode::kCustom) {
        if (code.custom_name.empty()) {
          Problem("operator code {}: a custom operator without a name", i);
        }
      } else if (code.version < 1) {
        Problem("operator code {}: {} version {}", i, facts->name,
                code.version);
      } else if (code.version > facts->max_version) {
        UnsupportedThing("operator code {}: {} version {}, highest known is {}",
                         i, facts->name, code.version, facts->max_version);
      }
      if (facts != nullptr) code.code = facts->code;
      if (code.code != OpCode::kCustom) code.custom_name.clear();
      codes_.push_back(std::move(code));
      if (Full()) return;
    }
  }

  // A part of a file outside the FlatBuffer's own vectors.
  std::optional<std::span<const std::byte>> FarBytes(
      std::span<const std::byte> file, uint64_t offset, uint64_t size,
      std::string_view what, size_t index) {
    if (offset > file.size() || size > file.size() - offset) {
      Problem("{} {}: bytes {} to {}+{} of a file of {}", what, index, offset,
              offset, size, file.size());
      return std::nullopt;
    }
    return file.subspan(offset, size);
  }

  void ReadBuffers(const schema::Model& model) {
    const size_t count = CountOf(model.buffers());
    for (size_t i = 0; i < count; ++i) {
      const schema::Buffer& stored = *model.buffers()->Get(i);
      graph::Buffer buffer;
      if (CountOf(stored.data()) != 0) {
        buffer.bytes = std::as_bytes(
            std::span(stored.data()->data(), stored.data()->size()));
      } else if (stored.offset() >= kFirstRealOffset) {
        const auto bytes =
            FarBytes(bytes_, stored.offset(), stored.size(), "buffer", i);
        if (bytes) buffer.bytes = *bytes;
      }
      // The graph's buffer 0 is empty; a file's need not be.
      if (i == 0 && !buffer.empty()) {
        first_buffer_ = 1;
        graph_.buffers.emplace_back();
      }
      if (!buffer.empty()) buffer.owner = owner_;
      graph_.buffers.push_back(std::move(buffer));
      if (Full()) return;
    }
    if (graph_.buffers.empty()) graph_.buffers.emplace_back();
  }

  // Saturates, so that a wrong index stays wrong.
  uint32_t BufferIndex(uint32_t stored) const {
    return stored > UINT32_MAX - first_buffer_ ? stored
                                               : stored + first_buffer_;
  }

  void ReadSubgraph(const schema::SubGraph& stored, size_t index) {
    Subgraph& subgraph = graph_.subgraphs.emplace_back();
    subgraph.name = Text(stored.name(), "subgraph name");
    subgraph.inputs = List<int32_t>(stored.inputs(), "subgraph inputs");
    subgraph.outputs = List<int32_t>(stored.outputs(), "subgraph outputs");
    subgraph.debug_metadata_index = stored.debug_metadata_index();
    for (size_t i = 0; i < CountOf(stored.tensors()); ++i) {
      const std::string at = fmt::format("subgraph {} tensor {}", index, i);
      ReadTensor(*stored.tensors()->Get(i), at,
                 subgraph.tensors.emplace_back());
      if (Full()) return;
    }
    for (size_t i = 0; i < CountOf(stored.operators()); ++i) {
      ReadOperator(*stored.operators()->Get(i), index, i,
                   subgraph.ops.emplace_back());
      if (Full()) return;
    }
  }

  void ReadTensor(const schema::Tensor& stored, const std::string& at,
                  Tensor& tensor) {
    tensor.name = Text(stored.name(), at);
    tensor.type = TypeOf(stored.type(), at);
    tensor.shape = ReadShape(stored.shape(), at);
    tensor.shape_signature = ReadShape(stored.shape_signature(), at);
    tensor.has_rank = stored.has_rank();
    tensor.is_variable = stored.is_variable();
    tensor.buffer = BufferIndex(stored.buffer());
    if (stored.external_buffer() != 0) {
      FindExternal(stored.external_buffer(), at, tensor);
    }
    if (stored.quantization() != nullptr) {
      tensor.quantization = ReadQuantization(*stored.quantization(), at);
    }
    if (stored.sparsity() != nullptr) {
      tensor.sparsity = ReadSparsity(*stored.sparsity(), at);
    }
    for (size_t i = 0; i < CountOf(stored.variant_tensors()); ++i) {
      const schema::VariantSubType& one = *stored.variant_tensors()->Get(i);
      tensor.variant_types.push_back(
          {ReadShape(one.shape(), at), TypeOf(one.type(), at), one.has_rank()});
      if (Full()) return;
    }
  }

  Type TypeOf(schema::TensorType stored, const std::string& at) {
    const auto number = static_cast<int32_t>(stored);
    if (number < 0 || number > static_cast<int32_t>(Type::kFloat8E5m2)) {
      UnsupportedThing("{}: unknown type {}", at, number);
      return Type::kFloat32;
    }
    return static_cast<Type>(number);
  }

  std::vector<int32_t> ReadShape(const flatbuffers::Vector<int32_t>* stored,
                                 const std::string& at) {
    if (CountOf(stored) > graph::kMaxRank) {
      Problem("{}: rank {}, limit {}", at, stored->size(), graph::kMaxRank);
      return {};
    }
    return List<int32_t>(stored, at);
  }

  graph::Quantization ReadQuantization(
      const schema::QuantizationParameters& stored, const std::string& at) {
    graph::Quantization out;
    out.min = List<float>(stored.min(), at);
    out.max = List<float>(stored.max(), at);
    out.scale = List<float>(stored.scale(), at);
    out.zero_point = List<int64_t>(stored.zero_point(), at);
    out.axis = stored.quantized_dimension();
    using Details = graph::Quantization::Details;
    switch (stored.details_type()) {
      case schema::QuantizationDetails_NONE:
        break;
      case schema::QuantizationDetails_CustomQuantization:
        if (const auto* one = stored.details_as_CustomQuantization()) {
          out.details = Details::kCustom;
          out.custom = List<uint8_t>(one->custom(), at);
        }
        break;
      case schema::QuantizationDetails_BlockwiseQuantization:
        if (const auto* one = stored.details_as_BlockwiseQuantization()) {
          out.details = Details::kBlockwise;
          out.scales_tensor = one->scales();
          out.zero_points_tensor = one->zero_points();
          out.block_size = one->block_size();
        }
        break;
      case schema::QuantizationDetails_MultiAxisQuantization:
        if (const auto* one = stored.details_as_MultiAxisQuantization()) {
          out.details = Details::kMultiAxis;
          out.scales_tensor = one->scales();
          out.zero_points_tensor = one->zero_points();
          out.block_size = one->block_size();
          out.axes = List<int32_t>(one->quantized_dimensions(), at);
        }
        break;
      default:
        UnsupportedThing("{}: unknown kind of quantization {}", at,
                         static_cast<int>(stored.details_type()));
    }
    return out;
  }

  // One of three widths of index vector.
  std::vector<int32_t> ReadIndices(schema::SparseIndexVector kind,
                                   const void* stored, const std::string& at) {
    if (stored == nullptr) return {};
    switch (kind) {
      case schema::SparseIndexVector_NONE:
        return {};
      case schema::SparseIndexVector_Int32Vector:
        return List<int32_t>(
            static_cast<const schema::Int32Vector*>(stored)->values(), at);
      case schema::SparseIndexVector_Uint16Vector:
        return List<int32_t>(
            static_cast<const schema::Uint16Vector*>(stored)->values(), at);
      case schema::SparseIndexVector_Uint8Vector:
        return List<int32_t>(
            static_cast<const schema::Uint8Vector*>(stored)->values(), at);
      default:
        UnsupportedThing("{}: unknown kind of sparse indices {}", at,
                         static_cast<int>(kind));
        return {};
    }
  }

  graph::Sparsity ReadSparsity(const schema::SparsityParameters& stored,
                               const std::string& at) {
    graph::Sparsity out;
    out.traversal_order = List<int32_t>(stored.traversal_order(), at);
    out.block_map = List<int32_t>(stored.block_map(), at);
    for (size_t i = 0; i < CountOf(stored.dim_metadata()); ++i) {
      const schema::DimensionMetadata& one = *stored.dim_metadata()->Get(i);
      graph::SparseDimension dimension;
      dimension.format = static_cast<uint8_t>(one.format());
      dimension.dense_size = one.dense_size();
      dimension.segments_type = static_cast<uint8_t>(one.array_segments_type());
      dimension.indices_type = static_cast<uint8_t>(one.array_indices_type());
      dimension.segments =
          ReadIndices(one.array_segments_type(), one.array_segments(), at);
      dimension.indices =
          ReadIndices(one.array_indices_type(), one.array_indices(), at);
      out.dimensions.push_back(std::move(dimension));
      if (Full()) break;
    }
    return out;
  }

  void ReadOperator(const schema::Operator& stored, size_t subgraph,
                    size_t index, Op& op) {
    if (stored.opcode_index() >= codes_.size()) {
      Problem("subgraph {} operator {}: operator code {}; there are {}",
              subgraph, index, stored.opcode_index(), codes_.size());
      return;
    }
    const Code& code = codes_[stored.opcode_index()];
    op.code = code.code;
    op.version = code.version;
    op.custom_name = code.custom_name;
    const std::string at = fmt::format("subgraph {} operator {} {}", subgraph,
                                       index, graph::Name(op.code));
    op.inputs = List<int32_t>(stored.inputs(), at);
    op.outputs = List<int32_t>(stored.outputs(), at);
    op.intermediates = List<int32_t>(stored.intermediates(), at);
    op.debug_metadata_index = stored.debug_metadata_index();
    const auto mutating = List<uint8_t>(stored.mutating_variable_inputs(), at);
    for (const uint8_t flag : mutating) {
      op.mutating_variable_inputs.push_back(flag != 0);
    }
    ReadCustomOptions(stored, at, index, op);
    ReadBuiltinOptions(stored, at, op);
  }

  void ReadCustomOptions(const schema::Operator& stored, const std::string& at,
                         size_t index, Op& op) {
    if (stored.custom_options_format() !=
        schema::CustomOptionsFormat_FLEXBUFFERS) {
      UnsupportedThing("{}: custom options of format {}", at,
                       static_cast<int>(stored.custom_options_format()));
    }
    op.custom_options = List<uint8_t>(stored.custom_options(), at);
    if (stored.custom_options() == nullptr &&
        stored.large_custom_options_offset() >= kFirstRealOffset) {
      const auto bytes = FarBytes(bytes_, stored.large_custom_options_offset(),
                                  stored.large_custom_options_size(),
                                  "custom options of operator", index);
      if (!bytes) return;
      if (!budget_.Take(bytes->size())) {
        Problem("{}: custom options of {} bytes are too large", at,
                bytes->size());
        return;
      }
      const auto* data = reinterpret_cast<const uint8_t*>(bytes->data());
      op.custom_options.assign(data, data + bytes->size());
    }
  }

  // Options are read where they are the operator's own. Real files carry
  // another operator's, or an empty table for an operator that takes none;
  // runtimes ignore those.
  void ReadBuiltinOptions(const schema::Operator& stored, const std::string& at,
                          Op& op) {
    const std::string_view expected = graph::FactsOf(op.code).options;
    const auto place = PlaceOfOptions(expected);
    if (!place) return;
    const auto tag = place->second
                         ? static_cast<uint8_t>(stored.builtin_options_2_type())
                         : static_cast<uint8_t>(stored.builtin_options_type());
    const void* table =
        place->second ? stored.builtin_options_2() : stored.builtin_options();
    if (tag != place->tag || table == nullptr) return;
    auto options = ReadOptions(
        expected, *static_cast<const flatbuffers::Table*>(table), budget_);
    if (!options) {
      Problem("{}: {}", at, options.error().message);
      return;
    }
    op.options = *std::move(options);
  }

  std::vector<graph::NamedTensor> ReadNames(
      const flatbuffers::Vector<flatbuffers::Offset<schema::TensorMap>>* stored,
      std::string_view what) {
    std::vector<graph::NamedTensor> names;
    for (size_t i = 0; i < CountOf(stored); ++i) {
      names.push_back(
          {Text(stored->Get(i)->name(), what), stored->Get(i)->tensor_index()});
      if (Full()) break;
    }
    return names;
  }

  void ReadSignatures(const schema::Model& model) {
    for (size_t i = 0; i < CountOf(model.signature_defs()); ++i) {
      const schema::SignatureDef& stored = *model.signature_defs()->Get(i);
      graph::Signature signature;
      signature.key = Text(stored.signature_key(), "signature key");
      signature.subgraph = stored.subgraph_index();
      signature.inputs = ReadNames(stored.inputs(), "signature input");
      signature.outputs = ReadNames(stored.outputs(), "signature output");
      graph_.signatures.push_back(std::move(signature));
      if (Full()) return;
    }
  }

  void ReadMetadata(const schema::Model& model) {
    for (size_t i = 0; i < CountOf(model.metadata()); ++i) {
      const schema::Metadata& stored = *model.metadata()->Get(i);
      graph_.metadata.push_back(
          {Text(stored.name(), "metadata name"), BufferIndex(stored.buffer())});
      if (Full()) return;
    }
    graph_.metadata_buffers =
        List<int32_t>(model.metadata_buffer(), "metadata buffers");
    for (int32_t& buffer : graph_.metadata_buffers) {
      if (buffer >= 0 && buffer < INT32_MAX) {
        buffer += static_cast<int32_t>(first_buffer_);
      }
    }
  }

  void ReadExternalBuffers(const schema::Model& model) {
    for (size_t i = 0; i < CountOf(model.external_buffer_groups()); ++i) {
      groups_.push_back(Text(model.external_buffer_groups()->Get(i)->name(),
                             "external buffer group"));
      if (Full()) return;
    }
    for (size_t i = 0; i < CountOf(model.external_buffers()); ++i) {
      const schema::ExternalBuffer& stored = *model.external_buffers()->Get(i);
      External one{stored.group(), stored.offset(), stored.length(),
                   Text(stored.packing(), "external buffer packing")};
      if (!externals_.emplace(stored.id(), std::move(one)).second) {
        Problem("external buffer {} is declared twice", stored.id());
      }
      if (Full()) return;
    }
  }

  // Makes the bytes of another file a buffer of the graph.
  void FindExternal(uint32_t id, const std::string& at, Tensor& tensor) {
    const std::string what = fmt::format("{} \"{}\"", at, tensor.name);
    const auto found = externals_.find(id);
    if (found == externals_.end()) {
      Problem("{}: external buffer {} is not declared", what, id);
      return;
    }
    External& external = found->second;
    if (external.group >= groups_.size()) {
      Problem("external buffer {}: group {}; there are {}", id, external.group,
              groups_.size());
      return;
    }
    const std::string& name = groups_[external.group];
    if (!external.packing.empty()) {
      UnsupportedThing("{}: unknown packing \"{}\" of external buffer {}", what,
                       external.packing, id);
    } else if (external.length == 0) {
      Problem("{}: external buffer {} has no bytes", what, id);
    } else if (tensor.buffer < graph_.buffers.size() &&
               !graph_.BufferOf(tensor).empty()) {
      Problem("{}: has data and external buffer {}", what, id);
    } else if (external_ == nullptr) {
      UnsupportedThing(
          "{}: its data lies in the file \"{}\"; a model in memory has none",
          what, name);
    } else if (external.buffer == 0) {
      const bool opened = external_->files().contains(name);
      const auto file = external_->Open(name);
      if (!file) {
        Problem("{}: its data lies in another file: {}", what,
                file.error().message);
        return;
      }
      if (!opened) budget_.AddFile((*file)->bytes().size());
      const auto bytes =
          FarBytes((*file)->bytes(), external.offset, external.length,
                   fmt::format("{}: \"{}\", external buffer", what, name), id);
      if (!bytes) return;
      external.buffer = static_cast<uint32_t>(graph_.buffers.size());
      graph::Buffer& buffer = graph_.buffers.emplace_back();
      buffer.bytes = *bytes;
      buffer.owner = *file;
    }
    if (external.buffer != 0) tensor.buffer = external.buffer;
  }

  // Constants start on a multiple of 4, or of 8 where a tensor's elements are
  // that wide. Files that do otherwise are rare; their buffers are copied.
  Status AlignBuffers() {
    std::vector<size_t> wanted(graph_.buffers.size(), 4);
    for (const Subgraph& subgraph : graph_.subgraphs) {
      for (const Tensor& tensor : subgraph.tensors) {
        if (graph::BitsPerElement(tensor.type) > 32) wanted[tensor.buffer] = 8;
      }
    }
    for (size_t i = 0; i < graph_.buffers.size(); ++i) {
      graph::Buffer& buffer = graph_.buffers[i];
      const auto address = reinterpret_cast<uintptr_t>(buffer.bytes.data());
      if (!buffer.empty() && address % wanted[i] != 0) {
        if (!budget_.Take(buffer.bytes.size())) {
          return Invalid(
              "buffers overlap: together they are many times the file");
        }
        buffer = graph::MakeBuffer(buffer.bytes);
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  ExternalFiles* external_;
  CopyBudget budget_;
  Graph graph_;
  std::vector<Code> codes_;
  std::vector<std::string> groups_;  // Files of external buffers.
  std::map<uint32_t, External> externals_;
  uint32_t first_buffer_ = 0;  // 1 where the file's buffers are moved by one.
  std::string problems_;
  size_t problem_count_ = 0;
  bool only_unsupported_ = true;
};

}  // namespace

Result<Graph> ReadTflite(std::span<const std::byte> bytes,
                         std::shared_ptr<const void> owner,
                         const std::string& origin, ExternalFiles* external) {
  // FlatBuffers reads numbers in place, so the start must be aligned.
  constexpr uintptr_t kAlignment = 16;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    auto copy =
        std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    bytes = *copy;
    owner = std::move(copy);
  }
  auto graph = Reader(bytes, std::move(owner), external).Read();
  if (!graph) {
    return Fail(graph.error().code, "{}: {}", origin, graph.error().message);
  }
  return graph;
}

Result<Graph> OpenTflite(const std::string& path) {
  LATHE_ASSIGN(const std::shared_ptr<const MappedFile> file,
               MappedFile::Open(path));
  ExternalFiles external(path);
  return ReadTflite(file->bytes(), file, path, &external);
}

}  // namespace lathe::format

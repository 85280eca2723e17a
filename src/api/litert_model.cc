// The LiteRT twin: signatures and files.

#include <unistd.h>

#include <cerrno>

#include "src/api/litert_state.h"

namespace lathe::litert {

namespace {

template <typename T>
Expected<const SimpleTensor&> Pick(const std::vector<SimpleTensor>& tensors,
                                   const std::vector<StringView>& names,
                                   const T& which, const char* what) {
  if constexpr (std::same_as<T, size_t>) {
    if (which < tensors.size()) return tensors[which];
    return Wrong(Status::kErrorInvalidArgument, "{} {}; there are {}", what,
                 which, tensors.size());
  } else {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == which) return tensors[i];
    }
    for (const SimpleTensor& tensor : tensors) {
      if (tensor.Name() == which) return tensor;
    }
    return Wrong(Status::kErrorNotFound, "no {} \"{}\"; there are: \"{}\"",
                 what, which, fmt::join(names, "\" \""));
  }
}

}  // namespace

Expected<const SimpleTensor&> SimpleSignature::InputTensor(
    StringView name) const {
  return Pick(table_->inputs, table_->input_names, name, "input");
}
Expected<const SimpleTensor&> SimpleSignature::InputTensor(size_t index) const {
  return Pick(table_->inputs, table_->input_names, index, "input");
}
Expected<const SimpleTensor&> SimpleSignature::OutputTensor(
    StringView name) const {
  return Pick(table_->outputs, table_->output_names, name, "output");
}
Expected<const SimpleTensor&> SimpleSignature::OutputTensor(
    size_t index) const {
  return Pick(table_->outputs, table_->output_names, index, "output");
}

SignatureTable::SignatureTable(const lathe::Model& model) {
  const auto describe = [](const TensorInfo& info) {
    SimpleTensor tensor(TypeOf(info, info.shape_signature.empty()
                                         ? info.shape
                                         : info.shape_signature));
    tensor.index_ = static_cast<uint32_t>(info.index);
    tensor.name_ = info.tensor;
    const QuantizationInfo& q = info.quantization;
    const bool zeros = q.zero_points.size() == q.scales.size();
    if (q.scales.size() == 1) {
      tensor.quantization_ = QuantizationTypeId::PerTensor;
      tensor.per_tensor_ = {q.scales[0], zeros ? q.zero_points[0] : 0};
    } else if (q.scales.size() > 1) {
      tensor.quantization_ = QuantizationTypeId::PerChannel;
      tensor.channel_axis_ = q.axis;
      tensor.scales_ = q.scales;
      tensor.zero_points_ = zeros ? std::span<const int64_t>(q.zero_points)
                                  : std::span<const int64_t>();
      if (!zeros) tensor.zeros_.resize(q.scales.size());
    }
    return tensor;
  };
  for (const SignatureInfo& info : model.signatures()) {
    auto table = std::make_shared<SimpleSignature::Table>();
    table->model = model.state();
    table->key = info.key.empty() ? DefaultSignatureKey() : info.key;
    for (const TensorInfo& input : info.inputs) {
      table->input_names.push_back(input.name);
      table->inputs.push_back(describe(input));
    }
    for (const TensorInfo& output : info.outputs) {
      table->output_names.push_back(output.name);
      table->outputs.push_back(describe(output));
    }
    signatures_.push_back(SimpleSignature(std::move(table)));
  }
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureKeys() const {
  return Caught([&]() -> Expected<std::vector<StringView>> {
    std::vector<StringView> keys;
    for (const SimpleSignature& each : signatures_) keys.push_back(each.Key());
    return keys;
  });
}

Expected<size_t> SignatureTable::IndexOf(
    const internal::SignatureChoice& signature) const {
  if (signature.key) return GetSignatureIndex(*signature.key);
  if (signature.index < signatures_.size()) return signature.index;
  return Wrong(Status::kErrorInvalidArgument, "signature {}; there are {}",
               signature.index, signatures_.size());
}

Expected<SimpleSignature> SignatureTable::GetSignature(
    size_t signature_index) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature_index));
  return signatures_[index];
}

Expected<size_t> SignatureTable::GetSignatureIndex(
    StringView signature_key) const {
  if (signature_key.empty()) return IndexOf(size_t{0});
  std::string keys;
  for (size_t i = 0; i < signatures_.size(); ++i) {
    if (signatures_[i].Key() == signature_key) return i;
    keys += fmt::format(" \"{}\"", signatures_[i].Key());
  }
  return Wrong(Status::kErrorNotFound, "no signature \"{}\"; there are:{}",
               signature_key, keys);
}

Expected<SimpleSignature> SignatureTable::FindSignature(
    StringView signature_key) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, GetSignatureIndex(signature_key));
  return signatures_[index];
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureInputNames(
    internal::SignatureChoice signature) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  return signatures_[index].InputNames();
}

Expected<std::vector<StringView>> SignatureTable::GetSignatureOutputNames(
    internal::SignatureChoice signature) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(signature));
  return signatures_[index].OutputNames();
}

const SimpleTensor& SignatureTable::At(const Found& found, bool input) const {
  const SimpleSignature::Table& table = *signatures_[found.signature].table_;
  return (input ? table.inputs : table.outputs)[found.tensor];
}

Expected<SignatureTable::Found> SignatureTable::Locate(
    const internal::Place& place, bool input) const {
  LITERT_ASSIGN_OR_RETURN(const size_t index, IndexOf(place.signature));
  const SimpleSignature::Table& table = *signatures_[index].table_;
  const auto& tensors = input ? table.inputs : table.outputs;
  const auto& names = input ? table.input_names : table.output_names;
  const char* what = input ? "input" : "output";
  auto found = place.tensor.name
                   ? Pick(tensors, names, *place.tensor.name, what)
                   : Pick(tensors, names, place.tensor.index, what);
  if (!found) return found.Error();
  return Found{index, static_cast<size_t>(&*found - tensors.data())};
}

Expected<const SimpleTensor&> SignatureTable::Find(const internal::Place& place,
                                                   bool input) const {
  LITERT_ASSIGN_OR_RETURN(const Found found, Locate(place, input));
  return At(found, input);
}

Expected<lathe::Model> OpenBuffer(BufferRef<uint8_t> buffer) {
  return Caught([&]() -> Expected<lathe::Model> {
    const auto bytes = std::as_bytes(buffer.Span());
    auto model = lathe::Model::FromMemory({bytes.begin(), bytes.end()});
    if (!model) return Convert(model.error(), Doing::kOpening);
    return *std::move(model);
  });
}

Expected<lathe::Model> OpenFile(const std::string& filename) {
  auto model = lathe::Model::Open(filename);
  if (!model && ::access(filename.c_str(), R_OK) != 0) {
    return Error(Status::kErrorFileIO, model.error().message);
  }
  if (!model) return Convert(model.error(), Doing::kOpening);
  return *std::move(model);
}

Expected<Model> Model::CreateFromFile(const std::string& filename) {
  return Caught([&]() -> Expected<Model> {
    LITERT_ASSIGN_OR_RETURN(lathe::Model opened, OpenFile(filename));
    return Model(std::move(opened));
  });
}

Expected<Model> Model::CreateFromFile(Environment&,
                                      const std::string& filename) {
  return CreateFromFile(filename);
}

Expected<Model> Model::CreateFromBuffer(BufferRef<uint8_t> buffer) {
  return Caught([&]() -> Expected<Model> {
    LITERT_ASSIGN_OR_RETURN(lathe::Model opened, OpenBuffer(buffer));
    return Model(std::move(opened));
  });
}

Expected<Model> Model::CreateFromBuffer(Environment&,
                                        BufferRef<uint8_t> buffer) {
  return CreateFromBuffer(buffer);
}

Expected<Model> Model::CreateFromFd(int fd, size_t offset, size_t size) {
  return Caught([&]() -> Expected<Model> {
    // Grows with what is there, so that a wrong size costs no memory.
    constexpr size_t kPiece = size_t{16} << 20;
    std::vector<std::byte> bytes;
    while (bytes.size() < size) {
      const size_t had = bytes.size();
      bytes.resize(had + std::min(kPiece, size - had));
      const ssize_t got = ::pread(fd, bytes.data() + had, bytes.size() - had,
                                  static_cast<off_t>(offset + had));
      if (got < 0 && errno == EINTR) {
        bytes.resize(had);
        continue;
      }
      if (got <= 0) {
        return Wrong(Status::kErrorFileIO,
                     "descriptor {}: {} bytes from {} on, found {}", fd, size,
                     offset, had);
      }
      bytes.resize(had + static_cast<size_t>(got));
    }
    auto model = lathe::Model::FromMemory(std::move(bytes));
    if (!model) return Convert(model.error(), Doing::kOpening);
    return Model(*std::move(model));
  });
}

Expected<Model> Model::CreateFromFd(Environment&, int fd, size_t offset,
                                    size_t size) {
  return CreateFromFd(fd, offset, size);
}

Expected<Span<const uint8_t>> Model::Metadata(
    const std::string& metadata_key) const {
  if (model_) {
    const graph::Graph& graph = model_->state()->graph;
    for (const graph::Metadata& each : graph.metadata) {
      if (each.name != metadata_key) continue;
      const auto bytes = graph.buffers[each.buffer].bytes;
      return Span<const uint8_t>(reinterpret_cast<const uint8_t*>(bytes.data()),
                                 bytes.size());
    }
  }
  return Wrong(Status::kErrorNotFound, "no metadata \"{}\"", metadata_key);
}

}  // namespace lathe::litert

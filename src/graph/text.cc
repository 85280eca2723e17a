// Writes a graph as text.

#include "src/graph/text.h"

#include <cstring>
#include <map>

#include "fmt/format.h"
#include "src/graph/text_form.h"

namespace lathe::graph {
namespace {

// A number that reads back as a float.
std::string FloatText(double value, bool narrow) {
  std::string text = narrow ? fmt::format("{}", static_cast<float>(value))
                            : fmt::format("{}", value);
  const bool whole = text.find_first_not_of("-0123456789") == text.npos;
  return whole ? text + ".0" : text;
}

template <typename List, typename Each>
std::string ListText(const List& list, Each each) {
  std::string text = "[";
  for (size_t i = 0; i < list.size(); ++i) {
    if (i != 0) text += ',';
    text += each(list[i]);
  }
  return text + "]";
}

std::string ValueText(const AttributeValue& value) {
  struct Visitor {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t number) const {
      return std::to_string(number);
    }
    // Options hold floats of 32 bits.
    std::string operator()(double number) const {
      return FloatText(number, true);
    }
    std::string operator()(const std::string& text) const {
      return Quoted(text);
    }
    std::string operator()(const std::vector<int64_t>& list) const {
      return ListText(list, [](int64_t v) { return std::to_string(v); });
    }
    std::string operator()(const std::vector<double>& list) const {
      return ListText(list, [](double v) { return FloatText(v, true); });
    }
    std::string operator()(const std::vector<uint8_t>& list) const {
      return HexText(std::as_bytes(std::span(list)));
    }
    std::string operator()(const std::vector<bool>& list) const {
      return ListText(list, [](bool v) { return v ? "true" : "false"; });
    }
  };
  return std::visit(Visitor(), value);
}

template <typename T>
std::string NumberText(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return fmt::format("{}", value);
}

// One element of a constant, or empty for types that are written in hex.
std::string ElementText(Type type, const std::byte* at) {
  switch (type) {
    case Type::kFloat32:
      return NumberText<float>(at);
    case Type::kFloat64:
      return NumberText<double>(at);
    case Type::kInt32:
      return NumberText<int32_t>(at);
    case Type::kInt64:
      return NumberText<int64_t>(at);
    case Type::kInt16:
      return NumberText<int16_t>(at);
    case Type::kInt8:
      return std::to_string(static_cast<int8_t>(*at));
    case Type::kUint8:
    case Type::kBool:
      return std::to_string(static_cast<uint8_t>(*at));
    default:
      return {};
  }
}

class Writer {
 public:
  Writer(const Graph& graph, const Subgraph& subgraph)
      : graph_(graph), subgraph_(subgraph) {
    NameTensors();
  }

  std::string Text() {
    text_ = "graph " + NameText(subgraph_.name) + "\n";
    WriteStored();
    for (const Op& op : subgraph_.ops) WriteOp(op);
    for (const Region& region : subgraph_.regions) WriteRegion(region);
    for (const int32_t output : subgraph_.outputs) {
      text_ += "output " + At(output) + "\n";
    }
    return std::move(text_);
  }

  std::string SignatureText(const Signature& signature) const {
    return "signature " + NameText(signature.key) + "(" +
           Names(signature.inputs) + ") -> (" + Names(signature.outputs) +
           ")\n";
  }

 private:
  // A tensor without a name of its own goes by its index.
  void NameTensors() {
    std::map<std::string_view, size_t> uses;
    for (const Tensor& tensor : subgraph_.tensors) ++uses[tensor.name];
    for (size_t i = 0; i < subgraph_.tensors.size(); ++i) {
      const std::string& name = subgraph_.tensors[i].name;
      const bool own = !name.empty() && uses[name] == 1;
      names_.push_back(own ? NameText(name) : "%" + std::to_string(i));
    }
  }

  std::string At(int32_t tensor) const {
    return tensor == kNoTensor ? "-" : names_[tensor];
  }

  std::string List(const std::vector<int32_t>& tensors) const {
    std::string text;
    for (const int32_t tensor : tensors) {
      if (!text.empty()) text += ", ";
      text += At(tensor);
    }
    return text;
  }

  std::string Names(const std::vector<NamedTensor>& names) const {
    std::string text;
    for (const NamedTensor& one : names) {
      if (!text.empty()) text += ", ";
      text += NameText(one.name) + "=" + names_[one.tensor];
    }
    return text;
  }

  std::string TypeText(const Tensor& tensor) const {
    std::string text = std::string(Name(tensor.type)) + ToString(tensor.shape);
    if (!tensor.shape_signature.empty()) {
      text += " resizable" + ToString(tensor.shape_signature);
    }
    if (tensor.quantization) text += QuantizationText(*tensor.quantization);
    return text;
  }

  // Only what arithmetic reads; blockwise details stay in the file.
  static std::string QuantizationText(const Quantization& q) {
    if (q.scale.empty()) return {};
    std::string text = " scale" + ListText(q.scale, [](float v) {
                         return FloatText(v, true);
                       });
    text += " zero" +
            ListText(q.zero_point, [](int64_t v) { return std::to_string(v); });
    if (q.axis != 0) text += " axis[" + std::to_string(q.axis) + "]";
    return text;
  }

  // Tensors that no operator writes, in the order of the subgraph: inputs
  // first, as they are counted.
  void WriteStored() {
    std::vector<bool> done(subgraph_.tensors.size(), false);
    for (const int32_t input : subgraph_.inputs) {
      if (done[input]) continue;
      done[input] = true;
      WriteTensor("input  ", input);
    }
    for (const Op& op : subgraph_.ops) {
      for (const int32_t output : op.outputs) done[output] = true;
    }
    for (size_t i = 0; i < subgraph_.tensors.size(); ++i) {
      if (done[i]) continue;
      const Tensor& tensor = subgraph_.tensors[i];
      const char* kind = graph_.IsConstant(tensor) ? "const  "
                         : tensor.is_variable      ? "variable "
                                                   : "unused ";
      WriteTensor(kind, static_cast<int32_t>(i));
    }
  }

  void WriteTensor(std::string_view kind, int32_t index) {
    const Tensor& tensor = subgraph_.tensors[index];
    text_ += kind;
    text_ += names_[index] + ": " + TypeText(tensor);
    text_ += ConstantText(tensor);
    text_ += '\n';
  }

  std::string ConstantText(const Tensor& tensor) const {
    const Buffer& buffer = graph_.BufferOf(tensor);
    if (buffer.empty() || buffer.size() > kMostShownBytes ||
        ElementCount(tensor.shape) > kMostShownValues) {
      return {};
    }
    std::vector<std::byte> made;
    std::span<const std::byte> bytes = buffer.bytes;
    if (buffer.produce) {
      made.resize(buffer.produced_bytes);
      if (!buffer.produce(made)) return {};
      bytes = made;
    }
    const size_t size = BitsPerElement(tensor.type) / 8;
    if (size == 0 || tensor.sparsity ||
        ElementText(tensor.type, bytes.data()).empty()) {
      return " = " + HexText(bytes);
    }
    std::string text = " =";
    for (size_t at = 0; at + size <= bytes.size(); at += size) {
      text += ' ' + ElementText(tensor.type, bytes.data() + at);
    }
    return text;
  }

  void WriteOp(const Op& op) {
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      if (i != 0) text_ += ", ";
      text_ +=
          At(op.outputs[i]) + ": " + TypeText(subgraph_.tensors[op.outputs[i]]);
    }
    if (!op.outputs.empty()) text_ += ' ';
    text_ += "= ";
    text_ += Name(op.code);
    if (op.version != 1) text_ += "@" + std::to_string(op.version);
    if (!op.custom_name.empty()) text_ += " " + NameText(op.custom_name);
    text_ += "(" + List(op.inputs) + ")";
    if (!op.intermediates.empty()) {
      text_ += " via (" + List(op.intermediates) + ")";
    }
    if (!op.options.fields.empty()) {
      text_ += " {";
      for (size_t i = 0; i < op.options.fields.size(); ++i) {
        if (i != 0) text_ += ' ';
        const Attribute& field = op.options.fields[i];
        text_ += field.name + "=" + ValueText(field.value);
      }
      text_ += "}";
    }
    if (!op.custom_options.empty()) {
      text_ += " " + HexText(std::as_bytes(std::span(op.custom_options)));
    }
    text_ += '\n';
  }

  void WriteRegion(const Region& region) {
    text_ += "region ";
    text_ += Name(region.kind);
    text_ += "(" + List(region.inputs) + ") -> " + List(region.outputs);
    text_ += " {ops=" + RangesText(region.ops);
    if (region.epsilon != 0) {
      text_ += fmt::format(" epsilon={}", region.epsilon);
    }
    if (region.scale != 1) text_ += fmt::format(" scale={}", region.scale);
    if (region.transposed_k) text_ += " transposed_k=true";
    text_ += "}\n";
  }

  // "0-8,11" for ascending numbers.
  static std::string RangesText(const std::vector<uint32_t>& numbers) {
    std::string text;
    for (size_t i = 0; i < numbers.size();) {
      size_t end = i;
      while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) {
        ++end;
      }
      if (!text.empty()) text += ',';
      text += std::to_string(numbers[i]);
      if (end != i) text += "-" + std::to_string(numbers[end]);
      i = end + 1;
    }
    return text;
  }

  const Graph& graph_;
  const Subgraph& subgraph_;
  std::vector<std::string> names_;
  std::string text_;
};

}  // namespace

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view("_./%+$#@").find(c) != std::string_view::npos;
}

std::string NameText(std::string_view name) {
  for (const char c : name) {
    if (!IsNameCharacter(c)) return Quoted(name);
  }
  return name.empty() ? Quoted(name) : std::string(name);
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string HexText(std::span<const std::byte> bytes) {
  std::string text = "0x";
  for (const std::byte byte : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  }
  return text;
}

std::string ToText(const Graph& graph) {
  std::string text;
  for (size_t i = 0; i < graph.subgraphs.size(); ++i) {
    Writer writer(graph, graph.subgraphs[i]);
    text += writer.Text();
    for (const Signature& signature : graph.signatures) {
      if (signature.subgraph == i) text += writer.SignatureText(signature);
    }
  }
  return text;
}

}  // namespace lathe::graph

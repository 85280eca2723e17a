// Reads a graph from text.

#include <charconv>
#include <cstring>
#include <map>
#include <new>

#include "src/graph/regions.h"
#include "src/graph/shapes.h"
#include "src/graph/text.h"
#include "src/graph/text_form.h"
#include "src/graph/verify.h"
#include "src/graph/versions.h"

namespace lathe::graph {
namespace {

// Constants whose values are left out are zeros in memory.
constexpr uint64_t kLargestZeros = uint64_t{1} << 30;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Reads one line from left to right.
class Line {
 public:
  explicit Line(std::string_view text) : text_(text) {}

  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  bool AtEnd() {
    SkipSpace();
    return at_ >= text_.size();
  }
  char Peek() {
    SkipSpace();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Accept(std::string_view word) {
    SkipSpace();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  // Like Accept, but the word ends there.
  bool AcceptWord(std::string_view word) {
    const size_t before = at_;
    if (!Accept(word)) return false;
    if (at_ < text_.size() && IsNameCharacter(text_[at_])) {
      at_ = before;
      return false;
    }
    return true;
  }
  Status Expect(std::string_view word) {
    if (Accept(word)) return {};
    return Invalid("'{}' expected before '{}'", word, Rest());
  }
  std::string_view Rest() {
    SkipSpace();
    return text_.substr(at_, 20);
  }

  Result<std::string> Name() {
    if (Peek() == '"') return QuotedText();
    const size_t start = at_;
    while (at_ < text_.size() && IsNameCharacter(text_[at_])) ++at_;
    if (at_ == start) return Invalid("a name expected before '{}'", Rest());
    return std::string(text_.substr(start, at_ - start));
  }

  Result<std::string> QuotedText() {
    LATHE_TRY(Expect("\""));
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        if (c == 'x') {
          const int high = at_ < text_.size() ? HexDigit(text_[at_]) : -1;
          const int low =
              at_ + 1 < text_.size() ? HexDigit(text_[at_ + 1]) : -1;
          if (high < 0 || low < 0) return Invalid("'\\x' without two digits");
          c = static_cast<char>(16 * high + low);
          at_ += 2;
        }
      }
      out += c;
    }
    LATHE_TRY(Expect("\""));
    return out;
  }

  // Digits, sign, point, exponent, "inf", "nan": up to a separator.
  std::string_view NumberText() {
    SkipSpace();
    const size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
            text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.')) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  template <typename T>
  Result<T> Number() {
    const std::string_view text = NumberText();
    T value{};
    const auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size()) {
      return Invalid("'{}' is no number that fits here", text);
    }
    return value;
  }

  template <typename T>
  Result<std::vector<T>> NumberList() {
    LATHE_TRY(Expect("["));
    std::vector<T> list;
    while (Peek() != ']') {
      if (!list.empty()) LATHE_TRY(Expect(","));
      LATHE_ASSIGN(const T value, Number<T>());
      list.push_back(value);
    }
    LATHE_TRY(Expect("]"));
    return list;
  }

  static int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  }

  Result<std::vector<uint8_t>> Hex() {
    LATHE_TRY(Expect("0x"));
    std::vector<uint8_t> bytes;
    while (at_ + 1 < text_.size() && HexDigit(text_[at_]) >= 0) {
      const int low = HexDigit(text_[at_ + 1]);
      if (low < 0) return Invalid("half a byte in hex");
      bytes.push_back(static_cast<uint8_t>(16 * HexDigit(text_[at_]) + low));
      at_ += 2;
    }
    return bytes;
  }

  // Whether a number stands here that can only be a float.
  bool NextIsFloat() {
    const size_t before = at_;
    const std::string_view text = NumberText();
    at_ = before;
    return text.find_first_of(".eEnN") != std::string_view::npos;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Result<AttributeValue> ReadValue(Line& line) {
  if (line.AcceptWord("true")) return AttributeValue(true);
  if (line.AcceptWord("false")) return AttributeValue(false);
  if (line.Peek() == '"') {
    LATHE_ASSIGN(std::string text, line.QuotedText());
    return AttributeValue(std::move(text));
  }
  if (line.Rest().starts_with("0x")) {
    LATHE_ASSIGN(std::vector<uint8_t> bytes, line.Hex());
    return AttributeValue(std::move(bytes));
  }
  if (line.Peek() == '[') {
    Line ahead = line;
    LATHE_TRY(ahead.Expect("["));
    if (ahead.Accept("true") || ahead.Accept("false")) {
      LATHE_TRY(line.Expect("["));
      std::vector<bool> flags;
      while (line.Peek() != ']') {
        if (!flags.empty()) LATHE_TRY(line.Expect(","));
        const bool flag = line.AcceptWord("true");
        if (!flag && !line.AcceptWord("false")) {
          return Invalid("true or false expected before '{}'", line.Rest());
        }
        flags.push_back(flag);
      }
      LATHE_TRY(line.Expect("]"));
      return AttributeValue(std::move(flags));
    }
    if (ahead.NextIsFloat()) {
      LATHE_ASSIGN(std::vector<double> list, line.NumberList<double>());
      return AttributeValue(std::move(list));
    }
    LATHE_ASSIGN(std::vector<int64_t> list, line.NumberList<int64_t>());
    return AttributeValue(std::move(list));
  }
  if (line.NextIsFloat()) {
    // Options are floats of 32 bits: what is read must be one of them.
    LATHE_ASSIGN(const float value, line.Number<float>());
    return AttributeValue(static_cast<double>(value));
  }
  LATHE_ASSIGN(const int64_t value, line.Number<int64_t>());
  return AttributeValue(value);
}

template <typename T>
Status AppendNumber(Line& line, std::vector<std::byte>& bytes) {
  LATHE_ASSIGN(const T value, line.Number<T>());
  const auto raw = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
  return {};
}

Status AppendElement(Line& line, Type type, std::vector<std::byte>& bytes) {
  switch (type) {
    case Type::kFloat32:
      return AppendNumber<float>(line, bytes);
    case Type::kFloat64:
      return AppendNumber<double>(line, bytes);
    case Type::kInt32:
      return AppendNumber<int32_t>(line, bytes);
    case Type::kInt64:
      return AppendNumber<int64_t>(line, bytes);
    case Type::kInt16:
      return AppendNumber<int16_t>(line, bytes);
    case Type::kInt8:
      return AppendNumber<int8_t>(line, bytes);
    case Type::kUint8:
    case Type::kBool:
      return AppendNumber<uint8_t>(line, bytes);
    default:
      return Invalid("values of {} are written in hex", Name(type));
  }
}

class Parser {
 public:
  Result<Graph> Parse(std::string_view text) {
    graph_ = Graph::Empty();
    for (size_t number = 1; !text.empty(); ++number) {
      const size_t end = std::min(text.find('\n'), text.size());
      const Status status = ParseLine(text.substr(0, end));
      if (!status) {
        return Fail(status.error().code, "line {}: {}", number,
                    status.error().message);
      }
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    LATHE_TRY(Verify(graph_));
    return std::move(graph_);
  }

 private:
  Status ParseLine(std::string_view text) {
    Line line(text);
    if (line.AtEnd() || line.Peek() == '#') return {};
    if (line.AcceptWord("graph")) return ParseGraph(line);
    if (graph_.subgraphs.empty()) {
      return Invalid("'graph NAME' must stand first");
    }
    Status status = ParseInside(line);
    if (status && !line.AtEnd()) {
      return Invalid("'{}' stands behind the end", line.Rest());
    }
    return status;
  }

  Status ParseInside(Line& line) {
    if (line.AcceptWord("input")) return ParseTensor(line, Kind::kInput);
    if (line.AcceptWord("const")) return ParseTensor(line, Kind::kConst);
    if (line.AcceptWord("variable")) return ParseTensor(line, Kind::kVariable);
    if (line.AcceptWord("unused")) return ParseTensor(line, Kind::kUnused);
    if (line.AcceptWord("region")) return ParseRegion(line);
    if (line.AcceptWord("signature")) return ParseSignature(line);
    if (line.AcceptWord("output")) {
      LATHE_ASSIGN(const int32_t tensor, Operand(line));
      Sub().outputs.push_back(tensor);
      return {};
    }
    return ParseOp(line);
  }

  Subgraph& Sub() { return graph_.subgraphs.back(); }

  Status ParseGraph(Line& line) {
    LATHE_ASSIGN(std::string name, line.Name());
    graph_.subgraphs.emplace_back().name = std::move(name);
    by_name_.clear();
    known_.clear();
    return {};
  }

  Result<int32_t> AddTensor(Tensor tensor) {
    const auto index = static_cast<int32_t>(Sub().tensors.size());
    if (!by_name_.emplace(tensor.name, index).second) {
      return Invalid("'{}' is already there", tensor.name);
    }
    Sub().tensors.push_back(std::move(tensor));
    known_.emplace_back();
    return index;
  }

  // A tensor that is already there, or '-'.
  Result<int32_t> Operand(Line& line) {
    if (line.Accept("-")) return kNoTensor;
    LATHE_ASSIGN(const std::string name, line.Name());
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      return Invalid("there is no tensor '{}' yet", name);
    }
    return found->second;
  }

  // (a, -, b)
  Result<std::vector<int32_t>> Operands(Line& line) {
    LATHE_TRY(line.Expect("("));
    std::vector<int32_t> operands;
    while (line.Peek() != ')') {
      if (!operands.empty()) LATHE_TRY(line.Expect(","));
      LATHE_ASSIGN(const int32_t tensor, Operand(line));
      operands.push_back(tensor);
    }
    LATHE_TRY(line.Expect(")"));
    return operands;
  }

  // "float32[1,2] resizable[1,-1] scale[0.5] zero[0]" into the tensor.
  Status ReadType(Line& line, Tensor& tensor) {
    LATHE_ASSIGN(const std::string name, line.Name());
    const auto type = TypeNamed(name);
    if (!type) return Invalid("'{}' is no type", name);
    tensor.type = *type;
    LATHE_ASSIGN(tensor.shape, line.NumberList<int32_t>());
    if (tensor.shape.size() > kMaxRank) {
      return Invalid("rank {}, limit {}", tensor.shape.size(), kMaxRank);
    }
    for (const int32_t dim : tensor.shape) {
      if (dim < 0) return Invalid("dim {}", dim);
    }
    if (line.AcceptWord("resizable")) {
      LATHE_ASSIGN(tensor.shape_signature, line.NumberList<int32_t>());
    }
    if (line.AcceptWord("scale")) {
      Quantization& q = tensor.quantization.emplace();
      LATHE_ASSIGN(q.scale, line.NumberList<float>());
      if (line.AcceptWord("zero")) {
        LATHE_ASSIGN(q.zero_point, line.NumberList<int64_t>());
      }
      if (line.AcceptWord("axis")) {
        LATHE_ASSIGN(const auto axis, line.NumberList<int32_t>());
        if (axis.size() != 1) return Invalid("one axis is needed");
        q.axis = axis[0];
      }
    }
    return {};
  }

  enum class Kind : uint8_t { kInput, kConst, kVariable, kUnused };

  Status ParseTensor(Line& line, Kind kind) {
    Tensor tensor;
    LATHE_ASSIGN(tensor.name, line.Name());
    LATHE_TRY(line.Expect(":"));
    LATHE_TRY(ReadType(line, tensor));
    tensor.is_variable = kind == Kind::kVariable;
    if (kind == Kind::kConst || line.Peek() == '=') {
      LATHE_TRY(ReadConstant(line, tensor));
    }
    const Tensor copy = tensor;
    LATHE_ASSIGN(const int32_t index, AddTensor(std::move(tensor)));
    if (kind == Kind::kInput) Sub().inputs.push_back(index);
    Subgraph one;
    one.tensors.push_back(copy);
    known_[index] = StoredTensors(graph_, one)[0];
    return {};
  }

  Status ReadConstant(Line& line, Tensor& tensor) {
    std::vector<std::byte> bytes;
    if (line.Accept("=")) {
      if (line.Rest().starts_with("0x")) {
        LATHE_ASSIGN(const std::vector<uint8_t> hex, line.Hex());
        const auto raw = std::as_bytes(std::span(hex));
        bytes.assign(raw.begin(), raw.end());
      } else {
        while (!line.AtEnd()) {
          LATHE_TRY(AppendElement(line, tensor.type, bytes));
        }
      }
    } else {
      const uint64_t size = ByteCount(tensor.type, tensor.shape);
      if (size > kLargestZeros) {
        return Invalid("{} bytes of zeros, limit {}", size, kLargestZeros);
      }
      bytes.resize(size);
    }
    if (bytes.empty()) return {};
    tensor.buffer = static_cast<uint32_t>(graph_.buffers.size());
    graph_.buffers.push_back(MakeBuffer(bytes));
    return {};
  }

  // "y: float32[2], z = NAME@2(x, -) via (s) {field=1} 0x00"
  Status ParseOp(Line& line) {
    std::vector<Tensor> outputs;
    std::vector<bool> has_type;
    while (line.Peek() != '=') {
      if (!outputs.empty()) LATHE_TRY(line.Expect(","));
      Tensor& tensor = outputs.emplace_back();
      LATHE_ASSIGN(tensor.name, line.Name());
      has_type.push_back(line.Accept(":"));
      if (has_type.back()) LATHE_TRY(ReadType(line, tensor));
    }
    LATHE_TRY(line.Expect("="));
    Op op;
    bool has_version = false;
    LATHE_TRY(ReadCode(line, op, has_version));
    LATHE_ASSIGN(op.inputs, Operands(line));
    if (line.AcceptWord("via")) {
      LATHE_ASSIGN(op.intermediates, Operands(line));
    }
    op.options.table = FactsOf(op.code).options;
    if (line.Accept("{")) LATHE_TRY(ReadFields(line, op));
    if (line.Rest().starts_with("0x")) {
      LATHE_ASSIGN(op.custom_options, line.Hex());
    }
    return AddOp(std::move(op), std::move(outputs), has_type, has_version);
  }

  // NAME, with '@' and a version, and the name of a custom operator.
  static Status ReadCode(Line& line, Op& op, bool& has_version) {
    LATHE_ASSIGN(std::string name, line.Name());
    if (const size_t at = name.find('@'); at != std::string::npos) {
      Line version{std::string_view(name).substr(at + 1)};
      LATHE_ASSIGN(op.version, version.Number<int32_t>());
      has_version = true;
      name.resize(at);
    }
    const auto code = OpCodeNamed(name);
    if (!code) return Invalid("'{}' is no operator", name);
    op.code = *code;
    if (op.code == OpCode::kCustom) {
      LATHE_ASSIGN(op.custom_name, line.Name());
    }
    return {};
  }

  static Status ReadFields(Line& line, Op& op) {
    while (line.Peek() != '}') {
      Attribute attribute;
      LATHE_ASSIGN(attribute.name, line.Name());
      LATHE_TRY(line.Expect("="));
      LATHE_ASSIGN(attribute.value, ReadValue(line));
      op.options.fields.push_back(std::move(attribute));
    }
    return line.Expect("}");
  }

  // Types that the text leaves out are inferred.
  Status AddOp(Op op, std::vector<Tensor> outputs,
               const std::vector<bool>& has_type, bool has_version) {
    op.outputs.assign(outputs.size(), 0);
    std::vector<const KnownTensor*> inputs;
    for (const int32_t input : op.inputs) {
      inputs.push_back(input == kNoTensor ? nullptr : &known_[input]);
    }
    auto inferred = InferOp(graph_, op, inputs);
    std::vector<KnownTensor> known(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      Tensor& tensor = outputs[i];
      if (inferred) {
        known[i] = (*inferred)[i];
        if (!has_type[i]) {
          tensor.type = known[i].type;
          tensor.shape = known[i].shape;
        }
      } else if (!has_type[i]) {
        return std::unexpected(inferred.error());
      }
      if (known[i].type != tensor.type || known[i].shape != tensor.shape) {
        known[i] = {tensor.type, tensor.shape, std::nullopt};
      }
    }
    if (!has_version) {
      std::vector<const KnownTensor*> made;
      for (const KnownTensor& one : known) made.push_back(&one);
      op.version = LowestVersion(op, inputs, made);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      LATHE_ASSIGN(op.outputs[i], AddTensor(std::move(outputs[i])));
      known_[op.outputs[i]] = std::move(known[i]);
    }
    Sub().ops.push_back(std::move(op));
    return {};
  }

  static Result<RegionKind> KindNamed(const std::string& name) {
    for (int i = 0; i <= static_cast<int>(RegionKind::kSilu); ++i) {
      const auto kind = static_cast<RegionKind>(i);
      if (Name(kind) == name) return kind;
    }
    return Invalid("'{}' is no kind of region", name);
  }

  Status ParseRegion(Line& line) {
    Region region;
    LATHE_ASSIGN(const std::string kind, line.Name());
    LATHE_ASSIGN(region.kind, KindNamed(kind));
    LATHE_ASSIGN(region.inputs, Operands(line));
    LATHE_TRY(line.Expect("->"));
    do {
      LATHE_ASSIGN(const int32_t tensor, Operand(line));
      region.outputs.push_back(tensor);
    } while (line.Accept(","));
    LATHE_TRY(line.Expect("{"));
    while (line.Peek() != '}') {
      LATHE_ASSIGN(const std::string field, line.Name());
      LATHE_TRY(line.Expect("="));
      if (field == "ops") {
        LATHE_TRY(ReadRanges(line, region.ops));
      } else if (field == "epsilon") {
        LATHE_ASSIGN(region.epsilon, line.Number<float>());
      } else if (field == "scale") {
        LATHE_ASSIGN(region.scale, line.Number<float>());
      } else if (field == "transposed_k") {
        region.transposed_k = line.AcceptWord("true");
        if (!region.transposed_k) LATHE_TRY(line.Expect("false"));
      } else {
        return Invalid("'{}' is no field of a region", field);
      }
    }
    LATHE_TRY(line.Expect("}"));
    Sub().regions.push_back(std::move(region));
    return {};
  }

  // "0-8,11"
  Status ReadRanges(Line& line, std::vector<uint32_t>& numbers) {
    do {
      LATHE_ASSIGN(const std::string text, ReadRange(line));
      const size_t dash = text.find('-');
      Line first{std::string_view(text).substr(0, dash)};
      LATHE_ASSIGN(const uint32_t begin, first.Number<uint32_t>());
      uint32_t end = begin;
      if (dash != std::string::npos) {
        Line last{std::string_view(text).substr(dash + 1)};
        LATHE_ASSIGN(end, last.Number<uint32_t>());
      }
      if (end < begin || end >= Sub().ops.size()) {
        return Invalid("operators {} to {}; there are {}", begin, end,
                       Sub().ops.size());
      }
      for (uint32_t i = begin; i <= end; ++i) numbers.push_back(i);
    } while (line.Accept(","));
    return {};
  }

  static Result<std::string> ReadRange(Line& line) {
    std::string text(line.NumberText());
    if (text.empty()) return Invalid("a number before '{}'", line.Rest());
    return text;
  }

  Status ParseSignature(Line& line) {
    Signature signature;
    LATHE_ASSIGN(signature.key, line.Name());
    signature.subgraph = static_cast<uint32_t>(graph_.subgraphs.size() - 1);
    LATHE_TRY(ReadNames(line, signature.inputs));
    LATHE_TRY(line.Expect("->"));
    LATHE_TRY(ReadNames(line, signature.outputs));
    graph_.signatures.push_back(std::move(signature));
    return {};
  }

  Status ReadNames(Line& line, std::vector<NamedTensor>& names) {
    LATHE_TRY(line.Expect("("));
    while (line.Peek() != ')') {
      if (!names.empty()) LATHE_TRY(line.Expect(","));
      NamedTensor one;
      LATHE_ASSIGN(one.name, line.Name());
      LATHE_TRY(line.Expect("="));
      LATHE_ASSIGN(const int32_t tensor, Operand(line));
      if (tensor == kNoTensor) return Invalid("'{}' is no tensor", one.name);
      one.tensor = static_cast<uint32_t>(tensor);
      names.push_back(std::move(one));
    }
    return line.Expect(")");
  }

  Graph graph_;
  std::map<std::string, int32_t> by_name_;
  std::vector<KnownTensor> known_;
};

}  // namespace

Result<Graph> FromText(std::string_view text) {
  try {
    return Parser().Parse(text);
  } catch (const std::bad_alloc&) {
    return SystemError("not enough memory for the graph");
  }
}

}  // namespace lathe::graph

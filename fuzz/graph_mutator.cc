#include "fuzz/graph_mutator.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "src/format/tflite/options.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/graph.h"
#include "src/graph/verify.h"

namespace lathe::fuzz {
namespace {

using graph::Graph;
using graph::Op;
using graph::Subgraph;
using graph::Tensor;
using graph::Type;

constexpr uint64_t kLargestConstant = 4096;

class Mutator {
 public:
  Mutator(Graph& graph, uint32_t seed) : graph_(graph), rng_(seed) {}

  void Change() {
    if (graph_.subgraphs.empty()) return;
    subgraph_ = &Pick(graph_.subgraphs);
    switch (Below(12)) {
      case 0:
      case 1:
        return ChangeOption();
      case 2:
        return ChangeShape();
      case 3:
        return ChangeType();
      case 4:
      case 5:
        return ChangeConstant();
      case 6:
        return ChangeOperand();
      case 7:
        return ChangeCode();
      case 8:
        return ChangeQuantization();
      case 9:
        return InsertOp();
      case 10:
        return RemoveOp();
      default:
        return ChangeTensor();
    }
  }

 private:
  size_t Below(size_t count) {
    return count == 0 ? 0 : static_cast<size_t>(rng_()) % count;
  }
  template <typename T>
  T& Pick(std::vector<T>& from) {
    return from[Below(from.size())];
  }
  bool Coin() { return Below(2) == 0; }

  int64_t AnInt() {
    static constexpr int64_t kInts[] = {0,
                                        1,
                                        2,
                                        3,
                                        4,
                                        5,
                                        7,
                                        8,
                                        16,
                                        17,
                                        32,
                                        100,
                                        127,
                                        128,
                                        255,
                                        256,
                                        1000,
                                        4096,
                                        32767,
                                        65536,
                                        1000000,
                                        std::numeric_limits<int32_t>::max(),
                                        std::numeric_limits<int32_t>::min(),
                                        std::numeric_limits<int64_t>::max(),
                                        std::numeric_limits<int64_t>::min(),
                                        -1,
                                        -2,
                                        -3,
                                        -4,
                                        -8,
                                        -128};
    // Small values mean something to most operators.
    return Below(3) == 0 ? kInts[Below(std::size(kInts))]
                         : static_cast<int64_t>(Below(8)) - 2;
  }
  double AFloat() {
    static const double kFloats[] = {0,
                                     1,
                                     -1,
                                     0.5,
                                     2,
                                     1e-30,
                                     1e30,
                                     1e-9,
                                     3e38,
                                     -3e38,
                                     255,
                                     1e10,
                                     std::numeric_limits<double>::infinity(),
                                     -std::numeric_limits<double>::infinity(),
                                     std::numeric_limits<double>::quiet_NaN()};
    return kFloats[Below(std::size(kFloats))];
  }
  Type AType() {
    static constexpr Type kTypes[] = {
        Type::kFloat32, Type::kInt8,     Type::kUint8,     Type::kInt16,
        Type::kInt32,   Type::kInt64,    Type::kBool,      Type::kFloat16,
        Type::kInt4,    Type::kInt2,     Type::kString,    Type::kUint32,
        Type::kFloat64, Type::kBfloat16, Type::kComplex64, Type::kUint16,
        Type::kUint64,  Type::kResource};
    return kTypes[Below(Coin() ? 7 : std::size(kTypes))];
  }
  int32_t ADim() {
    static constexpr int32_t kDims[] = {
        0,  1,  1,  2,   2,    3,     4,
        5,  7,  8,  9,   16,   17,    31,
        33, 64, 65, 127, 1000, 65536, std::numeric_limits<int32_t>::max()};
    return kDims[Below(std::size(kDims) - (Below(4) == 0 ? 0 : 3))];
  }
  int32_t ATensor() {
    return static_cast<int32_t>(Below(subgraph_->tensors.size()));
  }

  void ChangeOption() {
    if (subgraph_->ops.empty()) return;
    Op& op = Pick(subgraph_->ops);
    if (!op.custom_options.empty() && Coin()) {
      Pick(op.custom_options) = static_cast<uint8_t>(rng_());
      return;
    }
    if (op.options.table.empty()) op.options.table = FactsOf(op.code).options;
    auto known = format::FieldsOf(op.options.table);
    if (known.empty()) return;
    const size_t chosen = Below(known.size());
    auto& fields = op.options.fields;
    auto found =
        std::ranges::find(fields, known[chosen].name, &graph::Attribute::name);
    if (found == fields.end()) {
      // Fields stand in the schema's order.
      const auto rank = [&](const graph::Attribute& field) {
        return std::ranges::find(known, field.name, &graph::Attribute::name);
      };
      const auto place = std::ranges::find_if(fields, [&](const auto& field) {
        return rank(field) - known.begin() > static_cast<ptrdiff_t>(chosen);
      });
      found = fields.insert(place, known[chosen]);
    }
    std::visit([&](auto& value) { ChangeValue(value); }, found->value);
  }
  void ChangeValue(bool& value) { value = !value; }
  void ChangeValue(int64_t& value) { value = AnInt(); }
  void ChangeValue(double& value) { value = AFloat(); }
  void ChangeValue(std::string& value) { value += 'x'; }
  template <typename T>
  void ChangeValue(std::vector<T>& values) {
    switch (Below(3)) {
      case 0:
        values.push_back(static_cast<T>(AnInt()));
        return;
      case 1:
        if (!values.empty()) values.pop_back();
        return;
      default:
        if (!values.empty()) {
          values[Below(values.size())] = static_cast<T>(AnInt());
        }
    }
  }

  // The buffer again as long as the verifier wants it.
  void Fit(Tensor& tensor) {
    if (tensor.buffer == 0 || tensor.type == Type::kString) return;
    const uint64_t bytes = graph::ByteCount(tensor.type, tensor.shape);
    const auto& old = graph_.buffers[tensor.buffer].bytes;
    if (bytes == old.size() || bytes > kLargestConstant) return;
    std::vector<std::byte> fresh(bytes);
    for (size_t i = 0; i < bytes; ++i) {
      fresh[i] = old.empty() ? std::byte{0} : old[i % old.size()];
    }
    Store(tensor, fresh);
  }
  void Store(Tensor& tensor, const std::vector<std::byte>& bytes) {
    tensor.buffer = static_cast<uint32_t>(graph_.buffers.size());
    graph_.buffers.push_back(graph::MakeBuffer(bytes));
  }

  void ChangeShape() {
    if (subgraph_->tensors.empty()) return;
    Tensor& tensor = Pick(subgraph_->tensors);
    tensor.shape_signature.clear();
    const size_t at = Below(tensor.shape.size() + 1);
    switch (Below(4)) {
      case 0:
        tensor.shape.insert(tensor.shape.begin() + static_cast<ptrdiff_t>(at),
                            ADim());
        break;
      case 1:
        if (at < tensor.shape.size()) {
          tensor.shape.erase(tensor.shape.begin() + static_cast<ptrdiff_t>(at));
        }
        break;
      case 2:
        if (at < tensor.shape.size()) {
          tensor.shape_signature.assign(tensor.shape.begin(),
                                        tensor.shape.end());
          tensor.shape_signature[at] = -1;
        }
        break;
      default:
        if (at < tensor.shape.size()) tensor.shape[at] = ADim();
    }
    Fit(tensor);
  }

  void ChangeType() {
    if (subgraph_->tensors.empty()) return;
    const Type type = AType();
    if (Coin()) {
      Tensor& tensor = Pick(subgraph_->tensors);
      tensor.type = type;
      Fit(tensor);
      return;
    }
    // All of one type together, as an operator wants them.
    const Type from = Pick(subgraph_->tensors).type;
    for (Tensor& tensor : subgraph_->tensors) {
      if (tensor.type != from) continue;
      tensor.type = type;
      Fit(tensor);
    }
  }

  void ChangeConstant() {
    std::vector<Tensor*> constants;
    for (Tensor& tensor : subgraph_->tensors) {
      if (tensor.buffer != 0 && !graph_.buffers[tensor.buffer].bytes.empty()) {
        constants.push_back(&tensor);
      }
    }
    if (constants.empty()) return;
    Tensor& tensor = *Pick(constants);
    const auto old = graph_.buffers[tensor.buffer].bytes;
    std::vector<std::byte> bytes(old.begin(), old.end());
    const size_t width =
        std::max<size_t>(1, graph::BitsPerElement(tensor.type) / 8);
    const size_t count = bytes.size() / width;
    if (count == 0) return;
    std::byte* at = bytes.data() + Below(count) * width;
    if (tensor.type == Type::kFloat32) {
      const auto value = static_cast<float>(AFloat());
      std::memcpy(at, &value, sizeof(value));
    } else {
      const int64_t value = Coin() ? AnInt() : static_cast<int64_t>(rng_());
      std::memcpy(at, &value, std::min(width, sizeof(value)));
    }
    Store(tensor, bytes);
  }

  void ChangeOperand() {
    if (subgraph_->ops.empty()) return;
    Op& op = Pick(subgraph_->ops);
    std::vector<int32_t>& list = Below(4) == 0 ? op.outputs : op.inputs;
    switch (Below(4)) {
      case 0:
        list.push_back(ATensor());
        return;
      case 1:
        if (!list.empty()) list.pop_back();
        return;
      case 2:
        if (!list.empty()) Pick(list) = graph::kNoTensor;
        return;
      default:
        if (!list.empty()) Pick(list) = ATensor();
    }
  }

  void ChangeCode() {
    if (subgraph_->ops.empty()) return;
    Op& op = Pick(subgraph_->ops);
    const auto all = graph::AllOps();
    const graph::OpFacts& facts = all[Below(all.size())];
    op.code = facts.code;
    op.version = Coin() ? 1 : facts.max_version;
    op.options = {};
    op.options.table = facts.options;
    op.custom_name =
        op.code == graph::OpCode::kCustom ? "TFLite_Detection_PostProcess" : "";
  }

  void ChangeQuantization() {
    if (subgraph_->tensors.empty()) return;
    Tensor& tensor = Pick(subgraph_->tensors);
    if (!tensor.quantization) tensor.quantization.emplace();
    graph::Quantization& quantization = *tensor.quantization;
    switch (Below(6)) {
      case 0:
        tensor.quantization.reset();
        return;
      case 1:
        quantization.scale = {static_cast<float>(AFloat())};
        quantization.zero_point = {AnInt()};
        return;
      case 2: {
        quantization.axis = static_cast<int32_t>(Below(4));
        const auto axis = static_cast<size_t>(quantization.axis);
        const size_t count =
            axis < tensor.shape.size() && tensor.shape[axis] < 1000
                ? static_cast<size_t>(tensor.shape[axis])
                : 1;
        quantization.scale.assign(count, 0.25F);
        quantization.zero_point.assign(count, 0);
        return;
      }
      case 3:
        if (!quantization.scale.empty()) {
          Pick(quantization.scale) = static_cast<float>(AFloat());
        }
        return;
      case 4:
        if (!quantization.zero_point.empty()) {
          Pick(quantization.zero_point) = AnInt();
        }
        return;
      default:
        quantization.details = graph::Quantization::Details::kBlockwise;
        quantization.scales_tensor = ATensor();
        quantization.zero_points_tensor = Coin() ? -1 : ATensor();
        quantization.block_size = 32;
    }
  }

  // An operator of any kind on tensors that are there, as the last one.
  void InsertOp() {
    if (subgraph_->tensors.empty()) return;
    const auto all = graph::AllOps();
    const graph::OpFacts& facts = all[Below(all.size())];
    Op op;
    op.code = facts.code;
    op.options.table = facts.options;
    for (size_t count = 1 + Below(3); count > 0; --count) {
      op.inputs.push_back(ATensor());
    }
    Tensor fresh = subgraph_->tensors[static_cast<size_t>(op.inputs[0])];
    fresh.name = "fresh" + std::to_string(subgraph_->tensors.size());
    fresh.buffer = 0;
    fresh.is_variable = false;
    fresh.sparsity.reset();
    const auto index = static_cast<int32_t>(subgraph_->tensors.size());
    subgraph_->tensors.push_back(std::move(fresh));
    op.outputs = {index};
    subgraph_->ops.push_back(std::move(op));
    subgraph_->outputs = {index};
    const auto mine = static_cast<size_t>(subgraph_ - graph_.subgraphs.data());
    for (graph::Signature& signature : graph_.signatures) {
      if (signature.subgraph != mine) continue;
      for (graph::NamedTensor& output : signature.outputs) {
        output.tensor = static_cast<uint32_t>(index);
      }
    }
  }

  void RemoveOp() {
    if (subgraph_->ops.empty()) return;
    subgraph_->ops.erase(subgraph_->ops.begin() +
                         static_cast<ptrdiff_t>(Below(subgraph_->ops.size())));
  }

  // A constant becomes an input, an input a variable, a variable nothing.
  void ChangeTensor() {
    if (subgraph_->tensors.empty()) return;
    const int32_t index = ATensor();
    Tensor& tensor = subgraph_->tensors[static_cast<size_t>(index)];
    if (tensor.buffer != 0) {
      tensor.buffer = 0;
      subgraph_->inputs.push_back(index);
    } else if (std::erase(subgraph_->inputs, index) > 0) {
      tensor.is_variable = Coin();
      if (!tensor.is_variable && tensor.type != Type::kString &&
          graph::ByteCount(tensor.type, tensor.shape) <= kLargestConstant) {
        Store(tensor, std::vector<std::byte>(
                          graph::ByteCount(tensor.type, tensor.shape),
                          static_cast<std::byte>(AnInt())));
      }
    } else {
      tensor.is_variable = !tensor.is_variable;
    }
  }

  Graph& graph_;
  std::minstd_rand rng_;
  Subgraph* subgraph_ = nullptr;
};

}  // namespace

size_t MutateGraph(uint8_t* data, size_t size, size_t max_size, uint32_t seed) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto owner =
      std::make_shared<std::vector<std::byte>>(bytes, bytes + size);
  const auto graph = format::ReadTflite(*owner, owner, "seed");
  if (!graph) return 0;
  constexpr uint32_t kTries = 8;
  for (uint32_t attempt = 0; attempt < kTries; ++attempt) {
    Graph changed = *graph;
    Mutator mutator(changed, seed * kTries + attempt + 1);
    for (uint32_t i = 0; i <= (seed >> 8) % 4; ++i) mutator.Change();
    if (!graph::Verify(changed)) continue;
    const auto written = format::WriteTfliteToMemory(changed);
    if (!written || written->size() > max_size) continue;
    std::memcpy(data, written->data(), written->size());
    return written->size();
  }
  return 0;
}

}  // namespace lathe::fuzz

// What tensors are: element types, layouts, quantization, signatures.

#ifndef LATHE_LITERT_TYPES_HPP_
#define LATHE_LITERT_TYPES_HPP_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lathe/litert/expected.hpp"

namespace lathe::litert {

enum class ElementType : int {
  None = 0,
  Bool = 6,
  Int2 = 20,
  Int4 = 18,
  Int8 = 9,
  Int16 = 7,
  Int32 = 2,
  Int64 = 4,
  UInt4 = 21,
  UInt8 = 3,
  UInt16 = 17,
  UInt32 = 16,
  UInt64 = 13,
  Float8E4M3FN = 22,
  Float8E5M2 = 23,
  Float16 = 10,
  BFloat16 = 19,
  Float32 = 1,
  Float64 = 11,
  Complex64 = 8,
  Complex128 = 12,
  TfResource = 14,
  TfString = 5,
  TfVariant = 15,
};

// Bytes of some elements; types below a byte share one.
class ByteWidth {
 public:
  constexpr explicit ByteWidth(size_t numerator, size_t denominator = 1)
      : numerator_(numerator), denominator_(denominator) {}
  constexpr size_t NumBytes(size_t elements = 1) const {
    return (elements * numerator_ + denominator_ - 1) / denominator_;
  }
  constexpr size_t operator*(size_t elements) const {
    return NumBytes(elements);
  }
  constexpr operator size_t() const { return NumBytes(); }

 private:
  size_t numerator_, denominator_;
};

// Empty for types that have no size of their own.
LATHE_EXPORT std::optional<ByteWidth> GetByteWidth(ElementType type);

// Of the element type that T is stored as; does not compile for others.
template <typename T>
constexpr ElementType GetElementType() {
  if constexpr (std::same_as<T, bool>)
    return ElementType::Bool;
  else if constexpr (std::same_as<T, int8_t>)
    return ElementType::Int8;
  else if constexpr (std::same_as<T, uint8_t>)
    return ElementType::UInt8;
  else if constexpr (std::same_as<T, int16_t>)
    return ElementType::Int16;
  else if constexpr (std::same_as<T, uint16_t>)
    return ElementType::UInt16;
  else if constexpr (std::same_as<T, int32_t>)
    return ElementType::Int32;
  else if constexpr (std::same_as<T, uint32_t>)
    return ElementType::UInt32;
  else if constexpr (std::same_as<T, int64_t>)
    return ElementType::Int64;
  else if constexpr (std::same_as<T, uint64_t>)
    return ElementType::UInt64;
  else if constexpr (std::same_as<T, float>)
    return ElementType::Float32;
  else {
    static_assert(std::same_as<T, double>, "no element type for this type");
    return ElementType::Float64;
  }
}

using Dimensions = std::vector<int32_t>;
using Strides = std::vector<uint32_t>;

class Layout {
 public:
  using Dim = int32_t;

  Layout() = default;
  explicit Layout(litert::Dimensions dimensions, litert::Strides strides = {})
      : dimensions_(std::move(dimensions)), strides_(std::move(strides)) {}

  bool operator==(const Layout& other) const = default;

  uint32_t Rank() const { return static_cast<uint32_t>(dimensions_.size()); }
  Span<const Dim> Dimensions() const { return dimensions_; }
  bool HasStrides() const { return !strides_.empty(); }
  Span<const uint32_t> Strides() const { return strides_; }
  // Errors: kErrorInvalidArgument for a dimension below 0, which means unknown.
  Expected<size_t> NumElements() const {
    size_t count = 1;
    for (const Dim dim : dimensions_) {
      if (dim < 0 || (dim > 0 && count > SIZE_MAX / 16 / dim)) {
        return Unexpected(litert::Status::kErrorInvalidArgument,
                          "a dimension of " + std::to_string(dim));
      }
      count *= static_cast<size_t>(dim);
    }
    return count;
  }

 private:
  litert::Dimensions dimensions_;
  litert::Strides strides_;
};

class RankedTensorType {
 public:
  RankedTensorType(litert::ElementType element_type, litert::Layout layout)
      : element_type_(element_type), layout_(std::move(layout)) {}

  bool operator==(const RankedTensorType& other) const = default;

  litert::ElementType ElementType() const { return element_type_; }
  void SetElementType(litert::ElementType type) { element_type_ = type; }
  const litert::Layout& Layout() const { return layout_; }
  // Without padding.
  Expected<size_t> Bytes() const {
    auto count = layout_.NumElements();
    if (!count) return count;
    const auto width = GetByteWidth(element_type_);
    if (!width) {
      return Unexpected(Status::kErrorInvalidArgument,
                        "an element type without a size");
    }
    return *width * *count;
  }

 private:
  litert::ElementType element_type_;
  litert::Layout layout_;
};

template <typename T>
RankedTensorType MakeRankedTensorType(
    std::initializer_list<Layout::Dim> shape) {
  return RankedTensorType(GetElementType<T>(), Layout(Dimensions(shape)));
}
template <typename T, typename Shape>
RankedTensorType MakeRankedTensorType(const Shape& shape) {
  return RankedTensorType(
      GetElementType<T>(),
      Layout(Dimensions(std::cbegin(shape), std::cend(shape))));
}

enum class QuantizationTypeId : int {
  None = 0,
  PerTensor = 1,
  PerChannel = 2,
  BlockWise = 3,
};
struct QuantizationPerTensor {
  float scale = 0;
  int64_t zero_point = 0;
};
// The arrays belong to the model.
struct QuantizationPerChannel {
  int32_t quantized_dimension = 0;
  uint64_t num_channels = 0;
  const float* scales = nullptr;
  const int64_t* zero_points = nullptr;
};
// No input or output is quantized in blocks: the getters below give this one.
struct QuantizationBlockWise {
  int32_t block_size = 0;
};

// A tensor of a signature. Belongs to the model and lives as long as it.
class SimpleTensor {
 public:
  litert::ElementType ElementType() const { return type_.ElementType(); }
  bool HasType(const litert::RankedTensorType& type) const {
    return type_ == type;
  }
  // Dimensions are -1 where the model lets them change.
  Expected<litert::RankedTensorType> RankedTensorType() const { return type_; }
  // The tensor's own name, not the signature's.
  StringView Name() const { return name_; }
  uint32_t TensorIndex() const { return index_; }
  QuantizationTypeId QTypeId() const { return quantization_; }
  bool HasQuantization() const {
    return quantization_ != QuantizationTypeId::None;
  }
  QuantizationPerTensor PerTensorQuantization() const { return per_tensor_; }
  QuantizationPerChannel PerChannelQuantization() const {
    return {channel_axis_, scales_.size(), scales_.data(),
            zeros_.empty() ? zero_points_.data() : zeros_.data()};
  }
  QuantizationBlockWise BlockWiseQuantization() const { return {}; }

 private:
  friend class SignatureTable;
  explicit SimpleTensor(litert::RankedTensorType type)
      : type_(std::move(type)) {}

  uint32_t index_ = 0;
  StringView name_;
  litert::RankedTensorType type_;
  QuantizationTypeId quantization_ = QuantizationTypeId::None;
  QuantizationPerTensor per_tensor_;
  int32_t channel_axis_ = 0;
  std::span<const float> scales_;
  std::span<const int64_t> zero_points_;
  std::vector<int64_t> zeros_;  // Where the file stores no zero points.
};

// The names and tensors of one entry of a model; copies share them. Keeps the
// model's file alive.
class SimpleSignature {
 public:
  StringView Key() const { return table_->key; }
  std::vector<StringView> InputNames() const { return table_->input_names; }
  std::vector<StringView> OutputNames() const { return table_->output_names; }
  // Errors: kErrorNotFound for a name, kErrorInvalidArgument for an index.
  LATHE_EXPORT Expected<const SimpleTensor&> InputTensor(StringView name) const;
  LATHE_EXPORT Expected<const SimpleTensor&> InputTensor(size_t index) const;
  LATHE_EXPORT Expected<const SimpleTensor&> OutputTensor(
      StringView name) const;
  LATHE_EXPORT Expected<const SimpleTensor&> OutputTensor(size_t index) const;
  template <typename Which>
  Expected<RankedTensorType> InputTensorType(const Which& which) const {
    auto tensor = InputTensor(which);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }
  template <typename Which>
  Expected<RankedTensorType> OutputTensorType(const Which& which) const {
    auto tensor = OutputTensor(which);
    if (!tensor) return tensor.Error();
    return tensor->RankedTensorType();
  }

 private:
  friend class SignatureTable;
  struct Table {
    StringView key;
    std::vector<StringView> input_names, output_names;
    std::vector<SimpleTensor> inputs, outputs;
    std::shared_ptr<const void> model;
  };
  explicit SimpleSignature(std::shared_ptr<const Table> table)
      : table_(std::move(table)) {}

  std::shared_ptr<const Table> table_;
};

// A view of bytes.
template <typename ByteT = uint8_t>
class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(const void* data, size_t end_offset, size_t start_offset = 0)
      : data_(static_cast<const ByteT*>(data) + start_offset),
        size_(end_offset > start_offset ? end_offset - start_offset : 0) {}
  explicit BufferRef(std::span<const ByteT> data)
      : data_(data.data()), size_(data.size()) {}
  const ByteT* Data() const { return data_; }
  size_t Size() const { return size_; }
  std::span<const ByteT> Span() const { return {data_, size_}; }

 private:
  const ByteT* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lathe::litert

#endif  // LATHE_LITERT_TYPES_HPP_

#include "src/report/real_values.h"

#include <cstdint>
#include <cstring>

#include "src/base/half.h"
#include "src/graph/graph.h"

namespace lathe::report {
namespace {

template <typename T>
T Load(std::span<const std::byte> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

// Numbers of `width` bits, the low bits of a byte first.
int Packed(std::span<const std::byte> bytes, size_t i, int width, bool sign) {
  const size_t per_byte = 8 / static_cast<size_t>(width);
  const int shift = static_cast<int>(i % per_byte) * width;
  const int value =
      std::to_integer<int>(bytes[i / per_byte]) >> shift & ((1 << width) - 1);
  return sign && (value >> (width - 1)) ? value - (1 << width) : value;
}

template <typename T>
double Plain(std::span<const std::byte> bytes, size_t i) {
  return static_cast<double>(Load<T>(bytes, i));
}

// scale * (q - zero_point), `stored` giving q of an element; without scales q.
// Elements that share a scale follow each other.
template <typename Stored>
void Fill(const TensorValue& value, const Stored& stored, std::span<float> to) {
  const QuantizationInfo& q = value.info.quantization;
  const size_t count = q.scales.size();
  size_t run = to.size();
  if (count > 1) {
    run = 1;
    const auto axis = static_cast<size_t>(q.axis);
    for (size_t d = axis + 1; d < value.info.shape.size(); ++d) {
      run *= static_cast<size_t>(value.info.shape[d]);
    }
  }
  for (size_t i = 0, group = 0; i < to.size(); i += run, ++group) {
    if (group == count) group = 0;
    const float scale = count == 0 ? 1.0f : q.scales[group];
    const size_t zeros = count == 0 ? 0 : q.zero_points.size();
    const auto zero = static_cast<float>(
        zeros == 0 ? 0 : q.zero_points[zeros == 1 ? 0 : group]);
    for (size_t j = i; j < i + run; ++j) {
      to[j] = scale * (static_cast<float>(stored(j)) - zero);
    }
  }
}

}  // namespace

Reader ReaderOf(ElementType type) {
  using Bytes = std::span<const std::byte>;
  switch (type) {
    case ElementType::kFloat32:
    case ElementType::kComplex64:
      return Plain<float>;
    case ElementType::kFloat64:
    case ElementType::kComplex128:
      return Plain<double>;
    case ElementType::kInt8:
      return Plain<int8_t>;
    case ElementType::kUint8:
      return Plain<uint8_t>;
    case ElementType::kInt16:
      return Plain<int16_t>;
    case ElementType::kUint16:
      return Plain<uint16_t>;
    case ElementType::kInt32:
      return Plain<int32_t>;
    case ElementType::kUint32:
      return Plain<uint32_t>;
    case ElementType::kInt64:
      return Plain<int64_t>;
    case ElementType::kUint64:
      return Plain<uint64_t>;
    case ElementType::kBool:
      return [](Bytes b, size_t i) { return Load<uint8_t>(b, i) ? 1.0 : 0.0; };
    case ElementType::kFloat16:
      return [](Bytes b, size_t i) -> double {
        return HalfToFloat(Load<uint16_t>(b, i));
      };
    case ElementType::kBfloat16:
      return [](Bytes b, size_t i) -> double {
        return Bf16ToFloat(Load<uint16_t>(b, i));
      };
    case ElementType::kInt4:
      return [](Bytes b, size_t i) -> double { return Packed(b, i, 4, true); };
    case ElementType::kUint4:
      return [](Bytes b, size_t i) -> double { return Packed(b, i, 4, false); };
    case ElementType::kInt2:
      return [](Bytes b, size_t i) -> double { return Packed(b, i, 2, true); };
    default:
      return nullptr;
  }
}

std::span<const float> RealValues(const TensorValue& value,
                                  std::vector<float>& space) {
  const ElementType type = value.info.type;
  const Reader read = ReaderOf(type);
  const size_t count = graph::ElementCount(value.info.shape);
  if (read == nullptr || type == ElementType::kComplex64 ||
      type == ElementType::kComplex128) {
    return {};
  }
  const bool plain = value.info.quantization.scales.empty();
  if (type == ElementType::kFloat32 && plain) {
    return {reinterpret_cast<const float*>(value.bytes.data()), count};
  }
  space.resize(count);
  const std::span<const std::byte> bytes = value.bytes;
  switch (type) {
    case ElementType::kInt8:
      Fill(value, [=](size_t i) { return Load<int8_t>(bytes, i); }, space);
      return space;
    case ElementType::kUint8:
      Fill(value, [=](size_t i) { return Load<uint8_t>(bytes, i); }, space);
      return space;
    case ElementType::kInt16:
      Fill(value, [=](size_t i) { return Load<int16_t>(bytes, i); }, space);
      return space;
    case ElementType::kInt4:
      Fill(value, [=](size_t i) { return Packed(bytes, i, 4, true); }, space);
      return space;
    case ElementType::kInt2:
      Fill(value, [=](size_t i) { return Packed(bytes, i, 2, true); }, space);
      return space;
    default:
      break;
  }
  const RealReader real(value);
  for (size_t i = 0; i < count; ++i) space[i] = static_cast<float>(real(i));
  return space;
}

}  // namespace lathe::report

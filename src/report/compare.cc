#include "src/report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include "src/base/half.h"
#include "src/graph/graph.h"

namespace lathe::report {
namespace {

// Takes pairs one by one, in two rounds: the first finds the largest |b|.
class Sum {
 public:
  Sum(const Tolerance& tolerance, TensorDifference& result)
      : tolerance_(tolerance), result_(result) {}

  bool NextRound() { return round_++ < 2; }

  // `apart` is |a - b| where both are finite.
  void Add(double a, double b, double apart) {
    const bool finite = std::isfinite(a) && std::isfinite(b);
    if (round_ == 1) {
      if (std::isfinite(b)) largest_ = std::max(largest_, std::abs(b));
    } else if (finite) {
      AddFinite(std::abs(b), apart);
    } else if (a != b && !(std::isnan(a) && std::isnan(b))) {
      ++result_.over;
      ++result_.not_finite;
    }
  }

  void Finish() {
    if (result_.elements == 0) return;
    result_.rms = std::sqrt(squares_ / static_cast<double>(result_.elements));
  }

 private:
  void AddFinite(double b, double apart) {
    result_.max_abs = std::max(result_.max_abs, apart);
    if (b != 0) result_.max_rel = std::max(result_.max_rel, apart / b);
    squares_ += apart * apart;
    const double allowed = tolerance_.absolute + tolerance_.relative * b +
                           tolerance_.of_largest * largest_;
    if (apart > allowed) ++result_.over;
  }

  const Tolerance tolerance_;
  TensorDifference& result_;
  int round_ = 0;
  double largest_ = 0, squares_ = 0;
};

template <typename T>
T Load(std::span<const std::byte> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
double Apart(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    const U difference = a > b ? static_cast<U>(a) - static_cast<U>(b)
                               : static_cast<U>(b) - static_cast<U>(a);
    return static_cast<double>(difference);
  } else {
    return std::abs(static_cast<double>(a) - static_cast<double>(b));
  }
}

// Numbers of `width` bits, the low bits of a byte first.
int Packed(std::span<const std::byte> bytes, size_t i, int width, bool sign) {
  const size_t per_byte = 8 / static_cast<size_t>(width);
  const int shift = static_cast<int>(i % per_byte) * width;
  const int value =
      std::to_integer<int>(bytes[i / per_byte]) >> shift & ((1 << width) - 1);
  return sign && (value >> (width - 1)) ? value - (1 << width) : value;
}

// How to read a number of a type; null for types that hold none.
using Reader = double (*)(std::span<const std::byte>, size_t);
template <typename T>
double Plain(std::span<const std::byte> bytes, size_t i) {
  return static_cast<double>(Load<T>(bytes, i));
}
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

bool IsComplex(ElementType type) {
  return type == ElementType::kComplex64 || type == ElementType::kComplex128;
}

// Reads element i as a real number.
class RealReader {
 public:
  explicit RealReader(const TensorValue& value)
      : value_(value), read_(ReaderOf(value.info.type)) {
    const std::vector<int32_t>& shape = value.info.shape;
    if (scales().size() > 1) {
      const auto axis = static_cast<size_t>(value.info.quantization.axis);
      for (size_t d = axis + 1; d < shape.size(); ++d) {
        inner_ *= static_cast<size_t>(shape[d]);
      }
    }
  }

  double operator()(size_t i) const {
    const double stored = read_(value_.bytes, i);
    if (scales().empty()) return stored;
    const size_t at = i / inner_ % scales().size();
    const auto& zero_points = value_.info.quantization.zero_points;
    const int64_t zero_point = zero_points.empty()       ? 0
                               : zero_points.size() == 1 ? zero_points[0]
                                                         : zero_points[at];
    return static_cast<double>(scales()[at]) *
           (stored - static_cast<double>(zero_point));
  }

 private:
  const std::vector<float>& scales() const {
    return value_.info.quantization.scales;
  }
  const TensorValue& value_;
  Reader read_;
  size_t inner_ = 1;
};

template <typename T>
void AddPlain(const TensorValue& a, const TensorValue& b, size_t count,
              Sum& sum) {
  for (size_t i = 0; i < count; ++i) {
    const T x = Load<T>(a.bytes, i), y = Load<T>(b.bytes, i);
    sum.Add(static_cast<double>(x), static_cast<double>(y), Apart(x, y));
  }
}

void AddStored(const TensorValue& a, const TensorValue& b, size_t count,
               Sum& sum) {
  switch (a.info.type) {
    case ElementType::kFloat32:
    case ElementType::kComplex64:
      return AddPlain<float>(a, b, count, sum);
    case ElementType::kInt64:  // Doubles do not hold them all.
      return AddPlain<int64_t>(a, b, count, sum);
    case ElementType::kUint64:
      return AddPlain<uint64_t>(a, b, count, sum);
    default:
      break;
  }
  const Reader read = ReaderOf(a.info.type);
  for (size_t i = 0; i < count; ++i) {
    const double x = read(a.bytes, i), y = read(b.bytes, i);
    sum.Add(x, y, std::abs(x - y));
  }
}

void AddReal(const TensorValue& a, const TensorValue& b, size_t count,
             Sum& sum) {
  const RealReader x(a), y(b);
  for (size_t i = 0; i < count; ++i) {
    const double p = x(i), q = y(i);
    sum.Add(p, q, std::abs(p - q));
  }
}

std::string Words(const TensorInfo& info) {
  return fmt::format("{} {}", Name(static_cast<graph::Type>(info.type)),
                     graph::ToString(info.shape));
}

bool SameQuantization(const QuantizationInfo& a, const QuantizationInfo& b) {
  const auto zero = [](const QuantizationInfo& q, size_t i) {
    if (q.zero_points.empty()) return int64_t{0};
    return q.zero_points[q.zero_points.size() == 1 ? 0 : i];
  };
  if (a.scales != b.scales) return false;
  if (a.scales.size() > 1 && a.axis != b.axis) return false;
  for (size_t i = 0; i < a.scales.size(); ++i) {
    if (zero(a, i) != zero(b, i)) return false;
  }
  return true;
}

}  // namespace

TensorDifference CompareValues(const TensorValue& a, const TensorValue& b,
                               const Tolerance& tolerance) {
  TensorDifference result;
  const bool strings = a.info.type == ElementType::kString;
  if (a.info.shape != b.info.shape ||
      strings != (b.info.type == ElementType::kString) ||
      IsComplex(a.info.type) != IsComplex(b.info.type)) {
    result.problem = fmt::format("{} against {}", Words(a.info), Words(b.info));
    return result;
  }
  Sum sum(tolerance, result);
  if (strings) {
    if (a.strings.size() != b.strings.size()) {
      result.problem = fmt::format("{} strings against {}", a.strings.size(),
                                   b.strings.size());
      return result;
    }
    result.elements = a.strings.size();
    while (sum.NextRound()) {
      for (size_t i = 0; i < a.strings.size(); ++i) {
        const double apart = a.strings[i] == b.strings[i] ? 0 : 1;
        sum.Add(apart, 0, apart);
      }
    }
    sum.Finish();
    return result;
  }
  for (const TensorValue* value : {&a, &b}) {
    const auto type = static_cast<graph::Type>(value->info.type);
    const uint64_t bytes = graph::ByteCount(type, value->info.shape);
    if (ReaderOf(value->info.type) == nullptr) {
      result.problem = fmt::format("{} holds no numbers", Name(type));
    } else if (value->bytes.size() != bytes) {
      result.problem =
          fmt::format("{} bytes, {} needed", value->bytes.size(), bytes);
    }
    if (!result.problem.empty()) return result;
  }
  result.elements = graph::ElementCount(a.info.shape);
  if (IsComplex(a.info.type)) result.elements *= 2;
  result.real_values =
      a.info.type != b.info.type ||
      !SameQuantization(a.info.quantization, b.info.quantization);
  while (sum.NextRound()) {
    if (result.real_values) {
      AddReal(a, b, result.elements, sum);
    } else {
      AddStored(a, b, result.elements, sum);
    }
  }
  sum.Finish();
  return result;
}

}  // namespace lathe::report

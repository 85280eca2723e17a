#include "src/report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include "src/graph/graph.h"
#include "src/report/real_values.h"

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

bool IsComplex(ElementType type) {
  return type == ElementType::kComplex64 || type == ElementType::kComplex128;
}

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

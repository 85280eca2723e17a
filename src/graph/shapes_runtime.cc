#include "src/graph/shapes_runtime.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

using Bytes = std::span<const std::byte>;

// use(T{}) with the number type; false for a type that is none.
template <typename F>
bool WithNumber(Type type, const F& use) {
  switch (type) {
    case Type::kFloat32:
      use(float{});
      return true;
    case Type::kFloat64:
      use(double{});
      return true;
    case Type::kInt8:
      use(int8_t{});
      return true;
    case Type::kUint8:
    case Type::kBool:
      use(uint8_t{});
      return true;
    case Type::kInt16:
      use(int16_t{});
      return true;
    case Type::kUint16:
      use(uint16_t{});
      return true;
    case Type::kInt32:
      use(int32_t{});
      return true;
    case Type::kUint32:
      use(uint32_t{});
      return true;
    case Type::kInt64:
      use(int64_t{});
      return true;
    case Type::kUint64:
      use(uint64_t{});
      return true;
    default:
      return false;
  }
}

template <typename T>
T Read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
std::vector<T> ReadAll(Bytes bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) {
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  }
  return values;
}

// Elements that are not 0; any type whose 0 is bytes of 0, but for the sign of
// floats.
int64_t CountNotZero(Type type, Bytes bytes) {
  int64_t count = 0;
  const bool counted = WithNumber(type, [&]<typename T>(T) {
    for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      count += Read<T>(bytes.data() + at) != T(0);
    }
  });
  if (counted) return count;
  if (type == Type::kComplex64) {
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      count += Read<float>(bytes.data() + at) != 0 ||
               Read<float>(bytes.data() + at + 4) != 0;
    }
    return count;
  }
  for (size_t at = 0; at + 2 <= bytes.size(); at += 2) {  // 16-bit floats.
    count += (Read<uint16_t>(bytes.data() + at) & 0x7FFF) != 0;
  }
  return count;
}

// Different values; all NaNs are one.
int64_t CountDifferent(Type type, Bytes bytes) {
  int64_t count = 0;
  WithNumber(type, [&]<typename T>(T) {
    std::vector<T> values = ReadAll<T>(bytes);
    const auto end = std::partition(values.begin(), values.end(),
                                    [](T v) { return v == v; });
    count = end != values.end();
    std::sort(values.begin(), end);
    count += std::unique(values.begin(), end) - values.begin();
  });
  return count;
}

bool IsWhereType(Type type) {
  return WithNumber(type, [](auto) {}) || type == Type::kFloat16 ||
         type == Type::kBfloat16 || type == Type::kComplex64;
}

}  // namespace

Status Where(RuleCall& call) {
  const KnownTensor& x = call.In(0);
  int64_t count = 0;
  if (x.values) {
    count = std::ranges::count_if(*x.values, [](int64_t v) { return v != 0; });
  } else if (call.more.input_bytes.empty()) {
    return Unsupported(
        "the output's shape depends on the values of input 0 (shape {}), which "
        "are only known when the model runs",
        ToString(x.shape));
  } else if (!IsWhereType(x.type)) {
    return Unsupported("no {} can be compared with 0", Name(x.type));
  } else {
    count = CountNotZero(x.type, call.more.input_bytes[0]);
  }
  return call.Give(0, Type::kInt64,
                   Dims{count, static_cast<int64_t>(x.shape.size())});
}

Status Unique(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 1, 1));
  const KnownTensor& x = call.In(0);
  int64_t count = 0;
  if (x.values) {
    std::vector<int64_t> values = *x.values;
    std::ranges::sort(values);
    count = std::unique(values.begin(), values.end()) - values.begin();
  } else if (call.more.input_bytes.empty()) {
    return Unsupported(
        "the output's shape depends on the values of input 0 (shape {}), which "
        "are only known when the model runs",
        ToString(x.shape));
  } else if (!WithNumber(x.type, [](auto) {})) {
    return Unsupported("no {} can be compared", Name(x.type));
  } else {
    count = CountDifferent(x.type, call.more.input_bytes[0]);
  }
  const bool wide =
      call.op.options.Int("idx_out_type", static_cast<int64_t>(Type::kInt32)) ==
      static_cast<int64_t>(Type::kInt64);
  LATHE_TRY(call.Give(0, x.type, Dims{count}));
  return call.Give(1, wide ? Type::kInt64 : Type::kInt32, x.shape);
}

Result<int64_t> RangeLength(Type type, const std::byte* start,
                            const std::byte* limit, const std::byte* delta) {
  Result<int64_t> length = Unsupported("no range of {}", Name(type));
  if (type == Type::kBool) return length;
  WithNumber(type, [&]<typename T>(T) {
    const T first = Read<T>(start), end = Read<T>(limit), step = Read<T>(delta);
    // Also false for NaN.
    const bool leads = step > 0 ? first <= end : step < 0 && first >= end;
    if (!leads) {
      length =
          Invalid("a range from {} to {} in steps of {}", first, end, step);
      return;
    }
    uint64_t count = 0;
    if constexpr (std::is_floating_point_v<T>) {
      const T exact = std::ceil(std::abs((end - first) / step));
      count = exact <= static_cast<T>(INT32_MAX) ? static_cast<uint64_t>(exact)
                                                 : UINT64_MAX;
    } else {
      // Distances fit the unsigned type of the same width.
      const auto wide = [](T v) { return static_cast<uint64_t>(v); };
      const uint64_t distance =
          step > 0 ? wide(end) - wide(first) : wide(first) - wide(end);
      const uint64_t pace = step > 0 ? wide(step) : 0 - wide(step);
      count = distance / pace + (distance % pace != 0);
    }
    if (count > INT32_MAX) {
      length = Invalid("a range from {} to {} in steps of {} is too long",
                       first, end, step);
      return;
    }
    length = static_cast<int64_t>(count);
  });
  return length;
}

Result<std::vector<KnownTensor>> InferOpWithValues(
    const Graph& graph, const Op& op,
    std::span<const KnownTensor* const> inputs,
    std::span<const Bytes> input_bytes, std::span<const Type> stored_types) {
  if (inputs.size() != input_bytes.size()) {
    return Invalid("{} inputs but bytes of {}", inputs.size(),
                   input_bytes.size());
  }
  std::vector<KnownTensor> known(inputs.size());
  std::vector<const KnownTensor*> pointers(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    known[i] = *inputs[i];
    pointers[i] = &known[i];
    const uint64_t count = ElementCount(known[i].shape);
    // Strings and resources have no fixed size.
    if (BitsPerElement(known[i].type) > 0 &&
        input_bytes[i].size() != ByteCount(known[i].type, known[i].shape)) {
      return Invalid("input {} is {}{}, but has {} bytes", i,
                     Name(known[i].type), ToString(known[i].shape),
                     input_bytes[i].size());
    }
    // What small integers come to is worked out on the way; rules read others
    // from the bytes when they need them.
    if (IsFollowed(known[i].type) && count <= kMostFollowedValues) {
      known[i].values = IntegersIn(known[i].type, count, input_bytes[i]);
    }
  }
  Walk walk;
  return InferOpAt(graph, op, pointers, walk, {stored_types, input_bytes});
}

}  // namespace lathe::graph

// Types, sizes, buffers and option getters of the graph.

#include "src/graph/graph.h"

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <variant>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace lathe::graph {
namespace {

struct TypeFacts {
  std::string_view name;
  size_t bits;
};

// By the number of the type.
constexpr TypeFacts kTypes[] = {
    {"float32", 32},      {"float16", 16},    {"int32", 32},
    {"uint8", 8},         {"int64", 64},      {"string", 0},
    {"bool", 8},          {"int16", 16},      {"complex64", 64},
    {"int8", 8},          {"float64", 64},    {"complex128", 128},
    {"uint64", 64},       {"resource", 0},    {"variant", 0},
    {"uint32", 32},       {"uint16", 16},     {"int4", 4},
    {"bfloat16", 16},     {"int2", 2},        {"uint4", 4},
    {"float8_e4m3fn", 8}, {"float8_e5m2", 8},
};
static_assert(std::size(kTypes) == static_cast<size_t>(Type::kFloat8E5m2) + 1);

// a * b, or the largest number when that does not fit.
uint64_t SaturatingMultiply(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

// A file may hold NaN, which is not equal to itself as a number.
template <typename T>
bool SameBits(const T& a, const T& b) {
  return a == b;
}
bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}
bool SameBits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}
template <std::floating_point T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](T x, T y) { return SameBits(x, y); });
}

}  // namespace

bool Quantization::operator==(const Quantization& other) const {
  return SameBits(min, other.min) && SameBits(max, other.max) &&
         SameBits(scale, other.scale) && zero_point == other.zero_point &&
         axis == other.axis && details == other.details &&
         custom == other.custom && scales_tensor == other.scales_tensor &&
         zero_points_tensor == other.zero_points_tensor &&
         block_size == other.block_size && axes == other.axes;
}

bool Attribute::operator==(const Attribute& other) const {
  if (name != other.name || value.index() != other.value.index()) return false;
  return std::visit(
      [&](const auto& mine) {
        return SameBits(mine,
                        std::get<std::decay_t<decltype(mine)>>(other.value));
      },
      value);
}

std::string_view Name(Type type) {
  const auto index = static_cast<size_t>(type);
  return index < std::size(kTypes) ? kTypes[index].name : "unknown";
}

std::optional<Type> TypeNamed(std::string_view name) {
  const auto found = std::ranges::find(kTypes, name, &TypeFacts::name);
  if (found == std::end(kTypes)) return std::nullopt;
  return static_cast<Type>(found - std::begin(kTypes));
}

size_t BitsPerElement(Type type) {
  const auto index = static_cast<size_t>(type);
  return index < std::size(kTypes) ? kTypes[index].bits : 0;
}

uint64_t ElementCount(std::span<const int32_t> shape) {
  // A zero anywhere makes the product zero, also next to dims that overflow.
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  uint64_t count = 1;
  for (const int32_t dim : shape) {
    count = SaturatingMultiply(count, static_cast<uint64_t>(dim));
  }
  return count;
}

uint64_t ByteCount(Type type, std::span<const int32_t> shape) {
  const uint64_t count = ElementCount(shape);
  const uint64_t bits = BitsPerElement(type);
  if (bits >= 8) return SaturatingMultiply(count, bits / 8);
  // ceil(count * bits / 8) without overflow: 8 / bits elements fill a byte.
  if (bits == 0) return 0;
  const uint64_t per_byte = 8 / bits;
  return count / per_byte + (count % per_byte != 0);
}

bool OffsetsFit(std::span<const int32_t> shape) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 62;
  uint64_t bytes = 16;
  for (const int32_t dim : shape) {
    bytes = SaturatingMultiply(bytes, static_cast<uint64_t>(std::max(dim, 1)));
  }
  return bytes < kMostBytes;
}

std::string ToString(std::span<const int32_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

Buffer MakeBuffer(std::span<const std::byte> bytes) {
  auto copy =
      std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
  Buffer buffer;
  buffer.bytes = *copy;
  buffer.owner = std::move(copy);
  return buffer;
}

const AttributeValue* Options::Find(std::string_view name) const {
  const auto found = std::ranges::find(fields, name, &Attribute::name);
  return found == fields.end() ? nullptr : &found->value;
}

int64_t Options::Int(std::string_view name, int64_t otherwise) const {
  const AttributeValue* value = Find(name);
  if (value == nullptr) return otherwise;
  if (const auto* number = std::get_if<int64_t>(value)) return *number;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return otherwise;
}

bool Options::Bool(std::string_view name, bool otherwise) const {
  const AttributeValue* value = Find(name);
  if (value == nullptr) return otherwise;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  if (const auto* number = std::get_if<int64_t>(value)) return *number != 0;
  return otherwise;
}

double Options::Float(std::string_view name, double otherwise) const {
  const AttributeValue* value = Find(name);
  if (value == nullptr) return otherwise;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<int64_t>(value)) {
    return static_cast<double>(*number);
  }
  return otherwise;
}

std::string Options::Text(std::string_view name) const {
  const AttributeValue* value = Find(name);
  const auto* text = value ? std::get_if<std::string>(value) : nullptr;
  return text ? *text : std::string();
}

std::vector<int64_t> Options::Ints(std::string_view name) const {
  const AttributeValue* value = Find(name);
  const auto* list = value ? std::get_if<std::vector<int64_t>>(value) : nullptr;
  return list ? *list : std::vector<int64_t>();
}

Graph Graph::Empty() {
  Graph graph;
  graph.buffers.emplace_back();
  return graph;
}

}  // namespace lathe::graph

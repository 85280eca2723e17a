#include "cli/fill.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "cli/problem.h"

namespace lathe::cli {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): a good stream from any seed.
uint64_t Next(uint64_t& state) {
  uint64_t z = (state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

template <typename T, typename F>
void Fill(std::span<std::byte> bytes, const F& value) {
  for (size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    const T v = value();
    std::memcpy(bytes.data() + i, &v, sizeof(T));
  }
}

// The bits of a number in [-1, 1) as float16: exactly m * 2^-10 for an 11-bit
// integer m, which every such float16 can hold.
uint16_t HalfOf(int thousandths) {
  if (thousandths == 0) return 0;
  const uint16_t sign = thousandths < 0 ? 0x8000 : 0;
  uint32_t magnitude = static_cast<uint32_t>(std::abs(thousandths));
  int exponent = 15;  // Of 1.0, that is magnitude 1024.
  while (magnitude < 1024) {
    magnitude <<= 1;
    --exponent;
  }
  return static_cast<uint16_t>(sign | exponent << 10 | (magnitude & 0x3FF));
}

}  // namespace

Result<std::pair<std::string, std::vector<int32_t>>> ParseResize(
    const std::string& text) {
  const size_t equals = text.find('=');
  std::vector<int32_t> shape;
  const char* at = text.data() + (equals == text.npos ? 0 : equals + 1);
  const char* end = text.data() + text.size();
  while (equals != text.npos && at < end) {
    int32_t dim = 0;
    const auto [rest, error] = std::from_chars(at, end, dim);
    if (error != std::errc() || dim < 1 || (rest != end && *rest != ',')) break;
    shape.push_back(dim);
    at = rest == end ? end : rest + 1;
    if (rest == end) return std::pair(text.substr(0, equals), shape);
  }
  return Usage("--resize {}: expected NAME=D,D,... with whole dims above 0",
               text);
}

Status FillRandom(ElementType type, std::span<std::byte> bytes, uint64_t seed) {
  uint64_t state = seed;
  const auto uniform = [&] {
    return static_cast<double>(Next(state) >> 11) * 0x1p-52 - 1.0;
  };
  switch (type) {
    case ElementType::kFloat32:
    case ElementType::kComplex64:
      Fill<float>(bytes, [&] { return static_cast<float>(uniform()); });
      return {};
    case ElementType::kFloat64:
    case ElementType::kComplex128:
      Fill<double>(bytes, uniform);
      return {};
    case ElementType::kFloat16:
      Fill<uint16_t>(bytes, [&] {
        return HalfOf(static_cast<int>(Next(state) >> 53) - 1024);
      });
      return {};
    case ElementType::kBfloat16:
      Fill<uint16_t>(bytes, [&] {
        const float value = static_cast<float>(uniform());
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        return static_cast<uint16_t>(bits >> 16);
      });
      return {};
    // Whole numbers are mostly indices, masks and counts.
    case ElementType::kInt32:
    case ElementType::kUint32:
      Fill<int32_t>(bytes,
                    [&] { return static_cast<int32_t>(Next(state) & 1); });
      return {};
    case ElementType::kInt64:
    case ElementType::kUint64:
      Fill<int64_t>(bytes,
                    [&] { return static_cast<int64_t>(Next(state) & 1); });
      return {};
    case ElementType::kBool:
      Fill<uint8_t>(bytes,
                    [&] { return static_cast<uint8_t>(Next(state) & 1); });
      return {};
    case ElementType::kInt8:
    case ElementType::kUint8:
    case ElementType::kInt4:
    case ElementType::kUint4:
    case ElementType::kInt2:
      Fill<uint8_t>(bytes, [&] { return static_cast<uint8_t>(Next(state)); });
      return {};
    case ElementType::kInt16:
    case ElementType::kUint16:
      Fill<uint16_t>(bytes, [&] { return static_cast<uint16_t>(Next(state)); });
      return {};
    default:
      return Trouble(ErrorCode::kUnsupported, "no random values for {}",
                     Name(type));
  }
}

Status FillOnes(ElementType type, std::span<std::byte> bytes) {
  switch (type) {
    case ElementType::kFloat32:
      Fill<float>(bytes, [] { return 1.0f; });
      return {};
    case ElementType::kFloat64:
      Fill<double>(bytes, [] { return 1.0; });
      return {};
    case ElementType::kFloat16:
      Fill<uint16_t>(bytes, [] { return uint16_t{0x3C00}; });
      return {};
    case ElementType::kBfloat16:
      Fill<uint16_t>(bytes, [] { return uint16_t{0x3F80}; });
      return {};
    // Real parts are 1, imaginary ones 0.
    case ElementType::kComplex64:
      Fill<uint64_t>(bytes, [] { return uint64_t{0x3F800000}; });
      return {};
    case ElementType::kComplex128: {
      double part = 0;
      Fill<double>(bytes, [&] { return part = 1 - part; });
      return {};
    }
    case ElementType::kInt4:
    case ElementType::kUint4:
      Fill<uint8_t>(bytes, [] { return uint8_t{0x11}; });
      return {};
    case ElementType::kInt2:
      Fill<uint8_t>(bytes, [] { return uint8_t{0x55}; });
      return {};
    case ElementType::kInt32:
    case ElementType::kUint32:
      Fill<int32_t>(bytes, [] { return 1; });
      return {};
    case ElementType::kInt64:
    case ElementType::kUint64:
      Fill<int64_t>(bytes, [] { return int64_t{1}; });
      return {};
    case ElementType::kInt16:
    case ElementType::kUint16:
      Fill<int16_t>(bytes, [] { return int16_t{1}; });
      return {};
    case ElementType::kInt8:
    case ElementType::kUint8:
    case ElementType::kBool:
      Fill<int8_t>(bytes, [] { return int8_t{1}; });
      return {};
    default:
      return Trouble(ErrorCode::kUnsupported, "no ones for {}", Name(type));
  }
}

std::vector<std::string> RandomWords(size_t count, uint64_t seed) {
  uint64_t state = seed;
  std::vector<std::string> words(count);
  for (std::string& word : words) {
    for (uint64_t letters = 1 + Next(state) % 8; letters > 0; --letters) {
      word += static_cast<char>('a' + Next(state) % 26);
    }
  }
  return words;
}

}  // namespace lathe::cli

#include "cli/fill.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string_view>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace lathe::cli {
namespace {

template <typename... Args>
std::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> text,
                            Args&&... args) {
  return std::unexpected<Error>(
      Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

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

size_t BytesOf(ElementType type) {
  switch (type) {
    case ElementType::kFloat64:
    case ElementType::kInt64:
    case ElementType::kUint64:
    case ElementType::kComplex64:
      return 8;
    case ElementType::kFloat32:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 4;
    case ElementType::kFloat16:
    case ElementType::kInt16:
    case ElementType::kUint16:
      return 2;
    case ElementType::kInt8:
    case ElementType::kUint8:
    case ElementType::kBool:
      return 1;
    default:
      return 0;
  }
}

struct Descr {
  std::string_view text;
  ElementType type;
};
constexpr Descr kDescrs[] = {
    {"<f4", ElementType::kFloat32},  {"<f8", ElementType::kFloat64},
    {"<f2", ElementType::kFloat16},  {"<i4", ElementType::kInt32},
    {"<i8", ElementType::kInt64},    {"<i2", ElementType::kInt16},
    {"|i1", ElementType::kInt8},     {"|u1", ElementType::kUint8},
    {"<u2", ElementType::kUint16},   {"<u4", ElementType::kUint32},
    {"<u8", ElementType::kUint64},   {"|b1", ElementType::kBool},
    {"<c8", ElementType::kComplex64}};

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
  return Fail(ErrorCode::kUsage,
              "--resize {}: expected NAME=D,D,... with whole dims above 0",
              text);
}

Status FillRandom(ElementType type, std::span<std::byte> bytes, uint64_t seed) {
  uint64_t state = seed;
  const auto uniform = [&] {
    return static_cast<double>(Next(state) >> 11) * 0x1p-52 - 1.0;
  };
  switch (type) {
    case ElementType::kFloat32:
      Fill<float>(bytes, [&] { return static_cast<float>(uniform()); });
      return {};
    case ElementType::kFloat64:
      Fill<double>(bytes, uniform);
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
      Fill<uint8_t>(bytes, [&] { return static_cast<uint8_t>(Next(state)); });
      return {};
    case ElementType::kInt16:
    case ElementType::kUint16:
      Fill<uint16_t>(bytes, [&] { return static_cast<uint16_t>(Next(state)); });
      return {};
    default:
      return Fail(ErrorCode::kUnsupported, "no random values for {}",
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
      return Fail(ErrorCode::kUnsupported, "no ones for {}", Name(type));
  }
}

Status FillInputs(Session& session, uint64_t seed) {
  for (const TensorInfo& input : session.inputs()) {
    const auto bytes = session.InputBytes(input.name);
    if (!bytes) continue;  // A stored constant keeps its value.
    if (const Status s = FillRandom(input.type, *bytes, seed); !s) return s;
  }
  return {};
}

Result<Array> ReadNpy(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(ErrorCode::kInvalidInput, "{}: cannot be read", path);
  char magic[8] = {};
  in.read(magic, 8);
  if (!in || std::memcmp(magic, "\x93NUMPY", 6) != 0 || magic[6] < 1 ||
      magic[6] > 3) {
    return Fail(ErrorCode::kInvalidInput, "{}: not a .npy file", path);
  }
  uint32_t length = 0;
  in.read(reinterpret_cast<char*>(&length), magic[6] == 1 ? 2 : 4);
  if (!in || length > 65536) {
    return Fail(ErrorCode::kInvalidInput, "{}: header of {} bytes", path,
                length);
  }
  std::string header(length, '\0');
  in.read(header.data(), length);
  const auto value = [&](std::string_view key) -> std::string_view {
    const size_t at = header.find(fmt::format("'{}':", key));
    if (at == header.npos) return {};
    return std::string_view(header).substr(at + key.size() + 3);
  };
  Array array;
  bool known = false;
  const std::string_view descr = value("descr");
  for (const Descr& row : kDescrs) {
    if (descr.find(fmt::format("'{}'", row.text)) < 3) {
      array.type = row.type;
      known = true;
    }
  }
  const std::string_view order = value("fortran_order");
  if (!in || !known || order.find("False") > 2) {
    return Fail(ErrorCode::kInvalidInput,
                "{}: header {}: expected a little-endian plain type in C order",
                path, header);
  }
  const std::string_view shape = value("shape");
  const size_t open = shape.find('('), close = shape.find(')');
  if (open == shape.npos || close == shape.npos) {
    return Fail(ErrorCode::kInvalidInput, "{}: no shape", path);
  }
  uint64_t elements = 1;
  for (size_t i = open + 1; i < close;) {
    if (shape[i] == ' ' || shape[i] == ',') {
      ++i;
      continue;
    }
    int32_t dim = 0;
    const auto [rest, error] =
        std::from_chars(shape.data() + i, shape.data() + close, dim);
    if (error != std::errc() || dim < 0 || array.shape.size() >= 16 ||
        __builtin_mul_overflow(elements, static_cast<uint64_t>(dim),
                               &elements) ||
        elements > (uint64_t{1} << 36)) {
      return Fail(ErrorCode::kInvalidInput, "{}: shape {} is not allowed", path,
                  shape.substr(open, close - open + 1));
    }
    array.shape.push_back(dim);
    i = static_cast<size_t>(rest - shape.data());
  }
  const std::streampos at = in.tellg();
  in.seekg(0, std::ios::end);
  const uint64_t rest = static_cast<uint64_t>(in.tellg() - at);
  const uint64_t need = elements * BytesOf(array.type);
  if (rest != need) {
    return Fail(ErrorCode::kInvalidInput, "{}: {} bytes of values, {} needed",
                path, rest, need);
  }
  in.seekg(at);
  array.bytes.resize(need);
  in.read(reinterpret_cast<char*>(array.bytes.data()),
          static_cast<std::streamsize>(need));
  if (!in && need > 0) {
    return Fail(ErrorCode::kSystem, "{}: cannot be read", path);
  }
  return array;
}

Status WriteNpy(const std::string& path, ElementType type,
                std::span<const int32_t> shape,
                std::span<const std::byte> bytes) {
  std::string_view descr;
  for (const Descr& row : kDescrs) {
    if (row.type == type) descr = row.text;
  }
  if (descr.empty()) {
    return Fail(ErrorCode::kUnsupported, "{}: no .npy type for {}", path,
                Name(type));
  }
  std::string header = fmt::format(
      "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
      fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  const std::string part = path + ".part";
  std::ofstream out(part, std::ios::binary);
  const uint16_t length = static_cast<uint16_t>(header.size());
  out.write("\x93NUMPY\x01\x00", 8);
  out.write(reinterpret_cast<const char*>(&length), 2);
  out << header;
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out || std::rename(part.c_str(), path.c_str()) != 0) {
    std::remove(part.c_str());
    return Fail(ErrorCode::kSystem, "{}: cannot be written", path);
  }
  return {};
}

}  // namespace lathe::cli

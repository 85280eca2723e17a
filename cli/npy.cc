#include "cli/npy.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/problem.h"
#include "fmt/ranges.h"

namespace lathe::cli {
namespace {

struct NumberType {
  std::string_view code;  // Kind and bytes, as in "<f4".
  ElementType type;
  size_t bytes;
  size_t parts = 1;  // Numbers that are swapped one by one.
};
constexpr NumberType kTypes[] = {{"f4", ElementType::kFloat32, 4},
                                 {"f8", ElementType::kFloat64, 8},
                                 {"f2", ElementType::kFloat16, 2},
                                 {"i1", ElementType::kInt8, 1},
                                 {"i2", ElementType::kInt16, 2},
                                 {"i4", ElementType::kInt32, 4},
                                 {"i8", ElementType::kInt64, 8},
                                 {"u1", ElementType::kUint8, 1},
                                 {"u2", ElementType::kUint16, 2},
                                 {"u4", ElementType::kUint32, 4},
                                 {"u8", ElementType::kUint64, 8},
                                 {"b1", ElementType::kBool, 1},
                                 {"c8", ElementType::kComplex64, 8, 2},
                                 {"c16", ElementType::kComplex128, 16, 2}};

const NumberType* RowOf(ElementType type) {
  const auto* row = std::ranges::find(kTypes, type, &NumberType::type);
  return row == std::end(kTypes) ? nullptr : row;
}

// Packed integers: bits of one, and whether the highest is a sign.
struct Narrow {
  ElementType type;
  int bits;
  bool is_signed;
};
constexpr Narrow kNarrow[] = {{ElementType::kInt4, 4, true},
                              {ElementType::kInt2, 2, true},
                              {ElementType::kUint4, 4, false}};
const Narrow* NarrowOf(ElementType type) {
  const auto* row = std::ranges::find(kNarrow, type, &Narrow::type);
  return row == std::end(kNarrow) ? nullptr : row;
}

// The header is the text of a Python dictionary.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  // False when it is not the dictionary that every .npy file begins with.
  bool Read(std::string& descr, bool& fortran, std::vector<int64_t>& shape) {
    bool has_descr = false, has_order = false, has_shape = false;
    if (!Take('{')) return false;
    while (!Take('}')) {
      std::string key;
      if (!String(key) || !Take(':')) return false;
      if (key == "descr") {
        has_descr = String(descr);
        if (!has_descr) return false;
      } else if (key == "fortran_order") {
        fortran = Word("True");
        has_order = fortran || Word("False");
        if (!has_order) return false;
      } else if (key == "shape") {
        has_shape = Tuple(shape);
        if (!has_shape) return false;
      } else {
        return false;
      }
      if (!Take(',') && !Peek('}')) return false;
    }
    return has_descr && has_order && has_shape;
  }

 private:
  void Skip() {
    while (at_ < text_.size() &&
           std::isspace(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
    }
  }
  bool Peek(char c) {
    Skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool Take(char c) {
    if (!Peek(c)) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view word) {
    Skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool String(std::string& value) {
    Skip();
    if (at_ >= text_.size()) return false;
    const char quote = text_[at_];
    if (quote != '\'' && quote != '"') return false;
    const size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos) return false;
    value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  bool Tuple(std::vector<int64_t>& values) {
    if (!Take('(')) return false;
    while (!Take(')')) {
      Skip();
      int64_t value = 0;
      const auto [end, error] = std::from_chars(
          text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc()) return false;
      at_ = static_cast<size_t>(end - text_.data());
      values.push_back(value);
      if (!Take(',') && !Peek(')')) return false;
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

// A header is quoted in messages: no control bytes, not endless.
std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 120)) {
    out += static_cast<unsigned char>(c) < 0x20 ||
                   static_cast<unsigned char>(c) >= 0x7F
               ? ' '
               : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::vector<std::byte> ToRowMajor(const NpyFile& file, size_t size,
                                  std::vector<std::byte> bytes) {
  const size_t rank = file.shape.size();
  std::vector<std::byte> out(bytes.size());
  std::vector<int32_t> index(rank);  // Counts with the last axis innermost.
  std::vector<uint64_t> stride(rank, 1);
  for (size_t d = 1; d < rank; ++d) {
    stride[d] = stride[d - 1] * static_cast<uint64_t>(file.shape[d - 1]);
  }
  uint64_t from = 0;
  for (uint64_t to = 0; to < file.elements; ++to) {
    std::memcpy(out.data() + to * size, bytes.data() + from * size, size);
    for (size_t d = rank; d-- > 0;) {
      from += stride[d];
      if (++index[d] < file.shape[d]) break;
      from -= stride[d] * static_cast<uint64_t>(file.shape[d]);
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

Result<NpyFile> OpenNpy(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Wrong("{}: cannot be read", path);
  NpyFile file;
  file.path = path;
  char magic[8] = {};
  in.read(magic, 8);
  if (!in || std::memcmp(magic, "\x93NUMPY", 6) != 0 || magic[6] < 1 ||
      magic[6] > 3) {
    return Wrong("{}: not a .npy file of version 1 to 3", path);
  }
  unsigned char size[4] = {};
  const int size_bytes = magic[6] == 1 ? 2 : 4;
  in.read(reinterpret_cast<char*>(size), size_bytes);
  const uint32_t length = size[0] | static_cast<uint32_t>(size[1]) << 8 |
                          static_cast<uint32_t>(size[2]) << 16 |
                          static_cast<uint32_t>(size[3]) << 24;
  if (!in || length > 65536) {
    return Wrong("{}: header of {} bytes, at most 65536", path, length);
  }
  std::string header(length, '\0');
  in.read(header.data(), length);
  std::string descr;
  std::vector<int64_t> shape;
  if (!in || !HeaderReader(header).Read(descr, file.fortran, shape)) {
    return Wrong("{}: header \"{}\" is not that of a plain array", path,
                 Printable(header));
  }
  const auto* row = std::end(kTypes);
  if (descr.size() > 1 && std::string_view("<>|=").contains(descr[0])) {
    row = std::ranges::find(kTypes, std::string_view(descr).substr(1),
                            &NumberType::code);
  }
  if (row == std::end(kTypes) || (descr[0] == '|' && row->bytes > 1)) {
    return Wrong(
        "{}: type \"{}\"; allowed: bool, integers of 1 to 8 bytes, float16 to "
        "float64, complex64, complex128",
        path, Printable(descr));
  }
  file.type = row->type;
  file.swapped = descr[0] == '>' && row->bytes > 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || dim > INT32_MAX || file.shape.size() >= 16 ||
        __builtin_mul_overflow(file.elements, static_cast<uint64_t>(dim),
                               &file.elements) ||
        file.elements > (uint64_t{1} << 40)) {
      return Wrong("{}: shape ({}) is not allowed", path,
                   fmt::join(shape, ", "));
    }
    file.shape.push_back(static_cast<int32_t>(dim));
  }
  file.offset = static_cast<uint64_t>(in.tellg());
  in.seekg(0, std::ios::end);
  const uint64_t found = static_cast<uint64_t>(in.tellg()) - file.offset;
  const uint64_t needed = file.elements * row->bytes;
  if (!in || found != needed) {
    return Wrong("{}: {} bytes of values, {} needed for shape [{}]", path,
                 found, needed, fmt::join(file.shape, ","));
  }
  return file;
}

Result<std::vector<std::byte>> ReadNpyValues(const NpyFile& file) {
  const NumberType& row = *RowOf(file.type);
  std::vector<std::byte> bytes(file.elements * row.bytes);
  std::ifstream in(file.path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(file.offset));
  in.read(reinterpret_cast<char*>(bytes.data()),
          static_cast<std::streamsize>(bytes.size()));
  if (!in && !bytes.empty()) {
    return SystemTrouble("{}: cannot be read", file.path);
  }
  if (file.swapped) {
    const size_t width = row.bytes / row.parts;
    for (size_t at = 0; at < bytes.size(); at += width) {
      std::reverse(bytes.begin() + static_cast<ptrdiff_t>(at),
                   bytes.begin() + static_cast<ptrdiff_t>(at + width));
    }
  }
  if (file.fortran && file.shape.size() > 1) {
    bytes = ToRowMajor(file, row.bytes, std::move(bytes));
  }
  return bytes;
}

uint64_t ByteCount(ElementType type, std::span<const int32_t> shape) {
  uint64_t elements = 1;
  for (const int32_t dim : shape) elements *= static_cast<uint64_t>(dim);
  if (const Narrow* narrow = NarrowOf(type)) {
    const auto per_byte = static_cast<uint64_t>(8 / narrow->bits);
    return (elements + per_byte - 1) / per_byte;
  }
  if (type == ElementType::kBfloat16) return 2 * elements;
  const NumberType* row = RowOf(type);
  return row == nullptr ? 0 : elements * row->bytes;
}

Result<ElementType> NpyTypeOf(ElementType type) {
  if (const Narrow* narrow = NarrowOf(type)) {
    return narrow->is_signed ? ElementType::kInt8 : ElementType::kUint8;
  }
  if (type == ElementType::kBfloat16) return ElementType::kFloat32;
  if (RowOf(type) != nullptr) return type;
  return Trouble(ErrorCode::kUnsupported, "{} has no form in .npy files",
                 Name(type));
}

Result<std::vector<std::byte>> ToTensor(ElementType type,
                                        std::vector<std::byte> values) {
  if (const Narrow* narrow = NarrowOf(type)) {
    const size_t per_byte = 8 / static_cast<size_t>(narrow->bits);
    const int low = narrow->is_signed ? -(1 << (narrow->bits - 1)) : 0;
    const int high = low + (1 << narrow->bits) - 1;
    std::vector<std::byte> packed((values.size() + per_byte - 1) / per_byte);
    for (size_t i = 0; i < values.size(); ++i) {
      const int raw = std::to_integer<int>(values[i]);
      const int value = narrow->is_signed && raw > 127 ? raw - 256 : raw;
      if (value < low || value > high) {
        return Wrong("element {} is {}; {} holds {} to {}", i, value,
                     Name(type), low, high);
      }
      const int bits = value & ((1 << narrow->bits) - 1);
      const int shift = static_cast<int>(i % per_byte) * narrow->bits;
      packed[i / per_byte] |= static_cast<std::byte>(bits << shift);
    }
    return packed;
  }
  if (type == ElementType::kBfloat16) {
    std::vector<std::byte> halves(values.size() / 2);
    for (size_t i = 0; i < values.size() / 4; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values.data() + 4 * i, 4);
      if ((bits & 0xFFFF) != 0) {
        return Wrong("element {} is not a bfloat16 number", i);
      }
      const uint16_t upper = static_cast<uint16_t>(bits >> 16);
      std::memcpy(halves.data() + 2 * i, &upper, 2);
    }
    return halves;
  }
  if (type == ElementType::kBool) {
    for (std::byte& value : values) {
      if (value != std::byte{0}) value = std::byte{1};
    }
  }
  return values;
}

std::vector<std::byte> FromTensor(ElementType type, uint64_t elements,
                                  std::span<const std::byte> bytes) {
  if (const Narrow* narrow = NarrowOf(type)) {
    const size_t per_byte = 8 / static_cast<size_t>(narrow->bits);
    std::vector<std::byte> values(elements);
    for (size_t i = 0; i < elements && i / per_byte < bytes.size(); ++i) {
      const int shift = static_cast<int>(i % per_byte) * narrow->bits;
      int value = std::to_integer<int>(bytes[i / per_byte]) >> shift &
                  ((1 << narrow->bits) - 1);
      if (narrow->is_signed && value >> (narrow->bits - 1)) {
        value -= 1 << narrow->bits;
      }
      values[i] = static_cast<std::byte>(value & 0xFF);
    }
    return values;
  }
  if (type == ElementType::kBfloat16) {
    std::vector<std::byte> values(elements * 4);
    for (size_t i = 0; i < elements && 2 * i + 2 <= bytes.size(); ++i) {
      std::memcpy(values.data() + 4 * i + 2, bytes.data() + 2 * i, 2);
    }
    return values;
  }
  return {bytes.begin(), bytes.end()};
}

Result<std::vector<std::byte>> EncodeNpy(ElementType type,
                                         std::span<const int32_t> shape,
                                         std::span<const std::byte> bytes) {
  const auto stored = NpyTypeOf(type);
  if (!stored) return std::unexpected(stored.error());
  const NumberType& row = *RowOf(*stored);
  std::string header = fmt::format(
      "{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
      row.bytes == 1 ? '|' : '<', row.code, fmt::join(shape, ", "),
      shape.size() == 1 ? "," : "");
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  uint64_t elements = 1;
  for (const int32_t dim : shape) elements *= static_cast<uint64_t>(dim);
  const std::vector<std::byte> values = FromTensor(type, elements, bytes);
  std::vector<std::byte> out(10 + header.size() + values.size());
  std::memcpy(out.data(), "\x93NUMPY\x01\x00", 8);
  out[8] = static_cast<std::byte>(header.size() & 0xFF);
  out[9] = static_cast<std::byte>(header.size() >> 8);
  std::memcpy(out.data() + 10, header.data(), header.size());
  if (!values.empty()) {
    std::memcpy(out.data() + 10 + header.size(), values.data(), values.size());
  }
  return out;
}

}  // namespace lathe::cli

// The layout, from the back: the last byte is the root's width, the one before
// its packed type (type << 2 | log2 of the width), before these the root.
// Offsets count backwards from where they stand.

#include "src/graph/flex_map.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "src/base/half.h"

namespace lathe::graph {
namespace {

constexpr size_t kMostEntries = 1024;
constexpr size_t kMostNumbers = 65536;

enum Kind : uint8_t {
  kInt = 1,
  kUint = 2,
  kFloat = 3,
  kKey = 4,
  kString = 5,
  kIndirectInt = 6,
  kIndirectUint = 7,
  kIndirectFloat = 8,
  kMap = 9,
  kVector = 10,
  kVectorInt = 11,
  kVectorUint = 12,
  kVectorFloat = 13,
  kFirstFixed = 16,  // Two ints, uints, floats; then three; then four of them.
  kLastFixed = 24,
  kBool = 26,
};

// A value where it stands: `width` bytes at `at`; `packed` is its type byte.
struct Slot {
  size_t at = 0, width = 1;
  uint8_t packed = 0;
  uint8_t kind() const { return packed >> 2; }
  size_t inner_width() const { return size_t{1} << (packed & 3); }
};

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  Result<Options> Map() const {
    if (bytes_.size() < 3) return Bad(0);
    Slot root;
    root.width = bytes_.back();
    root.packed = bytes_[bytes_.size() - 2];
    if (!IsWidth(root.width) || root.width > bytes_.size() - 2 ||
        root.kind() != kMap) {
      return Bad(bytes_.size() - 1);
    }
    root.at = bytes_.size() - 2 - root.width;
    const auto values = Target(root);
    const size_t width = root.inner_width();
    // In front of the values: where the keys are, their width, the count.
    if (!values || *values < 3 * width) return Bad(root.at);
    const size_t front = *values - 3 * width;
    const auto keys = Target({front, width, 0});
    const auto key_width = Unsigned(front + width, width);
    const auto count = Unsigned(front + 2 * width, width);
    if (!keys || !key_width || !IsWidth(*key_width) || !count ||
        *count > kMostEntries || !Has(*values, *count * (width + 1)) ||
        !Has(*keys, *count * *key_width)) {
      return Bad(front);
    }
    Options options;
    options.table = "FlexBuffer";
    for (size_t i = 0; i < *count; ++i) {
      const auto name = Target({*keys + i * *key_width, *key_width, 0});
      if (!name) return Bad(*keys);
      const auto end = std::find(bytes_.begin() + static_cast<ptrdiff_t>(*name),
                                 bytes_.end(), 0);
      if (end == bytes_.end()) return Bad(*name);
      const Slot slot = {*values + i * width, width,
                         bytes_[*values + *count * width + i]};
      LATHE_ASSIGN(const auto value, Value(slot));
      if (!value) continue;
      options.fields.push_back(
          {std::string(bytes_.begin() + static_cast<ptrdiff_t>(*name), end),
           *value});
    }
    return options;
  }

 private:
  static bool IsWidth(uint64_t width) {
    return width == 1 || width == 2 || width == 4 || width == 8;
  }
  static std::unexpected<Error> Bad(size_t at) {
    return Invalid("its options are no sound FlexBuffer map (byte {})", at);
  }

  bool Has(size_t at, uint64_t count) const {
    return at <= bytes_.size() && count <= bytes_.size() - at;
  }
  std::optional<uint64_t> Unsigned(size_t at, size_t width) const {
    if (!Has(at, width)) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | bytes_[at + i];
    return value;
  }
  std::optional<int64_t> Signed(size_t at, size_t width) const {
    const auto value = Unsigned(at, width);
    if (!value) return std::nullopt;
    const int unused = 64 - 8 * static_cast<int>(width);
    return static_cast<int64_t>(*value << unused) >> unused;
  }
  std::optional<double> Real(size_t at, size_t width) const {
    const auto bits = Unsigned(at, width);
    if (!bits) return std::nullopt;
    if (width == 8) return std::bit_cast<double>(*bits);
    if (width == 4) return std::bit_cast<float>(static_cast<uint32_t>(*bits));
    if (width == 2) return HalfToFloat(static_cast<uint16_t>(*bits));
    return std::nullopt;
  }
  // What an offset leads to.
  std::optional<size_t> Target(const Slot& slot) const {
    const auto offset = Unsigned(slot.at, slot.width);
    if (!offset || *offset > slot.at) return std::nullopt;
    return slot.at - static_cast<size_t>(*offset);
  }

  std::optional<AttributeValue> Number(uint8_t kind, size_t at,
                                       size_t width) const {
    if (kind == kInt) {
      if (const auto v = Signed(at, width)) return *v;
    } else if (kind == kUint) {
      if (const auto v = Unsigned(at, width)) return static_cast<int64_t>(*v);
    } else if (const auto v = Real(at, width)) {
      return *v;
    }
    return std::nullopt;
  }

  Result<std::optional<AttributeValue>> Value(const Slot& slot) const {
    const uint8_t kind = slot.kind();
    if (kind == kInt || kind == kUint || kind == kFloat) {
      auto number = Number(kind, slot.at, slot.width);
      if (!number) return Bad(slot.at);
      return number;
    }
    if (kind == kBool) {
      const auto v = Unsigned(slot.at, slot.width);
      if (!v) return Bad(slot.at);
      return *v != 0;
    }
    const bool fixed = kind >= kFirstFixed && kind <= kLastFixed;
    if ((kind < kKey || kind > kVectorFloat || kind == kMap) && !fixed) {
      return std::nullopt;
    }
    const auto at = Target(slot);
    const size_t width = slot.inner_width();
    if (!at) return Bad(slot.at);
    if (kind >= kIndirectInt && kind <= kIndirectFloat) {
      auto number =
          Number(static_cast<uint8_t>(kind - kIndirectInt + kInt), *at, width);
      if (!number) return Bad(*at);
      return number;
    }
    if (kind == kKey) return Text(*at, std::nullopt);
    if (fixed) {
      const size_t index = kind - kFirstFixed;
      return Numbers(*at, index / 3 + 2, width, [&](size_t) {
        return static_cast<uint8_t>(kInt + index % 3);
      });
    }
    if (*at < width) return Bad(*at);
    const auto count = Unsigned(*at - width, width);
    if (!count) return Bad(*at);
    if (kind == kString) return Text(*at, *count);
    if (*count > kMostNumbers || !Has(*at, *count * (width + 1))) {
      // A typed vector has no type bytes behind it.
      if (*count > kMostNumbers || kind == kVector ||
          !Has(*at, *count * width)) {
        return Bad(*at);
      }
    }
    return Numbers(*at, *count, width, [&](size_t i) {
      return kind == kVector
                 ? static_cast<uint8_t>(bytes_[*at + *count * width + i] >> 2)
                 : static_cast<uint8_t>(kInt + kind - kVectorInt);
    });
  }

  Result<std::optional<AttributeValue>> Text(
      size_t at, std::optional<uint64_t> length) const {
    if (!length) {
      const auto begin = bytes_.begin() + static_cast<ptrdiff_t>(at);
      const auto end = std::find(begin, bytes_.end(), 0);
      if (end == bytes_.end()) return Bad(at);
      length = static_cast<uint64_t>(end - begin);
    }
    if (!Has(at, *length)) return Bad(at);
    const auto text = bytes_.subspan(at, *length);
    return std::string(text.begin(), text.end());
  }

  // All whole numbers, or with a float among them all floats.
  template <typename F>
  Result<std::optional<AttributeValue>> Numbers(size_t at, size_t count,
                                                size_t width,
                                                const F& kind_of) const {
    std::vector<int64_t> whole;
    std::vector<double> real;
    bool is_real = false;
    for (size_t i = 0; i < count; ++i) {
      const uint8_t kind = kind_of(i);
      if (kind < kInt || kind > kFloat) return std::nullopt;
      auto number = Number(kind, at + i * width, width);
      if (!number) return Bad(at);
      if (const auto* v = std::get_if<int64_t>(&*number)) {
        whole.push_back(*v);
        real.push_back(static_cast<double>(*v));
      } else {
        real.push_back(std::get<double>(*number));
        is_real = true;
      }
    }
    if (is_real) return real;
    return whole;
  }

  std::span<const uint8_t> bytes_;
};

}  // namespace

Result<Options> ReadFlexMap(std::span<const uint8_t> bytes) {
  return Reader(bytes).Map();
}

}  // namespace lathe::graph

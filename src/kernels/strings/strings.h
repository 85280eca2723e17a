// Lists of texts as the format packs them: int32 count; count + 1 int32 offsets
// from the start of the blob, the first behind the offsets, the last its end;
// then the bytes. No terminators, any bytes.

#ifndef LATHE_KERNELS_STRINGS_STRINGS_H_
#define LATHE_KERNELS_STRINGS_STRINGS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/kernels/elementwise/broadcast.h"
#include "src/kernels/elementwise/select.h"
#include "src/kernels/movement/movement.h"

namespace lathe::kernels {

// Reads a blob that is right (CheckStrings, or made here). No bytes are copied.
class StringsView {
 public:
  explicit StringsView(const std::byte* blob) : blob_(blob) {}

  size_t size() const { return Word(0); }
  size_t bytes() const { return Word(size() + 1); }
  std::string_view operator[](size_t i) const {
    const size_t first = Word(i + 1), end = Word(i + 2);
    return {reinterpret_cast<const char*>(blob_) + first, end - first};
  }

 private:
  size_t Word(size_t i) const {
    int32_t value;
    std::memcpy(&value, blob_ + i * sizeof(value), sizeof(value));
    return static_cast<size_t>(value);
  }
  const std::byte* blob_;
};

// Errors: kInvalidInput unless the blob is exactly `count` texts.
Status CheckStrings(std::span<const std::byte> blob, size_t count);

// Writes texts one after the other into `out`, whose old bytes go and whose
// memory is used again.
class StringsWriter {
 public:
  StringsWriter(size_t count, std::vector<std::byte>& out);
  void Add(std::string_view text);
  // After `count` texts. Errors: kInvalidInput when they are too long for the
  // offsets.
  Status Finish();

 private:
  size_t count_, next_ = 0;
  std::vector<std::byte>& out_;
};

// out[i] = text_of(i) for i < n; `out` must not hold what is read.
template <typename F>
Status WriteStrings(size_t n, const F& text_of, std::vector<std::byte>& out) {
  StringsWriter writer(n, out);
  for (size_t i = 0; i < n; ++i) writer.Add(text_of(i));
  return writer.Finish();
}

// y[i] = (a[i] == b[i]) == equal, broadcast; bytes are compared.
void RunStringEqual(StringsView a, StringsView b, const BroadcastLoops& loops,
                    bool equal, uint8_t* y);

// The moves of movement.h. `loops` go over the output in its order (its
// to_stride and element_bytes are not read): SLICE, STRIDED_SLICE, TRANSPOSE,
// TILE, BROADCAST_TO, REVERSE_V2; FILL with strides of 0.
Status RunStringCopy(const CopyLoops& loops, StringsView from,
                     std::vector<std::byte>& out);

// CONCATENATION and PACK: out[o] = parts[0][o] parts[1][o] ..., part p giving
// widths[p] texts for each o < outer.
Status RunStringJoin(std::span<const StringsView> parts,
                     std::span<const size_t> widths, size_t outer,
                     std::vector<std::byte>& out);

// out[o, i, :] = table[o, indices[i], :], rows of `inner` texts. Errors:
// kInvalidInput naming the first index that is out of range.
Status RunStringGather(size_t outer, size_t rows, size_t inner,
                       std::span<const int64_t> indices, StringsView table,
                       std::vector<std::byte>& out);

// out[i, :] = table[indices[i, 0], ..., indices[i, k - 1], :], `dims` being the
// table's first k, rows of `inner` texts. Errors: as above.
Status RunStringGatherNd(std::span<const int32_t> dims, size_t inner,
                         std::span<const int64_t> indices, size_t rows,
                         StringsView table, std::vector<std::byte>& out);

// SELECT and SELECT_V2.
Status RunStringSelect(const SelectLoops& loops, const uint8_t* condition,
                       StringsView a, StringsView b,
                       std::vector<std::byte>& out);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_STRINGS_STRINGS_H_

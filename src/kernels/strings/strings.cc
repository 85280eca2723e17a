#include "src/kernels/strings/strings.h"

#include <limits>

namespace lathe::kernels {
namespace {

constexpr size_t kWord = sizeof(int32_t);

void PutWord(std::vector<std::byte>& out, size_t index, size_t value) {
  const auto word = static_cast<int32_t>(value);
  std::memcpy(out.data() + index * kWord, &word, kWord);
}

}  // namespace

Status CheckStrings(std::span<const std::byte> blob, size_t count) {
  const auto word = [&](size_t i) -> int64_t {
    int32_t value;
    std::memcpy(&value, blob.data() + i * kWord, kWord);
    return value;
  };
  if (blob.size() < 2 * kWord || word(0) < 0 ||
      static_cast<size_t>(word(0)) != count ||
      blob.size() / kWord < count + 2) {
    return Invalid("{} bytes are no list of {} texts", blob.size(), count);
  }
  auto before = static_cast<int64_t>((count + 2) * kWord);
  if (word(1) != before) {
    return Invalid("the first text begins at byte {}, expected {}", word(1),
                   before);
  }
  for (size_t i = 1; i <= count; ++i) {
    if (word(i + 1) < before) {
      return Invalid("text {} ends at byte {}, before it begins at {}", i - 1,
                     word(i + 1), before);
    }
    before = word(i + 1);
  }
  if (static_cast<size_t>(before) != blob.size()) {
    return Invalid("the texts end at byte {} of {}", before, blob.size());
  }
  return {};
}

StringsWriter::StringsWriter(size_t count, std::vector<std::byte>& out)
    : count_(count), out_(out) {
  out_.clear();
  out_.resize((count + 2) * kWord);
  PutWord(out_, 0, count);
  PutWord(out_, 1, out_.size());
}

void StringsWriter::Add(std::string_view text) {
  LATHE_CHECK(next_ < count_);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  out_.insert(out_.end(), bytes, bytes + text.size());
  ++next_;
  PutWord(out_, next_ + 1, out_.size());
}

Status StringsWriter::Finish() {
  LATHE_CHECK(next_ == count_);
  constexpr size_t kMost = std::numeric_limits<int32_t>::max();
  if (out_.size() <= kMost) return {};
  return Invalid("{} texts of {} bytes, limit {}", count_, out_.size(), kMost);
}

void RunStringEqual(StringsView a, StringsView b, const BroadcastLoops& loops,
                    bool equal, uint8_t* y) {
  if (loops.elements == 0) return;
  const size_t count = loops.rank ? loops.size[loops.rank - 1] : 1;
  const size_t a_step = loops.rank ? loops.a_stride[loops.rank - 1] : 0;
  const size_t b_step = loops.rank ? loops.b_stride[loops.rank - 1] : 0;
  ForEachRun(loops, 0, loops.elements / count,
             [&](size_t to, size_t at_a, size_t at_b, size_t n) {
               for (size_t i = 0; i < n; ++i) {
                 const bool same = a[at_a + i * a_step] == b[at_b + i * b_step];
                 y[to + i] = same == equal;
               }
             });
}

Status RunStringCopy(const CopyLoops& loops, StringsView from,
                     std::vector<std::byte>& out) {
  size_t n = 1;
  for (size_t d = 0; d < loops.rank; ++d) n *= loops.size[d];
  return WriteStrings(
      n,
      [&](size_t i) {
        ptrdiff_t at = loops.from_first;
        for (size_t d = loops.rank; d-- > 0;) {
          at +=
              static_cast<ptrdiff_t>(i % loops.size[d]) * loops.from_stride[d];
          i /= loops.size[d];
        }
        return from[static_cast<size_t>(at)];
      },
      out);
}

Status RunStringJoin(std::span<const StringsView> parts,
                     std::span<const size_t> widths, size_t outer,
                     std::vector<std::byte>& out) {
  size_t width = 0;
  for (const size_t each : widths) width += each;
  StringsWriter writer(outer * width, out);
  for (size_t o = 0; o < outer; ++o) {
    for (size_t p = 0; p < parts.size(); ++p) {
      for (size_t i = 0; i < widths[p]; ++i) {
        writer.Add(parts[p][o * widths[p] + i]);
      }
    }
  }
  return writer.Finish();
}

Status RunStringGather(size_t outer, size_t rows, size_t inner,
                       std::span<const int64_t> indices, StringsView table,
                       std::vector<std::byte>& out) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= 0 && indices[i] < static_cast<int64_t>(rows)) continue;
    return Invalid("index {} is {}, allowed 0 to {}", i, indices[i],
                   rows == 0 ? 0 : rows - 1);
  }
  const size_t row = indices.size() * inner;
  return WriteStrings(
      outer * row,
      [&](size_t i) {
        const auto index = static_cast<size_t>(indices[i % row / inner]);
        return table[(i / row * rows + index) * inner + i % inner];
      },
      out);
}

Status RunStringGatherNd(std::span<const int32_t> dims, size_t inner,
                         std::span<const int64_t> indices, size_t rows,
                         StringsView table, std::vector<std::byte>& out) {
  const size_t k = dims.size();
  for (size_t i = 0; i < rows * k; ++i) {
    if (indices[i] >= 0 && indices[i] < dims[i % k]) continue;
    return Invalid("index {} of row {} is {}, allowed 0 to {}", i % k, i / k,
                   indices[i], dims[i % k] - 1);
  }
  return WriteStrings(
      rows * inner,
      [&](size_t i) {
        size_t at = 0;
        for (size_t d = 0; d < k; ++d) {
          at = at * static_cast<size_t>(dims[d]) +
               static_cast<size_t>(indices[i / inner * k + d]);
        }
        return table[at * inner + i % inner];
      },
      out);
}

Status RunStringSelect(const SelectLoops& loops, const uint8_t* condition,
                       StringsView a, StringsView b,
                       std::vector<std::byte>& out) {
  return WriteStrings(
      loops.elements,
      [&](size_t i) {
        size_t c = 0, at_a = 0, at_b = 0;
        for (size_t d = loops.rank; d-- > 0;) {
          const size_t index = i % loops.size[d];
          i /= loops.size[d];
          c += index * loops.condition[d];
          at_a += index * loops.a[d];
          at_b += index * loops.b[d];
        }
        return condition[c] ? a[at_a] : b[at_b];
      },
      out);
}

}  // namespace lathe::kernels

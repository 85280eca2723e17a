#include "lathe/words.hpp"

#include <algorithm>
#include <vector>

#include "fmt/format.h"

namespace lathe {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

// Edits from one to the other; case does not count.
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      const bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      row[j] =
          std::min({row[j] + 1, row[j - 1] + 1, diagonal + (same ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view word,
                       std::span<const std::string_view> words) {
  if (word.size() > 200) return "";
  size_t fewest = std::max<size_t>(2, word.size() / 3) + 1;
  std::string_view best;
  for (const std::string_view candidate : words) {
    const size_t edits = Edits(word, candidate);
    if (edits < fewest) {
      fewest = edits;
      best = candidate;
    }
  }
  return best.empty() ? "" : fmt::format("; did you mean \"{}\"?", best);
}

}  // namespace lathe

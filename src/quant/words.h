// The nearest of some words to a misspelt one.

#ifndef LATHE_QUANT_WORDS_H_
#define LATHE_QUANT_WORDS_H_

#include <span>
#include <string>
#include <string_view>

namespace lathe::quant {

// `; did you mean "CHANNELWISE"?`, or nothing when no word is near.
std::string DidYouMean(std::string_view word,
                       std::span<const std::string_view> words);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_WORDS_H_

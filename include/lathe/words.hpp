// The nearest of some words to a misspelt one.

#ifndef LATHE_WORDS_HPP_
#define LATHE_WORDS_HPP_

#include <span>
#include <string>
#include <string_view>

#include "lathe/lathe.hpp"

namespace lathe {

// `; did you mean "CHANNELWISE"?`, or nothing when no word is near. Case does
// not count; words of more than 200 characters are near to nothing.
LATHE_EXPORT std::string DidYouMean(std::string_view word,
                                    std::span<const std::string_view> words);

}  // namespace lathe

#endif  // LATHE_WORDS_HPP_

// Values that need no file: zeros, ones, random numbers.

#ifndef LATHE_CLI_FILL_H_
#define LATHE_CLI_FILL_H_

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe::cli {

// "NAME=1,64,32" as a name and a shape. Errors: kUsage.
Result<std::pair<std::string, std::vector<int32_t>>> ParseResize(
    const std::string& text);

// Random values in a range valid for the type: floats uniform in [-1, 1),
// integers that index or count (32 and 64 bits) 0 or 1, narrower ones all
// values. The same for the same seed. Errors: kUnsupported for types without
// numbers.
Status FillRandom(ElementType type, std::span<std::byte> bytes, uint64_t seed);
Status FillOnes(ElementType type, std::span<std::byte> bytes);

// Words of 1 to 8 small letters, the same for the same seed.
std::vector<std::string> RandomWords(size_t count, uint64_t seed);

}  // namespace lathe::cli

#endif  // LATHE_CLI_FILL_H_

// Values for inputs: zeros, ones, random numbers, files.

#ifndef LATHE_CLI_FILL_H_
#define LATHE_CLI_FILL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe::cli {

// "NAME=1,64,32" as a name and a shape. Errors: kUsage.
Result<std::pair<std::string, std::vector<int32_t>>> ParseResize(
    const std::string& text);

// Random values in a range valid for the type: floats uniform in [-1, 1),
// integers that index or count 0 or 1, bytes of quantized types all values.
// The same for the same seed. Errors: kUnsupported for types without one.
Status FillRandom(ElementType type, std::span<std::byte> bytes, uint64_t seed);
Status FillOnes(ElementType type, std::span<std::byte> bytes);

// FillRandom for every input that is not a stored constant.
Status FillInputs(Session& session, uint64_t seed);

// A .npy file (version 1 or 2, C order, little-endian).
struct Array {
  ElementType type = ElementType::kFloat32;
  std::vector<int32_t> shape;
  std::vector<std::byte> bytes;
};
Result<Array> ReadNpy(const std::string& path);
Status WriteNpy(const std::string& path, ElementType type,
                std::span<const int32_t> shape,
                std::span<const std::byte> bytes);

}  // namespace lathe::cli

#endif  // LATHE_CLI_FILL_H_

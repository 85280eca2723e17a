// Sound and pictures as inputs.

#ifndef LATHE_CLI_MEDIA_H_
#define LATHE_CLI_MEDIA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe::cli {

struct MediaValues {
  std::vector<int32_t> shape;
  std::vector<std::byte> bytes;  // In the input's type.
};

// Whether Session::Resize may change the dim.
bool IsFree(const TensorInfo& input, size_t dim);
// The input's shape for `elements` elements: as it is, or with its last free
// dim that makes it fit changed. Empty where none does.
std::vector<int32_t> ShapeFor(const TensorInfo& input, uint64_t elements);

// A sound's samples at its own rate, as float32. Of several channels the
// input's last dim is the channels (samples one after the other), or the one
// before it (one channel after the other). Errors: kInvalidInput for another
// number of samples than the input takes: nothing is cut, padded or mixed.
Result<MediaValues> ReadWav(const std::string& path, const TensorInfo& input);

// An 8-bit picture as [1,H,W,C]: uint8, or float32 from 0 to 1. C is 1 (grey),
// 2 (grey, alpha), 3 (red, green, blue) or 4 (with alpha). Errors:
// kInvalidInput for another size: nothing is scaled or converted.
Result<MediaValues> ReadPng(const std::string& path, const TensorInfo& input);

}  // namespace lathe::cli

#endif  // LATHE_CLI_MEDIA_H_

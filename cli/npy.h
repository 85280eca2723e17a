// NumPy's .npy files, and how each element type is stored in one.

#ifndef LATHE_CLI_NPY_H_
#define LATHE_CLI_NPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"

namespace lathe::cli {

// What a .npy file says of itself (versions 1 to 3, plain numeric types of
// either byte order, C or Fortran order).
struct NpyFile {
  std::string path;
  ElementType type = ElementType::kFloat32;
  std::vector<int32_t> shape;
  bool swapped = false;  // Bytes of a number are in the other order.
  bool fortran = false;  // The first axis is the innermost one.
  uint64_t elements = 1;
  uint64_t offset = 0;  // Of the values.
};

// Reads the header and checks the file's size against it. Errors:
// kInvalidInput.
Result<NpyFile> OpenNpy(const std::string& path);
// The values, little-endian in C order.
Result<std::vector<std::byte>> ReadNpyValues(const NpyFile& file);

// Bytes of a tensor's values in memory; 0 for types without numbers.
uint64_t ByteCount(ElementType type, std::span<const int32_t> shape);

// The type under which a tensor's values stand in a .npy file: its own, but
// int8 for int4 and int2, uint8 for uint4, float32 for bfloat16. Errors:
// kUnsupported for types without numbers.
Result<ElementType> NpyTypeOf(ElementType type);
// Values as a .npy file holds them to the tensor's own bytes, and back.
// Errors: kInvalidInput for a value that the tensor's type cannot hold.
Result<std::vector<std::byte>> ToTensor(ElementType type,
                                        std::vector<std::byte> values);
std::vector<std::byte> FromTensor(ElementType type, uint64_t elements,
                                  std::span<const std::byte> bytes);

// The bytes of a .npy file that holds a tensor. Errors: those of NpyTypeOf.
Result<std::vector<std::byte>> EncodeNpy(ElementType type,
                                         std::span<const int32_t> shape,
                                         std::span<const std::byte> bytes);

}  // namespace lathe::cli

#endif  // LATHE_CLI_NPY_H_

// The number types that generic kernels know, and a visitor for them.

#ifndef LATHE_KERNELS_ELEMENTWISE_NUMBER_H_
#define LATHE_KERNELS_ELEMENTWISE_NUMBER_H_

#include <complex>
#include <cstddef>
#include <cstdint>

namespace lathe::kernels {

enum class Number : uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,   // IEEE 754 binary16
  kBfloat16,  // The upper half of a float32.
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kBool,       // One byte, 0 or 1; any other byte reads as true.
  kComplex64,  // Two float32.
};

// Stand for the types that C++ 23 lacks in GCC 12.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};
struct Truth {
  uint8_t byte;
};

// use(T{}) with the type of `number`.
template <typename F>
decltype(auto) WithNumber(Number number, const F& use) {
  switch (number) {
    case Number::kFloat64:
      return use(double{});
    case Number::kFloat16:
      return use(Half{});
    case Number::kBfloat16:
      return use(Bfloat{});
    case Number::kInt8:
      return use(int8_t{});
    case Number::kUint8:
      return use(uint8_t{});
    case Number::kInt16:
      return use(int16_t{});
    case Number::kUint16:
      return use(uint16_t{});
    case Number::kInt32:
      return use(int32_t{});
    case Number::kUint32:
      return use(uint32_t{});
    case Number::kInt64:
      return use(int64_t{});
    case Number::kUint64:
      return use(uint64_t{});
    case Number::kBool:
      return use(Truth{});
    case Number::kComplex64:
      return use(std::complex<float>{});
    case Number::kFloat32:
      break;
  }
  return use(float{});
}

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_ELEMENTWISE_NUMBER_H_

// Which inputs the output of a depthwise convolution sums.

#ifndef LATHE_KERNELS_CONV_TAPS_H_
#define LATHE_KERNELS_CONV_TAPS_H_

#include <algorithm>
#include <cstddef>

#include "src/kernels/conv/conv.h"

namespace lathe::kernels {

// Tap t multiplies the input pixel at x[in[t]] with the filter's row at
// w[filter[t]]; kernel rows first, then columns. Counted in elements.
struct Taps {
  const size_t* in = nullptr;
  const size_t* filter = nullptr;
  size_t count = 0;
};

// Kernel positions k in [first, end) whose input begin + k * dilation lies in
// [0, size).
struct Inside {
  size_t first = 1, end = 0;

  Inside() = default;
  Inside(ptrdiff_t begin, size_t kernel, size_t dilation, size_t size) {
    const auto step = static_cast<ptrdiff_t>(dilation);
    const auto before = [&](ptrdiff_t distance) {  // Positions in front of it.
      if (distance <= 0) return size_t{0};
      // Divisions take longer than the rest of a small convolution.
      const ptrdiff_t count =
          step == 1 ? distance : (distance + step - 1) / step;
      return std::min(kernel, static_cast<size_t>(count));
    };
    const ptrdiff_t room = static_cast<ptrdiff_t>(size) - begin;
    first = begin >= 0 ? 0 : before(-begin);
    end = static_cast<ptrdiff_t>(kernel - 1) * step < room
              ? kernel
              : std::max(first, before(room));
  }
  bool operator==(const Inside&) const = default;
};

// The taps that lie in the image, output for output. The list is made again
// only where it changes: at the borders.
class TapLists {
 public:
  // Elements of size_t that one object needs.
  static size_t Words(const ConvShape& s) {
    return 2 * s.kernel_h * s.kernel_w;
  }
  TapLists(const ConvShape& shape, size_t* words)
      : shape_(shape),
        in_(words),
        filter_(words + shape.kernel_h * shape.kernel_w) {}

  // Of output (oh, ow). x points at the image plus `origin` elements, which may
  // be negative where the list leaves the first taps out.
  Taps At(size_t oh, size_t ow, ptrdiff_t* origin) {
    const ConvShape& s = shape_;
    const auto top = static_cast<ptrdiff_t>(oh * s.stride_h) -
                     static_cast<ptrdiff_t>(s.pad_top);
    const auto left = static_cast<ptrdiff_t>(ow * s.stride_w) -
                      static_cast<ptrdiff_t>(s.pad_left);
    *origin = (top * static_cast<ptrdiff_t>(s.in_w) + left) *
              static_cast<ptrdiff_t>(s.in_c);
    const Inside rows(top, s.kernel_h, s.dilation_h, s.in_h);
    const Inside columns(left, s.kernel_w, s.dilation_w, s.in_w);
    if (rows != rows_ || columns != columns_) {
      rows_ = rows;
      columns_ = columns;
      Make();
    }
    return {in_, filter_, count_};
  }

 private:
  void Make() {
    const ConvShape& s = shape_;
    count_ = 0;
    for (size_t kh = rows_.first; kh < rows_.end; ++kh) {
      for (size_t kw = columns_.first; kw < columns_.end; ++kw) {
        in_[count_] = (kh * s.dilation_h * s.in_w + kw * s.dilation_w) * s.in_c;
        filter_[count_] = (kh * s.kernel_w + kw) * s.out_c;
        ++count_;
      }
    }
  }

  const ConvShape& shape_;
  size_t* in_;
  size_t* filter_;
  Inside rows_, columns_;
  size_t count_ = 0;
};

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_TAPS_H_

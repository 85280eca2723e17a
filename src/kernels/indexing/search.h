// Values found among others: TOPK_V2, UNIQUE, WHERE.

#ifndef LATHE_KERNELS_INDEXING_SEARCH_H_
#define LATHE_KERNELS_INDEXING_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/thread_pool.h"
#include "src/kernels/elementwise/number.h"

namespace lathe::kernels {

// The k largest of each row of n, descending; of equals the first; NaN below
// everything. positions are int16 if `narrow`, else int32. k <= n. `scratch`:
// k numbers for each thread of the pool. Floats of 32 and 64 bits, integers.
void RunTopK(Number type, size_t rows, size_t n, size_t k, const void* x,
             void* values, bool narrow, void* positions, int32_t* scratch,
             ThreadPool& pool);

// The different values of x in the order of their first places, and for each
// element the number of its value (int64 if `wide`, else int32). Returns how
// many there are; values beyond `most` are not written. All NaNs are one
// value. `scratch`: 2 n numbers. Types as RunTopK.
size_t RunUnique(Number type, size_t n, const void* x, size_t most,
                 void* values, bool wide, void* numbers, int32_t* scratch);

// The indices of the elements that are not 0, one row of shape.size() numbers
// each, in order. Returns how many there are; rows beyond `most` are not
// written. Every type.
size_t RunWhere(Number type, std::span<const int32_t> shape, const void* x,
                size_t most, int64_t* indices);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_INDEXING_SEARCH_H_

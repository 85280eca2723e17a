// Factor and inverse of a large symmetric positive definite matrix, for GPTQ.
//
// float32 in memory (d = 11008 takes 485 MB), sums in double of pieces in
// float32. Blocks of 64 x 64 over the threads of a pool; d^3 / 6 multiply-adds
// for a factor.

#ifndef LATHE_QUANT_CHOLESKY_H_
#define LATHE_QUANT_CHOLESKY_H_

#include <cstddef>
#include <span>

#include "src/base/thread_pool.h"

namespace lathe::quant {

// matrix [d, d], row-major; only its upper triangle is read. On return that
// holds the upper triangular R with matrix = R R^T; the lower triangle is left
// as it was. False if the matrix is not positive definite; it is then
// half-written.
bool FactorUpper(size_t d, std::span<float> matrix, ThreadPool* pool);

// factor: R of FactorUpper. On return both triangles hold the inverse of
// R R^T. Takes twice the time of FactorUpper and as much memory again.
void InverseFromFactor(size_t d, std::span<float> factor, ThreadPool* pool);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_CHOLESKY_H_

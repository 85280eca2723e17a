// The quantized form of one constant, found in two steps so that a file can be
// written as a stream: FindParams reads the values once and keeps only scales;
// Encode reads them again and makes the bytes. Neither keeps a copy of the
// whole tensor, other than the working memory named at the algorithm.
//
// Formulas: quantizer reference, section 2.

#ifndef LATHE_QUANT_WEIGHTS_H_
#define LATHE_QUANT_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/base/thread_pool.h"
#include "src/quant/algorithm.h"

namespace lathe::quant {

// Which elements share a scale.
struct Grouping {
  enum class Kind : uint8_t {
    kTensor,
    kAxis,   // One per index of `axis`.
    kBlock,  // One per `block` neighbours of the last axis, which it divides.
  };
  Kind kind = Kind::kTensor;
  int axis = 0;
  int64_t block = 0;
};

struct WeightConfig {
  Algorithm algorithm = Algorithm::kMinMax;
  int bits = 8;  // 2, 4, 8; 16 for kFloatCasting.
  bool symmetric = true;
  Grouping grouping = {};
  int64_t max_hadamard_size = 0;  // 0: no limit.
  bool skip_checks = false;       // kRecovery: no test of the error.
  Behaviour behaviour = Behaviour::kCorrect;
};

// What calibration knows of the activation that the weight is multiplied with;
// empty where it knows nothing. `width` is the last dim of the weight.
struct InputStatistics {
  std::span<const float> hessian = {};  // [width, width], kGptq.
  std::span<const double> mu2 = {};     // [width], kOscar.
  uint64_t rows = 0;  // That the Hessian is made of; 0: unknown.
};

struct WeightParams {
  // One per group, row-major: [1], [shape[axis]], or [rows, last / block].
  // As the values are divided by them: for blocks already rounded to
  // fp16(bf16()), except kRecovery in kCompat, whose blocks are divided by the
  // step itself: store BlockScale(scale). Float32 where the older tool computes
  // in float32.
  std::vector<double> scale;
  std::vector<int64_t> zero_point;  // As long as scale.
  int64_t hadamard_size = 0;  // Of the rotation of the last axis; 0: none.
  // kOscar: the weight was multiplied by this along the last axis; the input
  // must be divided by it. Empty: by nothing.
  std::vector<double> column_scale;
};

// `values` is row-major of `shape` (rank >= 1). Fails with kInvalid, in words
// without the tensor's name (the caller adds it), for NaN or infinite values
// (kCorrect; kCompat computes on as the older tool does, but for kRecovery),
// for a block that does not divide the last dim, for a recovery whose error is
// above 1e-4, for GPTQ without a Hessian. Fails with kUnsupported for what the
// algorithm does not do (reference 2.5 to 2.10). `pool` may be null.
//
// Correct scales are positive and normal, those of blocks also as halves. A
// correct int4 is -7 to 7, but -8 to 7 for kRecovery: it must hold the grid.
Result<WeightParams> FindParams(const WeightConfig& config,
                                std::span<const float> values,
                                std::span<const int32_t> shape,
                                const InputStatistics& statistics,
                                ThreadPool* pool);

// Bytes that Encode writes: elements * bits / 8, rounded up once.
uint64_t EncodedBytes(const WeightConfig& config,
                      std::span<const int32_t> shape);

// Writes exactly EncodedBytes: int8, or int4 and int2 packed with the first
// element in the low bits and no padding between rows (2.14), or fp16.
// Deterministic for any number of threads.
Status Encode(const WeightConfig& config, const WeightParams& params,
              std::span<const float> values, std::span<const int32_t> shape,
              const InputStatistics& statistics, ThreadPool* pool,
              std::span<std::byte> bytes);

// The float values that the bytes stand for, in the space in which they were
// quantized (rotated, scaled): (q - zero_point) * scale.
void Decode(const WeightConfig& config, const WeightParams& params,
            std::span<const std::byte> bytes, std::span<const int32_t> shape,
            std::span<float> values);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_WEIGHTS_H_

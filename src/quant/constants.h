// The quantized bytes of one stored constant, made when a file is written.

#ifndef LATHE_QUANT_CONSTANTS_H_
#define LATHE_QUANT_CONSTANTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/base/thread_pool.h"
#include "src/graph/graph.h"
#include "src/quant/statistics.h"
#include "src/quant/uniform.h"
#include "src/quant/weights.h"

namespace lathe::quant {

// Where constants lie. `in_mapping`: in a file mapping, whose pages are given
// back after use.
struct Source {
  graph::Buffer buffer;
  graph::Shape shape;
  bool in_mapping = false;
};

// The floats of a stored tensor: where they lie when that is aligned, else a
// copy.
class Floats {
 public:
  static Result<Floats> Of(const Source& source);
  Floats(Floats&& other) noexcept;
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  Floats& operator=(Floats&&) = delete;
  ~Floats();

  std::span<const float> values() const { return values_; }

 private:
  Floats() = default;
  std::span<const std::byte> mapped_;  // Given back at the end.
  std::vector<float> copy_;
  std::span<const float> values_;
};

// Biases, and constant operands of operators without weights.
struct PlainEncoding {
  int bits = 8;  // 8, 16, 32 or 64: of the stored integers.
  IntegerRange range;
  std::vector<double> scale;  // One, or one per value.
  int64_t zero_point = 0;
  bool single = false;  // Divided in float32, as the older tool does there.
};

// How a constant becomes bytes.
struct Encoding {
  Source source;
  // Weights, when set; else plain.
  std::optional<WeightConfig> weights;
  WeightParams params;
  const TensorStatistics* statistics = nullptr;  // Of the activation.
  uint64_t rows = 0;  // Of the activation, in all samples; 0: unknown.
  PlainEncoding plain;

  uint64_t bytes() const;
};

// Reads the values once: scales and zero points. `statistics` may be null.
Result<WeightParams> FindParams(const WeightConfig& config,
                                const Source& source,
                                const TensorStatistics* statistics,
                                ThreadPool* pool);

// A buffer that makes the bytes when asked. `pool` may be null and outlives it.
graph::Buffer Produced(std::shared_ptr<const Encoding> encoding,
                       ThreadPool* pool);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_CONSTANTS_H_

// Which values a float model's tensors take, for quantization with integers.

#ifndef LATHE_CALIBRATE_HPP_
#define LATHE_CALIBRATE_HPP_

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/lathe.hpp"
#include "lathe/samples.hpp"

namespace lathe {

// How one range is made of those of many samples.
enum class CalibrationMethod : uint8_t {
  kMinMax,  // The extremes of all samples: no value seen is clipped.
  // What AI Edge Quantizer 0.10 does: 0.95 old + 0.05 new from the first
  // sample on. It depends on the order and lies inside the extremes.
  kMovingAverage,
  kPercentile,  // All but a part of the values on each side.
  kEntropy,     // The clip that changes the distribution least, for 8 bits.
};

// "minmax", "moving-average", "percentile", "entropy".
LATHE_EXPORT std::string_view Name(CalibrationMethod method);
LATHE_EXPORT std::span<const CalibrationMethod> CalibrationMethods();

struct CalibrateOptions {
  CalibrationMethod method = CalibrationMethod::kMinMax;
  double percentile = 99.99;  // kPercentile: 50 to 100.
  // Mean squares (mu2) of the inputs of FULLY_CONNECTED, for OSCAR.
  bool moments = false;
  // X^T X of the same, for GPTQ: width^2 floats for each tensor, all at once.
  bool hessians = false;
  uint64_t memory_limit_bytes = uint64_t{2} << 30;  // As of ModelOptions.
  // Most bytes of all Hessians.
  uint64_t hessian_limit_bytes = uint64_t{4} << 30;
  const Threads* threads = nullptr;  // Null: one for each physical core.
  std::string isa;                   // As of SessionOptions.
  const std::atomic<bool>* stop = nullptr;
  std::function<void(uint64_t done, uint64_t samples)> progress;
};

// What is known of the tensors of one name.
struct TensorRange {
  std::string name;
  float low = 0, high = 0;
  uint64_t values_seen = 0;  // Times the tensor was made.
  uint64_t nans = 0;         // They are in no range.
};

struct CalibrateReport {
  std::vector<TensorRange> tensors;  // In the order in which they were seen.
  uint64_t samples = 0;
  uint64_t moments = 0, hessians = 0;  // Tensors that have them.
  uint64_t statistics_bytes = 0;       // Memory held for all of it.
  // Subgraphs with operators that no sample reached: branches not taken.
  std::vector<std::string> not_reached;
};

// Runs the float model on every sample and writes `out`, the statistics file of
// AI Edge Quantizer ("model_qsvs"), complete or not at all; empty: writes
// nothing. It tells of every float32 tensor that is made or given, by name, in
// the bodies of IF, WHILE and composites too: there each round counts as a
// sample. Tensors of one name, such as those of two signatures, have one entry.
//
// Values are looked at while the model runs, operator by operator, and are not
// kept: memory is that of a run, 100 bytes for each tensor, with kPercentile
// and kEntropy 32 KB, and what moments and Hessians need. Runs on the caller's
// thread and `threads`.
//
// Errors: kInvalidInput without samples, for a tensor whose range is not
// finite (the first that is made), beyond a limit; kUsage for an unknown
// signature; what opening, filling and running say; kInterrupted; kSystem.
LATHE_EXPORT Result<CalibrateReport> Calibrate(const std::string& model,
                                               std::span<const Samples> data,
                                               const std::string& out,
                                               const CalibrateOptions& options);

}  // namespace lathe

#endif  // LATHE_CALIBRATE_HPP_

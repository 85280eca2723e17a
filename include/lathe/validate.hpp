// How far a quantized model's values are from those of its float model.

#ifndef LATHE_VALIDATE_HPP_
#define LATHE_VALIDATE_HPP_

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

// Of n values t (quantized, as real numbers) and r (float), NaN counted as
// 1e-9, infinities as +-1e9, as in AI Edge Quantizer. Without values all 0.
struct Accuracy {
  double mse = 0;                // mean((t - r)^2)
  double median_diff_ratio = 0;  // median(|t - r| / (|r| + 1e-6))
  double cosine_similarity = 0;  // t r / (|t| |r|); both zero: 1, one: 0
  // sum(p ln((p + 1e-9) / (q + 1e-9))), p = max(r, 0), q = max(t, 0): a sum,
  // not normalized.
  double kl_divergence = 0;
  double snr = 0;     // mean(r^2) / (mse + 1e-9)
  double snr_db = 0;  // 10 log10(sum r^2 / sum (t - r)^2) within +-200
  double max_abs_diff = 0;
};

struct AccuracyMetric {
  std::string_view name;  // As in JSON and on the command line.
  double Accuracy::* value;
  bool more_is_better;
  std::string_view says;
};
LATHE_EXPORT std::span<const AccuracyMetric> AccuracyMetrics();

// A tensor of the float model that was compared.
struct TensorAccuracy {
  enum class Role : uint8_t { kInput, kOutput, kBetween, kConstant };
  Role role = Role::kBetween;
  std::string signature;  // Of outputs.
  std::string name;       // Of outputs the signature's, else the tensor's.
  std::string tensor;
  uint32_t subgraph = 0;
  int32_t index = 0;  // In the subgraph.
  // The operator that makes it, of a constant the first that reads it; -1 for
  // none.
  int32_t op = -1;
  std::string op_type;  // "FULLY_CONNECTED"
  // What Model Explorer finds the operator by: the tensor's name where no other
  // tensor has it, else the operator's number.
  std::string node;
  ElementType type = ElementType::kFloat32;  // In the quantized model.
  uint64_t elements = 0;                     // Of one comparison.
  uint64_t comparisons = 0;  // Samples; in loops, rounds of all samples.
  uint64_t not_finite = 0;   // Values of the quantized model, in all of them.
  // Means over comparisons; `worst` has the worst value of each metric.
  // max_abs_diff is the largest in both.
  Accuracy mean, worst;
  std::string problem;  // Not empty: why it could not be compared.
};

struct ValidateOptions {
  bool outputs_only = false;  // Nothing between is kept or compared.
  uint64_t memory_limit_bytes = uint64_t{2} << 30;  // Of each model.
  const Threads* threads = nullptr;  // Null: one for each physical core.
  std::string isa;                   // As of SessionOptions.
  const std::atomic<bool>* stop = nullptr;
  std::function<void(uint64_t done, uint64_t samples)> progress;
  // Every output of every sample as real numbers; `output` is the float
  // model's. An error ends the work.
  std::function<Status(const TensorInfo& output, std::span<const float> r,
                       std::span<const float> t)>
      on_output;
};

struct ValidateReport {
  std::vector<TensorAccuracy> outputs;
  std::vector<TensorAccuracy> tensors;  // The others, as they are first made.
  // Weights and other float32 constants that are stored otherwise in the
  // quantized model: these bytes as real numbers against the float ones. Where
  // a rotation or column scales went before (Hadamard, OSCAR), they are those
  // of the changed weight.
  std::vector<TensorAccuracy> constants;
  uint64_t samples = 0;
  // Of the float model, that are made, have no counterpart of their name.
  uint64_t unmatched = 0;
  uint64_t kept_bytes = 0;  // Most that was held of the float model's values.
  uint64_t reference_bytes = 0, quantized_bytes = 0;  // Of the files.
  // By subgraph, as Model Explorer names it.
  std::vector<std::string> graphs;
};

// Runs both models once for each sample, on equal inputs: where the quantized
// one takes integers they are clip(rint(x / scale) + zero_point). Outputs are
// paired by their signature's names, else by position; other tensors by name in
// the subgraph of the same number, loops round by round. Constants are compared
// once, one after the other, with two floats for each value of the largest.
//
// Each model is planned once. The two run in step, operator by operator: values
// of the float model are kept until the quantized one has made theirs, at most
// 64 MB of them (or one tensor) as long as the operators stand in the same
// order. Memory is both models, their arenas and these values (kept_bytes).
// Runs on the caller's thread, two more and `threads`.
//
// Errors: kInvalidInput without samples and for inputs that cannot be paired;
// kUsage for an unknown signature; what opening, filling and running say;
// kInterrupted.
LATHE_EXPORT Result<ValidateReport> Validate(const std::string& reference,
                                             const std::string& quantized,
                                             std::span<const Samples> data,
                                             const ValidateOptions& options);

}  // namespace lathe

#endif  // LATHE_VALIDATE_HPP_

// What calibration knows of a model's tensors (quantizer reference, section 5).

#ifndef LATHE_QUANT_STATISTICS_H_
#define LATHE_QUANT_STATISTICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace lathe::quant {

struct TensorStatistics {
  // Empty when unknown; else of one length, mostly 1.
  std::vector<double> min, max;
  int rank = 0;  // Of min and max as arrays; says nothing about values.
  std::vector<double> mu2 = {};  // Mean square of each channel of the last dim.
  uint64_t num_samples = 0;      // Leading dims in all samples; 0: unknown.
  // [width, width], as stored in the file, or the path of an .npy file that
  // holds it; read when needed, for these are large.
  std::vector<float> hessian = {};
  std::string hessian_file = {};

  bool has_range() const { return !min.empty() && min.size() == max.size(); }
  bool has_hessian() const { return !hessian.empty() || !hessian_file.empty(); }
};

struct Statistics {
  std::map<std::string, TensorStatistics, std::less<>> of;  // By tensor name.

  // Null when nothing is known.
  const TensorStatistics* Find(std::string_view tensor) const;
};

// The older tool's file: {"model_qsvs": {...}, ...} or the bare inner map.
// Matrices may be nested lists or {"npy": "file"} beside the file. Errors:
// kInvalidInput, naming tensor and field.
Result<Statistics> ReadStatistics(const std::string& path);
// `folder` is where .npy files lie; `origin` names the text in errors.
Result<Statistics> ParseStatistics(std::string_view json,
                                   const std::string& folder,
                                   const std::string& origin);

// The Hessian as floats: `width` squared. Errors: kInvalidInput for another
// size, a missing file, a file that is no .npy of floats.
Result<std::vector<float>> ReadHessian(const TensorStatistics& statistics,
                                       int64_t width);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_STATISTICS_H_

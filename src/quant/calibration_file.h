// The statistics file of the older tool (quantizer reference, section 5):
// {"model_qsvs": {tensor: {"min": [[x]], "max": [[x]], ...}}, "metadata": {}}.

#ifndef LATHE_QUANT_CALIBRATION_FILE_H_
#define LATHE_QUANT_CALIBRATION_FILE_H_

#include <cstdint>
#include <iosfwd>
#include <map>
#include <span>
#include <string>

#include "src/base/result.h"
#include "src/quant/calibration.h"

namespace lathe::quant {

// Of one tensor. The spans are the caller's.
struct CalibratedTensor {
  std::string name;
  int rank = 0;  // min and max are written as arrays of shape (1,) * rank.
  ValueRange range = {};
  int64_t num_samples = 0;              // Written with mu2 or hessian.
  std::span<const double> mu2 = {};     // [width]
  std::span<const float> hessian = {};  // [width, width]
};

// Writes as a stream, so that a Hessian is never in memory as text. Numbers are
// exact: each reads back as the same double, a float as the same float.
// `metadata` goes beside "num_samples_calibrated". Errors: kInvalidInput,
// naming the tensor, for a number that is not finite (JSON has none such) or a
// name that comes twice; kSystem when `out` fails.
Status WriteCalibration(std::span<const CalibratedTensor> tensors,
                        int64_t samples_calibrated,
                        const std::map<std::string, std::string>& metadata,
                        std::ostream& out);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_CALIBRATION_FILE_H_

// The integers that each tensor becomes: scales, zero points and the plan for
// its data, of weights, ranges, constants and biases (quantizer reference 3.4).
//
// Comes after: site.h, assign.h (its options). assign.cc is its user.

#ifndef LATHE_QUANT_GRIDS_H_
#define LATHE_QUANT_GRIDS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/quant/assign.h"
#include "src/quant/constants.h"
#include "src/quant/site.h"
#include "src/quant/statistics.h"

namespace lathe::quant {

struct Range {
  std::vector<double> min, max;
  int rank = 0;
  bool single = false;
};

// A grid is null where the rule has no config for the tensor, and after a
// problem, which goes to `problems`. Errors: of reading the constant.
class Grids {
 public:
  // All outlive this; `statistics` may be null.
  Grids(const graph::Graph& graph, const Statistics* statistics,
        const AssignOptions& options, Problems& problems);

  // `input` is the tensor's position, -1 for an output.
  Result<GridPtr> For(const Site& site, int32_t t, int32_t input);
  // The input of an operator whose inputs take the output's scale.
  Result<GridPtr> AsOutput(const Site& site, int32_t t, const GridPtr& output);
  // What the kernels of SOFTMAX, LOGISTIC and TANH write (reference 2.13).
  Result<GridPtr> OfFixedOutput(const Site& site, int32_t t);
  Result<GridPtr> OfBias(const Site& site, const graph::Tensor& bias,
                         const Grid& input, const Grid& weights);
  Result<GridPtr> OfWeight(const Site& site, const graph::Tensor& tensor,
                           const TensorConfig& config, int32_t input);
  static GridPtr WithoutData(const GridPtr& grid);

  // A constant left operand beside a float right one runs nowhere (A25).
  bool StaysFloat(const Site& site, int32_t input) const;

  // A later operator sees the output `to` with the range of the input `from`.
  void HandRangeOn(const Site& site, int32_t from, int32_t to,
                   const GridPtr& grid);
  // The same by names, where a range is known.
  void CopyRange(const std::string& from, const std::string& to);

 private:
  Result<GridPtr> OfRange(const Site& site, const graph::Tensor& tensor,
                          const TensorConfig& config);
  Result<GridPtr> OfConstant(const Site& site, const graph::Tensor& tensor,
                             const TensorConfig& config);
  bool HasWholeBytes(const Site& site, const graph::Tensor& tensor,
                     const TensorConfig& config);
  Grouping GroupingOf(const Site& site, const graph::Tensor& tensor,
                      const TensorConfig& config) const;
  GridPtr GridOfWeights(const WeightConfig& weights,
                        const graph::Tensor& tensor,
                        std::shared_ptr<const Encoding> encoding) const;
  std::string KeyOf(const Site& site, const graph::Tensor& tensor,
                    const TensorConfig& config,
                    const std::string* activation) const;
  Source SourceOf(const graph::Tensor& tensor) const;
  bool CanRead(const Site& site, const graph::Tensor& tensor);

  const graph::Graph& graph_;
  const Statistics* statistics_;
  const AssignOptions& options_;
  const bool compat_;
  Problems& problems_;
  std::map<std::string, Range, std::less<>> ranges_;
  std::map<std::string, GridPtr> grids_;  // Of constants, by KeyOf.
};

}  // namespace lathe::quant

#endif  // LATHE_QUANT_GRIDS_H_

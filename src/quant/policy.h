// Which configs an operator may have (quantizer reference, section 3).

#ifndef LATHE_QUANT_POLICY_H_
#define LATHE_QUANT_POLICY_H_

#include <optional>
#include <string>

#include "src/quant/recipe.h"

namespace lathe::quant {

// Empty when the algorithm can treat the target under this config, else the
// reason. skip_checks makes everything valid.
std::optional<std::string> WhyNot(Algorithm algorithm, Target target,
                                  const OpConfig& config);

// Whether the algorithm has code for the operator at all.
bool Treats(Algorithm algorithm, Target target);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_POLICY_H_

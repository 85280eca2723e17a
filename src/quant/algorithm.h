// Names of what a recipe may ask for; the words are those of the recipes
// (quantizer reference 1.1 and 1.5).

#ifndef LATHE_QUANT_ALGORITHM_H_
#define LATHE_QUANT_ALGORITHM_H_

#include <cstdint>

namespace lathe::quant {

enum class Algorithm : uint8_t {
  kNoQuantize,
  kMinMax,              // "min_max_uniform_quantize"
  kFloatCasting,        // "float_casting"
  kRecovery,            // "dequantized_weight_recovery"
  kOctav,               // "OCTAV"
  kHadamard,            // "HADAMARD_ROTATION"
  kDecomposedHadamard,  // "DECOMPOSED_HADAMARD_ROTATION"
  kMse,                 // "MSE"
  kGptq,                // "GPTQ"
  kOscar,               // "OSCAR"
};

// Whose result is wanted where the older tool is wrong: its own, or the right
// one. The only switch between the two; each algorithm asks it at one place.
enum class Behaviour : uint8_t { kCorrect, kCompat };

}  // namespace lathe::quant

#endif  // LATHE_QUANT_ALGORITHM_H_

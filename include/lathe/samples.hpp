// Inputs on which a model runs while it is calibrated or validated.

#ifndef LATHE_SAMPLES_HPP_
#define LATHE_SAMPLES_HPP_

#include <cstdint>
#include <functional>
#include <string>

#include "lathe/lathe.hpp"

namespace lathe {

// Samples of one signature.
struct Samples {
  std::string signature;  // As SessionOptions::signature.
  uint64_t count = 0;
  // Puts sample 0 ... count - 1, in this order, into the session's inputs, and
  // resizes them where the sample has another shape. An error ends the work.
  std::function<Status(Session& session, uint64_t sample)> fill;
};

}  // namespace lathe

#endif  // LATHE_SAMPLES_HPP_

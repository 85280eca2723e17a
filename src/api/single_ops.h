// A model as its file says it, operator by operator: for looking at values.

#ifndef LATHE_API_SINGLE_OPS_H_
#define LATHE_API_SINGLE_OPS_H_

#include <cstdint>
#include <string>

#include "lathe/lathe.hpp"

namespace lathe {

// No pass runs: every tensor and operator of the file is there, under its own
// number. Errors: those of Model::Open.
Result<Model> OpenUnchanged(const std::string& path,
                            uint64_t memory_limit_bytes);

}  // namespace lathe

#endif  // LATHE_API_SINGLE_OPS_H_

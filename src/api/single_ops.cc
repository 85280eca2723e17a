#include "src/api/single_ops.h"

#include "src/passes/pipeline.h"

namespace lathe {

Result<Model> OpenUnchanged(const std::string& path,
                            uint64_t memory_limit_bytes) {
  ModelOptions options;
  options.memory_limit_bytes = memory_limit_bytes;
  for (const passes::Pass& pass : passes::AllPasses()) {
    options.skip_passes.emplace_back(pass.name);
  }
  return Model::Open(path, options);
}

}  // namespace lathe

// .safetensors files (reference pt2-convert.md, section 4.2).

#ifndef LATHE_FORMAT_SAFETENSORS_SAFETENSORS_H_
#define LATHE_FORMAT_SAFETENSORS_SAFETENSORS_H_

#include <memory>

#include "src/format/checkpoint.h"

namespace lathe::format {

// Checks the header whole: sizes, types, duplicate names, and that the tensors
// cover the data without hole or overlap. Lists every problem.
Result<std::shared_ptr<const Checkpoint>> ReadSafetensors(
    std::shared_ptr<const MappedFile> file);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_SAFETENSORS_SAFETENSORS_H_

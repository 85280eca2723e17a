// Files of torch.save since 1.6: a zip with one pickle and raw storages
// (reference pt2-convert.md, section 4.1).

#ifndef LATHE_FORMAT_TORCH_ZIP_TORCH_ZIP_H_
#define LATHE_FORMAT_TORCH_ZIP_TORCH_ZIP_H_

#include <memory>

#include "src/format/checkpoint.h"

namespace lathe::format {

// The tensors of the object that was saved, with dotted names where dicts are
// nested; of a Lightning checkpoint those of its `state_dict`. The pickle is
// read by a machine of our own that knows some forty opcodes and a list of
// names; it calls nothing. Storages stay mapped; deflated ones are inflated.
Result<std::shared_ptr<const Checkpoint>> ReadTorchZip(
    std::shared_ptr<const MappedFile> file);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TORCH_ZIP_TORCH_ZIP_H_

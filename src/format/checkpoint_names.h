// Tensor names as the models themselves use them: what training wrappers put in
// front is taken off.

#ifndef LATHE_FORMAT_CHECKPOINT_NAMES_H_
#define LATHE_FORMAT_CHECKPOINT_NAMES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace lathe::format {

class Checkpoint;
struct CheckpointTensor;

// Which of two sets of weights is taken from a training snapshot that has both
// the weights being trained and their moving average.
enum class WeightChoice : uint8_t {
  kAveraged,  // diffusion_ema.ema_model.*, which is what sounds best.
  kTrained,   // diffusion.*
};

struct NormalNames {
  // The pointers are into the checkpoint.
  std::map<std::string, const CheckpointTensor*, std::less<>> tensors;
  // In words what was chosen, for the user to read; empty when there was
  // nothing to choose.
  std::string note;
};

// module.X                   -> X
// diffusion.X                -> X
// diffusion_ema.ema_model.X  -> model.X
// (reference stable-audio-open-small.md, section 1.2.) Where the average is
// chosen and there, no tensor below model. is taken from elsewhere, so that the
// two are never mixed: what the average lacks is missing. The choice has no
// effect on a file with one set only. Where two tensors end up with one name,
// the one that had a prefix is taken, and the note counts them.
NormalNames NormalizeNames(const Checkpoint& checkpoint,
                           WeightChoice choice = WeightChoice::kAveraged);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_CHECKPOINT_NAMES_H_

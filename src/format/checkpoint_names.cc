#include "src/format/checkpoint_names.h"

#include <string_view>

#include "src/format/checkpoint.h"

namespace lathe::format {
namespace {

constexpr std::string_view kParallel = "module.";
constexpr std::string_view kAverage = "diffusion_ema.";
constexpr std::string_view kAveraged = "diffusion_ema.ema_model.";
constexpr std::string_view kTrained = "diffusion.";
constexpr std::string_view kModel = "model.";

std::string_view WithoutParallel(std::string_view name) {
  if (name.starts_with(kParallel)) name.remove_prefix(kParallel.size());
  return name;
}

void AddNote(std::string& note, const std::string& more) {
  if (!note.empty() && !more.empty()) note += "; ";
  note += more;
}

}  // namespace

NormalNames NormalizeNames(const Checkpoint& checkpoint, WeightChoice choice) {
  bool averaged = false, trained = false;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    const std::string_view name = WithoutParallel(tensor.name);
    averaged = averaged || name.starts_with(kAveraged);
    trained = trained || name.starts_with(kTrained) || name.starts_with(kModel);
  }
  const bool take_average =
      averaged && (choice == WeightChoice::kAveraged || !trained);

  NormalNames names;
  names.note = checkpoint.note();
  if (take_average) {
    AddNote(names.note,
            "using the moving average of the weights "
            "(diffusion_ema.ema_model.*)");
  } else if (averaged) {
    AddNote(names.note,
            "using the trained weights, not their moving average "
            "(diffusion_ema.ema_model.*)");
  }
  size_t doubled = 0;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    std::string_view name = WithoutParallel(tensor.name);
    std::string normal;
    if (name.starts_with(kAverage)) {
      // The rest below kAverage is bookkeeping of the averaging itself.
      if (!take_average || !name.starts_with(kAveraged)) continue;
      normal = std::string(kModel) + std::string(name.substr(kAveraged.size()));
    } else {
      if (name.starts_with(kTrained)) name.remove_prefix(kTrained.size());
      if (take_average && name.starts_with(kModel)) continue;
      normal = name;
    }
    const auto [place, fresh] = names.tensors.emplace(normal, &tensor);
    if (!fresh) {
      ++doubled;
      if (tensor.name != normal) place->second = &tensor;
    }
  }
  if (doubled > 0) {
    AddNote(names.note,
            fmt::format("{} tensors stand there with and without a prefix; "
                        "using those with it",
                        doubled));
  }
  return names;
}

}  // namespace lathe::format

// The named recipes (quantizer reference 1.9).

#ifndef LATHE_QUANT_PRESETS_H_
#define LATHE_QUANT_PRESETS_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lathe::quant {

// Sorted.
std::span<const std::string_view> PresetNames();

// The preset as the JSON of a recipe; nothing for an unknown name.
std::optional<std::string> PresetJson(std::string_view name);

}  // namespace lathe::quant

#endif  // LATHE_QUANT_PRESETS_H_

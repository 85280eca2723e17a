// Names of the kinds of regions.

#include "src/graph/regions.h"

namespace lathe::graph {

std::string_view Name(RegionKind kind) {
  switch (kind) {
    case RegionKind::kSnake:
      return "snake";
    case RegionKind::kLayerNorm:
      return "layer_norm";
    case RegionKind::kRmsNorm:
      return "rms_norm";
    case RegionKind::kAttention:
      return "attention";
    case RegionKind::kRotary:
      return "rotary";
    case RegionKind::kGatedSilu:
      return "gated_silu";
    case RegionKind::kSilu:
      return "silu";
  }
  return "unknown";
}

}  // namespace lathe::graph

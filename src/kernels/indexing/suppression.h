// NON_MAX_SUPPRESSION_V4 and _V5: the best of boxes that overlap.

#ifndef LATHE_KERNELS_INDEXING_SUPPRESSION_H_
#define LATHE_KERNELS_INDEXING_SUPPRESSION_H_

#include <cstddef>
#include <cstdint>

namespace lathe::kernels {

struct SuppressionLimits {
  size_t most = 0;          // Boxes to choose.
  float iou_threshold = 0;  // From here on the worse box is dropped.
  float score_threshold = 0;
  float sigma = 0;  // Above 0: scores are lowered by overlap.
};

// A box that may still be chosen. begin: choices before it have been looked at.
struct Candidate {
  float score;
  int32_t box;
  int32_t begin;
};

// Boxes are two corners y, x, y, x in any order. Chosen, one after the other,
// is the box of the highest score above score_threshold (of equals the first)
// that overlaps no chosen one by iou_threshold or more (intersection over
// union; 0 for empty boxes). With sigma > 0 each overlap first multiplies its
// score by exp(-iou^2 / (2 sigma)). Writes the chosen boxes and, unless null,
// their scores, then zeros up to limits.most; returns how many were chosen.
// `scratch`: n candidates.
size_t RunSuppression(size_t n, const float* boxes, const float* scores,
                      const SuppressionLimits& limits, int32_t* chosen,
                      float* chosen_scores, Candidate* scratch);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_INDEXING_SUPPRESSION_H_

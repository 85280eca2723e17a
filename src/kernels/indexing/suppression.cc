#include "src/kernels/indexing/suppression.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels {
namespace {

struct Box {
  float top, left, bottom, right;

  explicit Box(const float* corners)
      : top(std::min(corners[0], corners[2])),
        left(std::min(corners[1], corners[3])),
        bottom(std::max(corners[0], corners[2])),
        right(std::max(corners[1], corners[3])) {}
  float Area() const { return (bottom - top) * (right - left); }
};

float Overlap(const Box& a, const Box& b) {
  if (a.Area() <= 0 || b.Area() <= 0) return 0;
  const float height =
      std::max(std::min(a.bottom, b.bottom) - std::max(a.top, b.top), 0.0f);
  const float width =
      std::max(std::min(a.right, b.right) - std::max(a.left, b.left), 0.0f);
  const float common = height * width;
  return common / (a.Area() + b.Area() - common);
}

}  // namespace

size_t RunSuppression(size_t n, const float* boxes, const float* scores,
                      const SuppressionLimits& limits, int32_t* chosen,
                      float* chosen_scores, Candidate* scratch) {
  // A heap with the best candidate on top.
  const auto worse = [](const Candidate& a, const Candidate& b) {
    return a.score < b.score || (a.score == b.score && a.box > b.box);
  };
  size_t waiting = 0;
  for (size_t i = 0; i < n; ++i) {
    if (scores[i] > limits.score_threshold) {
      scratch[waiting++] = {scores[i], static_cast<int32_t>(i), 0};
    }
  }
  std::make_heap(scratch, scratch + waiting, worse);
  const bool soft = limits.sigma > 0;
  const float scale = soft ? -0.5f / limits.sigma : 0;
  size_t count = 0;
  while (count < limits.most && waiting > 0) {
    std::pop_heap(scratch, scratch + waiting, worse);
    Candidate next = scratch[--waiting];
    const float before = next.score;
    const Box box(boxes + 4 * static_cast<size_t>(next.box));
    bool dropped = false;
    // The latest choices overlap most: their scores are nearest.
    for (auto i = static_cast<int32_t>(count); i-- > next.begin;) {
      const float overlap =
          Overlap(box, Box(boxes + 4 * static_cast<size_t>(chosen[i])));
      dropped = overlap >= limits.iou_threshold;
      if (dropped) break;
      if (soft) next.score *= std::exp(scale * overlap * overlap);
      if (next.score <= limits.score_threshold) break;
    }
    if (dropped) continue;
    next.begin = static_cast<int32_t>(count);
    if (next.score == before) {
      chosen[count] = next.box;
      if (chosen_scores != nullptr) chosen_scores[count] = next.score;
      ++count;
    } else if (next.score > limits.score_threshold) {
      scratch[waiting++] = next;
      std::push_heap(scratch, scratch + waiting, worse);
    }
  }
  std::fill(chosen + count, chosen + limits.most, 0);
  if (chosen_scores != nullptr) {
    std::fill(chosen_scores + count, chosen_scores + limits.most, 0.0f);
  }
  return count;
}

}  // namespace lathe::kernels

#include "src/kernels/detection/detection.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace lathe::kernels {
namespace {

struct Box {
  float top, left, bottom, right;
};

// One kept box with the class it was kept for.
struct Found {
  uint32_t box, label;
  float score;
};

struct Scratch {
  Box* boxes;        // boxes
  float* best;       // boxes: of the class at hand, or of each box's best.
  uint32_t* order;   // boxes
  uint32_t* kept;    // boxes
  uint32_t* labels;  // classes
  Found* found;      // max_detections + boxes
};

size_t MostFound(const Detection& shape) {
  return shape.regular ? shape.max_detections + shape.boxes : 0;
}

Scratch Cut(const Detection& shape, std::byte* memory) {
  Scratch s;
  const auto take = [&]<typename T>(T*& to, size_t count) {
    to = reinterpret_cast<T*>(memory);
    memory += count * sizeof(T);
  };
  take(s.boxes, shape.boxes);
  take(s.best, shape.boxes);
  take(s.order, shape.boxes);
  take(s.kept, shape.boxes);
  take(s.labels, shape.classes);
  take(s.found, MostFound(shape));
  return s;
}

// A score to sort by; NaN is lowest.
float Key(float score) {
  return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

Box Decode(const Detection& shape, const float* code, const float* anchor) {
  const auto centre = [](float v, float scale, float size, float at) {
    return static_cast<float>(double{v} / scale * size + at);
  };
  const auto half = [](float v, float scale, float size) {
    return static_cast<float>(0.5 * std::exp(double{v} / scale) * size);
  };
  const float y = centre(code[0], shape.y_scale, anchor[2], anchor[0]);
  const float x = centre(code[1], shape.x_scale, anchor[3], anchor[1]);
  const float h = half(code[2], shape.h_scale, anchor[2]);
  const float w = half(code[3], shape.w_scale, anchor[3]);
  return {y - h, x - w, y + h, x + w};
}

float Overlap(const Box& a, const Box& b) {
  const float area_a = (a.bottom - a.top) * (a.right - a.left);
  const float area_b = (b.bottom - b.top) * (b.right - b.left);
  if (area_a <= 0 || area_b <= 0) return 0;
  const float height =
      std::max(std::min(a.bottom, b.bottom) - std::max(a.top, b.top), 0.0f);
  const float width =
      std::max(std::min(a.right, b.right) - std::max(a.left, b.left), 0.0f);
  const float both = height * width;
  return both / (area_a + area_b - both);
}

// Writes the boxes that stay to s.kept and returns how many.
size_t Suppress(const Detection& shape, const Scratch& s, size_t most) {
  size_t candidates = 0;
  for (size_t i = 0; i < shape.boxes; ++i) {
    if (s.best[i] >= shape.score_threshold) {
      s.order[candidates++] = static_cast<uint32_t>(i);
    }
  }
  std::sort(s.order, s.order + candidates, [&](uint32_t a, uint32_t b) {
    return s.best[a] != s.best[b] ? s.best[a] > s.best[b] : a < b;
  });
  size_t kept = 0;
  for (size_t i = 0; i < candidates && kept < most; ++i) {
    const Box& box = s.boxes[s.order[i]];
    const bool doubled =
        std::any_of(s.kept, s.kept + kept, [&](uint32_t other) {
          return Overlap(s.boxes[other], box) > shape.iou_threshold;
        });
    if (!doubled) s.kept[kept++] = s.order[i];
  }
  return kept;
}

void Write(const DetectionOutputs& outputs, size_t at, const Box& box,
           uint32_t label, float score) {
  float* to = outputs.boxes + 4 * at;
  to[0] = box.top;
  to[1] = box.left;
  to[2] = box.bottom;
  to[3] = box.right;
  outputs.classes[at] = static_cast<float>(label);
  outputs.scores[at] = score;
}

size_t RunFast(const Detection& shape, const Scratch& s, const float* scores,
               const DetectionOutputs& outputs) {
  for (size_t i = 0; i < shape.boxes; ++i) {
    const float* row = scores + i * shape.score_stride;
    float best = row[0];
    for (size_t c = 1; c < shape.classes; ++c) {
      if (Key(row[c]) > Key(best)) best = row[c];
    }
    s.best[i] = best;
  }
  const size_t kept = Suppress(shape, s, shape.max_detections);
  const size_t labels = std::min(shape.max_classes, shape.classes);
  for (size_t i = 0; i < kept; ++i) {
    const float* row = scores + s.kept[i] * shape.score_stride;
    for (size_t c = 0; c < shape.classes; ++c) {
      s.labels[c] = static_cast<uint32_t>(c);
    }
    std::partial_sort(s.labels, s.labels + labels, s.labels + shape.classes,
                      [&](uint32_t a, uint32_t b) {
                        const float u = Key(row[a]), v = Key(row[b]);
                        return u != v ? u > v : a < b;
                      });
    for (size_t c = 0; c < labels; ++c) {
      Write(outputs, i * shape.max_classes + c, s.boxes[s.kept[i]], s.labels[c],
            row[s.labels[c]]);
    }
  }
  return kept;
}

size_t RunRegular(const Detection& shape, const Scratch& s, const float* scores,
                  const DetectionOutputs& outputs) {
  size_t count = 0;
  for (size_t c = 0; c < shape.classes; ++c) {
    for (size_t i = 0; i < shape.boxes; ++i) {
      s.best[i] = scores[i * shape.score_stride + c];
    }
    const size_t kept = Suppress(shape, s, shape.per_class);
    const size_t all = count + kept;
    for (size_t i = 0; i < kept; ++i) {
      s.found[count + i] = {s.kept[i], static_cast<uint32_t>(c),
                            s.best[s.kept[i]]};
    }
    // Earlier classes first, then earlier ranks: the order they stand in.
    count = std::min(all, shape.max_detections);
    std::partial_sort(s.found, s.found + count, s.found + all,
                      [](const Found& a, const Found& b) {
                        if (a.score != b.score) return a.score > b.score;
                        if (a.label != b.label) return a.label < b.label;
                        return a.box < b.box;
                      });
  }
  for (size_t i = 0; i < count; ++i) {
    Write(outputs, i, s.boxes[s.found[i].box], s.found[i].label,
          s.found[i].score);
  }
  return count;
}

}  // namespace

size_t DetectionScratchBytes(const Detection& shape) {
  return shape.boxes * (sizeof(Box) + sizeof(float) + 2 * sizeof(uint32_t)) +
         shape.classes * sizeof(uint32_t) + MostFound(shape) * sizeof(Found);
}

size_t RunDetection(const Detection& shape, const float* encodings,
                    const float* scores, const float* anchors,
                    const DetectionOutputs& outputs, std::byte* scratch) {
  const Scratch s = Cut(shape, scratch);
  for (size_t i = 0; i < shape.boxes; ++i) {
    s.boxes[i] =
        Decode(shape, encodings + i * shape.box_stride, anchors + 4 * i);
    if (s.boxes[i].top > s.boxes[i].bottom ||
        s.boxes[i].left > s.boxes[i].right) {
      return i;
    }
  }
  const size_t most = shape.max_detections * shape.max_classes;
  std::fill_n(outputs.boxes, 4 * most, 0.0f);
  std::fill_n(outputs.classes, most, 0.0f);
  std::fill_n(outputs.scores, most, 0.0f);
  const float* labelled = scores + (shape.score_stride - shape.classes);
  const size_t count = shape.regular ? RunRegular(shape, s, labelled, outputs)
                                     : RunFast(shape, s, labelled, outputs);
  outputs.count[0] = static_cast<float>(count);
  return shape.boxes;
}

}  // namespace lathe::kernels

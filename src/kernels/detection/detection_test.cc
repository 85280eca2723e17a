#include "src/kernels/detection/detection.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace lathe::kernels {
namespace {

// Boxes 0 and 1 nearly coincide, 2 stands apart; classes 0 and 1.
struct Scene {
  Detection shape;
  std::vector<float> encodings = std::vector<float>(12, 0);
  std::vector<float> anchors = {0.2f, 0.2f, 0.2f, 0.2f, 0.21f, 0.2f,
                                0.2f, 0.2f, 0.8f, 0.8f, 0.2f,  0.2f};
  std::vector<float> scores = {0.6f, 0.1f, 0.9f, 0.3f, 0.2f, 0.8f};
  std::vector<float> boxes, classes, found, count = {-1};

  Scene() {
    shape.boxes = 3;
    shape.classes = shape.score_stride = 2;
    shape.max_detections = 3;
    shape.score_threshold = 0.05f;
    shape.iou_threshold = 0.5f;
  }
  size_t Run() {
    const size_t most = shape.max_detections * shape.max_classes;
    boxes.assign(4 * most, -1);
    classes.assign(most, -1);
    found.assign(most, -1);
    std::vector<std::byte> scratch(DetectionScratchBytes(shape));
    return RunDetection(
        shape, encodings.data(), scores.data(), anchors.data(),
        {boxes.data(), classes.data(), found.data(), count.data()},
        scratch.data());
  }
};

TEST(Detection, FastKeepsTheBestBoxOfAPlace) {
  Scene s;
  EXPECT_EQ(s.Run(), 3u);
  EXPECT_EQ(s.count[0], 2);
  EXPECT_EQ(s.classes, std::vector<float>({0, 1, 0}));
  EXPECT_EQ(s.found, std::vector<float>({0.9f, 0.8f, 0}));
  EXPECT_NEAR(s.boxes[0], 0.11f, 1e-6);  // Top of box 1.
  EXPECT_EQ(s.boxes[8], 0);
}

TEST(Detection, FastWritesSeveralClassesOfABox) {
  Scene s;
  s.shape.max_classes = 3;  // More than there are.
  EXPECT_EQ(s.Run(), 3u);
  EXPECT_EQ(s.classes, std::vector<float>({0, 1, 0, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(s.found[0], 0.9f);
  EXPECT_EQ(s.found[1], 0.3f);
  EXPECT_EQ(s.found[2], 0);
}

TEST(Detection, RegularSuppressesWithinAClass) {
  Scene s;
  s.shape.regular = true;
  EXPECT_EQ(s.Run(), 3u);
  // Class 0: boxes 1 and 2; class 1: boxes 2 and 1. The best three.
  EXPECT_EQ(s.count[0], 3);
  EXPECT_EQ(s.found, std::vector<float>({0.9f, 0.8f, 0.3f}));
  EXPECT_EQ(s.classes, std::vector<float>({0, 1, 1}));
}

TEST(Detection, LeavesOutNaNAndNamesBadAnchors) {
  Scene s;
  s.scores.assign(6, std::nanf(""));
  EXPECT_EQ(s.Run(), 3u);
  EXPECT_EQ(s.count[0], 0);
  s.anchors[6] = -1;
  EXPECT_EQ(s.Run(), 1u);
}

}  // namespace
}  // namespace lathe::kernels

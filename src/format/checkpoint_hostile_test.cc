// Damaged checkpoints: every one is an error or a checkpoint that can be read,
// never a crash.

#include <random>

#include "gtest/gtest.h"
#include "src/format/checkpoint_testing.h"

namespace lathe::format {
namespace {

std::vector<std::string> SmallFiles() {
  const std::string floats = FloatBytes({1, 2, 3, 4, 5, 6});
  const std::string value = pkl::Dict(
      {{"state_dict",
        pkl::Dict(
            {{"a", pkl::Tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})},
             {"b", pkl::Tensor("HalfStorage", "0", 12, 1, {3, 2}, {1, 3})}})},
       {"epoch", pkl::Int(1)}});
  return {
      Safetensors(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                  R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}})",
                  floats),
      TorchZip(value, floats, false), TorchZip(value, floats, true)};
}

// Opens, and reads all that it promises to have.
bool OpenAndUse(const std::string& path) {
  const auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint) {
    EXPECT_FALSE(checkpoint.error().message.empty());
    return false;
  }
  for (const CheckpointTensor& tensor : (*checkpoint)->tensors()) {
    EXPECT_LT(tensor.elements, 1'000'000u);
    std::vector<float> values(tensor.elements);
    (void)(*checkpoint)->ReadFloats(tensor, 0, values);
    (*checkpoint)->GiveBack(tensor);
  }
  (void)NormalizeNames(**checkpoint);
  return true;
}

TEST(DamagedCheckpoint, CutOffAnywhereIsAnError) {
  for (const std::string& whole : SmallFiles()) {
    const TempFile file(whole);
    EXPECT_TRUE(OpenAndUse(file.path()));
    for (size_t size = whole.size(); size-- > 0;) {
      ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(size)), 0);
      EXPECT_FALSE(OpenAndUse(file.path())) << size;
    }
  }
}

TEST(DamagedCheckpoint, WithFlippedBytesIsNoCrash) {
  std::mt19937 random(1);
  for (const std::string& whole : SmallFiles()) {
    const TempFile file(whole);
    int read = 0;
    constexpr int kRounds = 5000;
    for (int round = 0; round < kRounds; ++round) {
      std::string damaged = whole;
      for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
        const auto value = random() % 2 == 0 ? random() % 256 : random() % 4;
        damaged[random() % damaged.size()] = static_cast<char>(value);
      }
      file.Write(damaged);
      read += OpenAndUse(file.path());
    }
    // Both outcomes occur, or the test tests nothing.
    EXPECT_GT(read, 0);
    EXPECT_LT(read, kRounds);
  }
}

}  // namespace
}  // namespace lathe::format

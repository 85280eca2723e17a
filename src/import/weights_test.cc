// One error lists every tensor that is not as expected.

#include "src/import/weights.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::importer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

SourceTensor Tensor(std::vector<int64_t> shape, float value = 0) {
  SourceTensor tensor;
  tensor.shape = std::move(shape);
  tensor.read = [value](uint64_t, std::span<float> out) -> Status {
    std::ranges::fill(out, value);
    return {};
  };
  return tensor;
}

TEST(Weights, SayNothingWhenEveryTensorIsThere) {
  Weights weights({{"a", Tensor({2, 3})}, {"b", Tensor({4})}}, "file");
  weights.Need("a", {2, 3});
  weights.Need("b", {4});
  EXPECT_TRUE(weights.Check());
}

TEST(Weights, ListEveryMissingMisshapenAndUnexpectedTensorAtOnce) {
  SourceTensor integers = Tensor({5});
  integers.unusable = "int8";
  Weights weights({{"turned", Tensor({3, 2})},
                   {"integers", integers},
                   {"stray", Tensor({7})},
                   {"stray too", Tensor({8})},
                   {"right", Tensor({1})}},
                  "file.safetensors");
  weights.Need("gone", {2, 9});
  weights.Need("gone too", {1});
  weights.Need("turned", {2, 3});
  weights.Need("integers", {5});
  weights.Need("right", {1});
  const Status status = weights.Check();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(status.error().message,
            "file.safetensors: the tensors are not those of the configuration\n"
            " 2 missing:\n"
            "  gone [2,9]\n"
            "  gone too [1]\n"
            " 2 of another shape or type:\n"
            "  turned: found [3,2], expected [2,3]\n"
            "  integers: found int8, expected float32, float16, bfloat16 or "
            "float64\n"
            " 2 not expected:\n"
            "  stray [7]\n"
            "  stray too [8]");
}

TEST(Weights, NameATensorOnceHoweverOftenItIsAskedFor) {
  Weights weights({}, "file");
  weights.Need("gone", {2});
  weights.Need("gone", {2});
  EXPECT_THAT(weights.Check().error().message, HasSubstr("1 missing"));
}

TEST(Weights, LeaveIgnoredPrefixesAndNamesAlone) {
  Weights weights({{"decoder.x", Tensor({1})},
                   {"lm_head.x", Tensor({1})},
                   {"twin", Tensor({1})},
                   {"extra", Tensor({1})}},
                  "file");
  weights.Ignore("twin");
  const std::string message =
      weights.Check({"decoder.", "lm_head."}).error().message;
  EXPECT_THAT(message, HasSubstr("extra [1]"));
  EXPECT_THAT(message, Not(HasSubstr("decoder.x")));
  EXPECT_THAT(message, Not(HasSubstr("twin")));
}

TEST(Weights, ReadSmallTensorsAndGiveZerosForMissingOnes) {
  Weights weights({{"a", Tensor({2}, 3.5f)}}, "file");
  EXPECT_THAT(*weights.Values("a", {2}), ElementsAre(3.5f, 3.5f));
  EXPECT_THAT(*weights.Values("b", {1, 3}), ElementsAre(0, 0, 0));
  EXPECT_FALSE(weights.Need("b", {1, 3}).read(0, {}));
}

}  // namespace
}  // namespace lathe::importer

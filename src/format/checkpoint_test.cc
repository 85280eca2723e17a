// Which files are checkpoints, what values come out, and which tensors are
// chosen from a training snapshot.

#include "src/format/checkpoint.h"

#include "gmock/gmock.h"
#include "src/format/checkpoint_testing.h"

namespace lathe::format {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const Checkpoint> OpenBytes(std::string_view bytes) {
  const TempFile file(bytes);  // The mapping outlives the name.
  auto checkpoint = Checkpoint::Open(file.path());
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint ? *checkpoint : nullptr;
}

// One-element tensors of these names, their value their place in the list.
std::shared_ptr<const Checkpoint> WithNames(
    const std::vector<std::string>& names) {
  std::string header = "{", data;
  for (size_t i = 0; i < names.size(); ++i) {
    header += fmt::format(
        R"({}"{}":{{"dtype":"F32","shape":[],"data_offsets":[{},{}]}})",
        i ? "," : "", names[i], 4 * i, 4 * i + 4);
    data += FloatBytes({static_cast<float>(i)});
  }
  return OpenBytes(Safetensors(header + "}", data));
}

float Value(const Checkpoint& checkpoint, const NormalNames& names,
            std::string_view name) {
  const auto found = names.tensors.find(name);
  if (found == names.tensors.end()) return -1;
  float value = 0;
  EXPECT_TRUE(checkpoint.ReadFloats(*found->second, 0, {&value, 1}));
  return value;
}

TEST(Checkpoint, SaysWhatAFileIsThatItCannotRead) {
  EXPECT_THAT(OpenMessage(""), HasSubstr("neither a .safetensors"));
  EXPECT_THAT(OpenMessage("hello, this is text"),
              HasSubstr("neither a .safetensors"));
  EXPECT_THAT(OpenMessage("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."),
              HasSubstr("before version 1.6"));
  EXPECT_FALSE(Checkpoint::Open("/no/such/file"));
}

TEST(Checkpoint, ReadsEveryFloatType) {
  // 1, -2 and 0.5 as f16, bf16, f64; one byte in front misaligns them all.
  const auto checkpoint = OpenBytes(
      Safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("h":{"dtype":"F16","shape":[3],"data_offsets":[1,7]},)"
                  R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[7,13]},)"
                  R"("d":{"dtype":"F64","shape":[1],"data_offsets":[13,21]}})",
                  "x" + LittleEndian(0x3800'C000'3C00, 6) +
                      LittleEndian(0x3F00'C000'3F80, 6) +
                      LittleEndian(0x3FF8'0000'0000'0000, 8)));
  ASSERT_TRUE(checkpoint);
  EXPECT_THAT(AllFloats(*checkpoint, "h"), ElementsAre(1, -2, 0.5));
  EXPECT_THAT(AllFloats(*checkpoint, "b"), ElementsAre(1, -2, 0.5));
  EXPECT_THAT(AllFloats(*checkpoint, "d"), ElementsAre(1.5));
  float out[3];
  EXPECT_FALSE(checkpoint->ReadFloats(*checkpoint->Find("a"), 0, {out, 1}));
  EXPECT_TRUE(checkpoint->ReadFloats(*checkpoint->Find("h"), 1, {out, 2}));
  EXPECT_EQ(out[0], -2);
  EXPECT_FALSE(checkpoint->ReadFloats(*checkpoint->Find("h"), 1, out));
  EXPECT_FALSE(checkpoint->ReadFloats(*checkpoint->Find("h"), UINT64_MAX, out));
  checkpoint->GiveBack(*checkpoint->Find("h"));
  EXPECT_THAT(AllFloats(*checkpoint, "h"), ElementsAre(1, -2, 0.5));
  EXPECT_EQ(checkpoint->Find("z"), nullptr);
}

TEST(NormalizeNames, PrefersTheMovingAverageAndNeverMixesTheTwo) {
  const auto checkpoint =
      WithNames({"diffusion.model.a", "diffusion.conditioner.c",
                 "diffusion_ema.ema_model.a", "diffusion_ema.step",
                 "diffusion.model.only_trained"});
  const NormalNames names = NormalizeNames(*checkpoint);
  EXPECT_EQ(names.tensors.size(), 2u);
  EXPECT_EQ(Value(*checkpoint, names, "model.a"), 2);
  EXPECT_EQ(Value(*checkpoint, names, "conditioner.c"), 1);
  EXPECT_THAT(names.note, HasSubstr("using the moving average"));
}

TEST(NormalizeNames, TakesTheTrainedWeightsWhenAsked) {
  const auto checkpoint = WithNames(
      {"module.diffusion.model.a", "module.diffusion_ema.ema_model.a"});
  const NormalNames names = NormalizeNames(*checkpoint, WeightChoice::kTrained);
  EXPECT_EQ(names.tensors.size(), 1u);
  EXPECT_EQ(Value(*checkpoint, names, "model.a"), 0);
  EXPECT_THAT(names.note, HasSubstr("not their moving average"));
}

TEST(NormalizeNames, LeavesAPlainFileAsItIs) {
  const auto checkpoint = WithNames({"model.model.a", "pretransform.b"});
  const NormalNames names = NormalizeNames(*checkpoint);
  EXPECT_EQ(names.tensors.size(), 2u);
  EXPECT_EQ(Value(*checkpoint, names, "model.model.a"), 0);
  EXPECT_EQ(names.note, "");
}

TEST(NormalizeNames, SaysWhenTwoTensorsWouldHaveOneName) {
  const auto checkpoint = WithNames({"model.a", "diffusion.model.a"});
  const NormalNames names = NormalizeNames(*checkpoint);
  EXPECT_EQ(Value(*checkpoint, names, "model.a"), 1);
  EXPECT_THAT(names.note, HasSubstr("1 tensors stand there with and without"));
}

}  // namespace
}  // namespace lathe::format

// What torch.save and training programs write, and what an attacker would.

#include "src/format/torch_zip/torch_zip.h"

#include "gmock/gmock.h"
#include "src/format/checkpoint_testing.h"

namespace lathe::format {
namespace {

using pkl::Call;
using pkl::Dict;
using pkl::Global;
using pkl::Int;
using pkl::Ints;
using pkl::Tensor;
using pkl::Text;
using pkl::Tuple;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kSix = FloatBytes({0, 1, 2, 3, 4, 5});

std::string Six(int64_t offset, const std::vector<int64_t>& shape,
                const std::vector<int64_t>& strides) {
  return Tensor("FloatStorage", "0", 6, offset, shape, strides);
}
const std::string kPlain = Six(0, {2, 3}, {3, 1});

std::shared_ptr<const Checkpoint> OpenBytes(std::string_view bytes) {
  const TempFile file(bytes);
  auto checkpoint = Checkpoint::Open(file.path());
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return checkpoint ? *checkpoint : nullptr;
}

std::string MessageOf(const std::string& value) {
  return OpenMessage(TorchZip(value, kSix));
}

TEST(TorchZip, ReadsViewsOfOneStorageStoredAndDeflated) {
  const std::string value = Dict({{"plain", kPlain},
                                  {"turned", Six(0, {3, 2}, {1, 3})},
                                  {"row", Six(3, {3}, {1})},
                                  {"repeated", Six(5, {2, 2}, {0, 0})},
                                  {"empty", Six(0, {0, 7}, {7, 1})},
                                  {"scalar", Six(4, {}, {})}});
  for (const bool deflate : {false, true}) {
    const auto checkpoint = OpenBytes(TorchZip(value, kSix, deflate));
    ASSERT_TRUE(checkpoint);
    EXPECT_THAT(AllFloats(*checkpoint, "plain"), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(AllFloats(*checkpoint, "turned"),
                ElementsAre(0, 3, 1, 4, 2, 5));
    EXPECT_THAT(AllFloats(*checkpoint, "row"), ElementsAre(3, 4, 5));
    EXPECT_THAT(AllFloats(*checkpoint, "repeated"), ElementsAre(5, 5, 5, 5));
    EXPECT_THAT(AllFloats(*checkpoint, "empty"), ElementsAre());
    EXPECT_THAT(AllFloats(*checkpoint, "scalar"), ElementsAre(4));
    EXPECT_EQ(checkpoint->Find("plain")->deflated != nullptr, deflate);
    float out[2];
    EXPECT_TRUE(checkpoint->ReadFloats(*checkpoint->Find("turned"), 3, out));
    EXPECT_THAT(out, ElementsAre(4, 2));
    checkpoint->GiveBack(*checkpoint->Find("plain"));
  }
}

TEST(TorchZip, ReadsTheStateDictOfALightningCheckpointAndNothingElse) {
  const std::string moments = Dict({{"exp_avg", kPlain}});
  const auto checkpoint = OpenBytes(TorchZip(
      Dict({{"epoch", Int(3)},
            {"optimizer_states", moments},
            {"callbacks", Call(Global("some.package", "Callback"), {})},
            {"state_dict", Call(Global("collections", "OrderedDict"), {}) +
                               "(" + Text("model.w") + kPlain + "u" +
                               Dict({{"_metadata", Dict({})}}) + "b"}}),
      kSix));
  ASSERT_TRUE(checkpoint);
  ASSERT_EQ(checkpoint->tensors().size(), 1u);
  EXPECT_EQ(checkpoint->tensors()[0].name, "model.w");
  EXPECT_EQ(checkpoint->note(), "using its state_dict");
}

TEST(TorchZip, JoinsNestedNamesWithDotsAndSkipsTheOptimizer) {
  const auto checkpoint =
      OpenBytes(TorchZip(Dict({{"model", Dict({{"a", Dict({{"b", kPlain}})}})},
                               {"head", Dict({{"c", kPlain}})},
                               {"optimizer", Dict({{"d", kPlain}})}}),
                         kSix));
  ASSERT_TRUE(checkpoint);
  ASSERT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->tensors()[0].name, "head.c");
  EXPECT_EQ(checkpoint->tensors()[1].name, "model.a.b");
}

TEST(TorchZip, TakesOffAWrapperWhereNothingElseHasTensors) {
  const auto checkpoint =
      OpenBytes(TorchZip(Dict({{"model", Dict({{"a", kPlain}})},
                               {"optimizer", Dict({{"d", kPlain}})},
                               {"step", Int(9)}}),
                         kSix));
  ASSERT_TRUE(checkpoint);
  ASSERT_EQ(checkpoint->tensors().size(), 1u);
  EXPECT_EQ(checkpoint->tensors()[0].name, "a");
  EXPECT_EQ(checkpoint->note(), "using its model");
}

TEST(TorchZip, ReadsParametersAndWholeModules) {
  const std::string parameter = Call(
      Global("torch._utils", "_rebuild_parameter"), {kPlain, "\x89", Dict({})});
  const auto checkpoint =
      OpenBytes(TorchZip(Global("some.package", "Net") + ")\x81" +
                             Dict({{"training", "\x88"},
                                   {"_parameters", Dict({{"w", parameter}})},
                                   {"_buffers", Dict({{"none", "N"}})},
                                   {"_modules", Dict({})}}) +
                             "b",
                         kSix));
  ASSERT_TRUE(checkpoint);
  ASSERT_EQ(checkpoint->tensors().size(), 1u);
  EXPECT_EQ(checkpoint->tensors()[0].name, "w");
}

TEST(TorchZip, RefusesCodeAndNamesAllOfIt) {
  const std::string message = MessageOf(
      Dict({{"w", kPlain},
            {"x", Call(Global("os", "system"), {Text("touch /tmp/no")})},
            {"y", Call(Global("builtins", "eval"), {Text("1")})}}));
  EXPECT_THAT(message, HasSubstr("os.system"));
  EXPECT_THAT(message, HasSubstr("builtins.eval"));
  EXPECT_THAT(MessageOf(Dict({{"state_dict",
                               Dict({{"w", kPlain},
                                     {"x", Call(Global("a.b", "Make"), {})},
                                     {"y", Call(Global("c", "Do"), {})}})}})),
              HasSubstr("objects that are not tensors: a.b.Make, c.Do"));
}

TEST(TorchZip, RefusesTensorsThatLeaveTheirStorage) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  for (const std::string& tensor :
       {Six(0, {7}, {1}), Six(6, {1}, {1}), Six(-1, {1}, {1}),
        Six(0, {2}, {-1}), Six(0, {-1}, {1}), Six(0, {2, 4}, {3, 1}),
        Six(0, {kHuge, kHuge}, {0, 0}), Six(0, {kHuge}, {kHuge}),
        Six(0, {0, kHuge, kHuge}, {1, 1, 1}), Six(0, {kHuge}, {0})}) {
    EXPECT_THAT(MessageOf(Dict({{"t", tensor}})), HasSubstr("\"t\""));
  }
  EXPECT_THAT(
      MessageOf(Dict({{"t", Tensor("FloatStorage", "0", 7, 0, {1}, {1})}})),
      HasSubstr("of 28 bytes, the file has 24"));
  EXPECT_THAT(
      MessageOf(
          Dict({{"t", Tensor("FloatStorage", "0", INT64_MAX, 0, {1}, {1})}})),
      HasSubstr("\"t\""));
  EXPECT_THAT(
      MessageOf(Dict({{"t", Tensor("FloatStorage", "../0", 6, 0, {1}, {1})}})),
      HasSubstr("the file has 0"));
  EXPECT_THAT(
      MessageOf(Dict({{"t", Tensor("OddStorage", "0", 6, 0, {1}, {1})}})),
      HasSubstr("torch.OddStorage is not known"));
  EXPECT_THAT(MessageOf(Dict({{"t", Six(0, {1, 1}, {1})}})),
              HasSubstr("2 dims and 1 strides"));
  EXPECT_THAT(
      MessageOf(Dict(
          {{"t", Call(Global("torch._utils", "_rebuild_qtensor"), {Int(1)})}})),
      HasSubstr("_rebuild_qtensor; only dense"));
}

TEST(TorchZip, RefusesATensorThatIsMadeOfItself) {
  // A list that is its own third item: from_type_v2(from_type_v2, type, list).
  const std::string itself = "]q\x01" +
                             Global("torch._tensor", "_rebuild_from_type_v2") +
                             "a" + Global("torch", "Tensor") + "ah\x01" + "a";
  EXPECT_THAT(
      MessageOf(Dict({{"t", Global("torch._tensor", "_rebuild_from_type_v2") +
                                itself + "R"}})),
      HasSubstr("at depth 65"));
  EXPECT_THAT(MessageOf("}q\x01(" + Text("a") + "h\x01u"),
              HasSubstr("nested deeper than 64"));
}

TEST(TorchZip, RefusesDictsThatMultiply) {
  // 40 dicts, each with twice the one before it: 2^40 paths to one tensor.
  std::string value = Dict({{"t", kPlain}});
  for (int i = 0; i < 40; ++i) {
    value =
        value + "q\x01" + "0}(" + Text("a") + "h\x01" + Text("b") + "h\x01u";
  }
  EXPECT_THAT(MessageOf(value), HasSubstr("values to look through"));
}

TEST(TorchZip, RefusesDamagedZips) {
  const std::string pickle = pkl::Pickled(Dict({{"t", kPlain}}));
  const auto message = [](const ZipWriter& zip) {
    return OpenMessage(zip.Bytes());
  };
  EXPECT_THAT(message(ZipWriter().Add("a/b", "c")),
              HasSubstr("without data.pkl"));
  EXPECT_THAT(
      message(ZipWriter().Add("data.pkl", pickle).Add("b/data.pkl", pickle)),
      HasSubstr("two data.pkl"));
  EXPECT_THAT(
      message(ZipWriter().Add("a/data.pkl", pickle).Add("a/data.pkl", pickle)),
      HasSubstr("stands there twice"));
  EXPECT_THAT(
      message(ZipWriter().Add("a/data.pkl", pickle).Add("a/byteorder", "big")),
      HasSubstr("byte order \"big\""));
  EXPECT_THAT(message(ZipWriter()
                          .Add("a/data.pkl", pickle)
                          .Add("a/byteorder", std::string(70000, 'l'), true)),
              HasSubstr("byteorder of 70000 bytes"));
  EXPECT_THAT(message(ZipWriter()
                          .Add("a/data.pkl", pickle)
                          .Add("a/data/1", "a/data/0", kSix, kSix, 24, false)),
              HasSubstr("two headers do not agree"));
  EXPECT_THAT(message(ZipWriter()
                          .Add("a/data.pkl", pickle)
                          .Add("a/data/0", "a/data/0", kSix, kSix, 23, false)),
              HasSubstr("a/data/0"));
  // A bomb: two bytes that promise 4 GB.
  EXPECT_THAT(message(ZipWriter().Add("a/data.pkl", "a/data.pkl", pickle, "ab",
                                      0xFFFFFFF0, true)),
              HasSubstr("4294967280 inflated"));
}

TEST(TorchZip, SaysWhenDeflatedDataIsNotWhatItPromises) {
  const TempFile file(
      ZipWriter()
          .Add("a/data.pkl", pkl::Pickled(Dict({{"t", kPlain}})))
          .Add("a/data/0", "a/data/0", kSix,
               ZipWriter::Deflated(kSix.substr(4)), 24, true)
          .Bytes());
  const auto checkpoint = Checkpoint::Open(file.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  float out[6];
  const Status status =
      (*checkpoint)->ReadFloats(*(*checkpoint)->Find("t"), 0, out);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("20 bytes inflated, 24"));
}

}  // namespace
}  // namespace lathe::format

// How near our quantized models are to their float models, against the best
// that was recorded for AI Edge Quantizer's: weights alone against its weights
// in float arithmetic, the others against the best set of LiteRT's kernels. The
// fixtures lie beside the project; without them this skips.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "lathe/inspect.hpp"
#include "lathe/quantize.hpp"
#include "lathe/validate.hpp"
#include "nlohmann/json.hpp"
#include "src/api/test_support.h"
#include "src/report/real_values.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kRoot = "../shared/fixtures/quant";

// Cases that may lie further below on the one recorded sample. "Others" are 64
// other samples, means of dB in LiteRT 2.3.0.
const std::set<std::string_view> kBelow = {
    // Chance: on others as near as the older tool's or nearer, by up to 0.1,
    // 0.4, 1.1 and 0.4 dB.
    "fc_single.gptq4c", "fc_single.gptq8c", "fc_fp16_overflow.dyn8c",
    "unused_tensor.dyn8c",
    // int4 without -8, which LiteRT's optimized kernel gets wrong: 0.2 and 0.1
    // dB further on others, 9 and 12 dB nearer with that kernel.
    "fc_chain.star_erases", "embedding_fc.dhad4c", "embedding_fc.had4c",
    // Equal files. Where a filter has one scale, and for int4 rows, our kernels
    // round activations without a zero point, as LiteRT's own do; XNNPACK has
    // one.
    "op_conv-relu6.dyn8c", "op_reshape-conv.dyn8c",
    "fc_fake_int4_channel.dwr4c"};

// What follows the header of an .npy file of version 1.
std::vector<std::byte> NpyBytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
  if (file.size() < 10) return {};
  const size_t header =
      10 + static_cast<uint8_t>(file[8]) + 256u * static_cast<uint8_t>(file[9]);
  const auto* data = reinterpret_cast<const std::byte*>(file.data());
  return {data + header, data + file.size()};
}

// As the fixtures write names of signatures and tensors.
std::string FileName(std::string name) {
  for (char& c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) ||
                       c == '.' || c == '_' || c == '-';
    if (!plain) c = '_';
  }
  return name.empty() ? "main" : name;
}

std::vector<float> Real(const TensorInfo& info, std::vector<std::byte> bytes) {
  std::vector<float> space;
  const auto real =
      report::RealValues({.info = info, .bytes = bytes, .strings = {}}, space);
  return {real.begin(), real.end()};
}

// Of the float model's output, as recorded; only truth values are no floats.
std::vector<float> FloatResult(const TensorInfo& output, const fs::path& path) {
  TensorInfo plain = output;
  plain.quantization = {};
  if (output.type != ElementType::kBool) plain.type = ElementType::kFloat32;
  return Real(plain, NpyBytes(path));
}

// Over all outputs of one signature.
struct Noise {
  double signal = 0, noise = 0;
  void Add(std::span<const float> wanted, std::span<const float> found) {
    ASSERT_EQ(wanted.size(), found.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double w = wanted[i], f = found[i];
      if (!std::isfinite(w)) continue;  // A mask.
      signal += w * w;
      noise += std::isfinite(f) ? (w - f) * (w - f) : w * w;
    }
  }
  double Decibels() const {
    // Beyond 100 it is the order of float sums.
    if (noise == 0) return 100;
    return std::clamp(10 * std::log10(signal / noise), -100.0, 100.0);
  }
};

class Case {
 public:
  explicit Case(const Json& json)
      : id_(json["id"].get<std::string>()),
        model_((kRoot / json["float"].get<std::string>()).string()),
        folder_(kRoot / "cases" / id_),
        name_(id_.substr(0, id_.find('.'))) {}

  // Returns how many signatures were judged.
  size_t Judge(const std::string& out) const {
    QuantizeOptions options;
    options.recipe = (folder_ / "recipe.json").string();
    if (fs::exists(folder_ / "stats.json")) {
      options.stats = (folder_ / "stats.json").string();
    }
    const auto made = Quantize(model_, out, options);
    if (!made) return 0;  // Tests of recipes say what may be refused.
    const auto facts = Inspect(model_);
    EXPECT_TRUE(facts) << facts.error().message;
    if (!facts) return 0;
    size_t judged = 0;
    for (const SignatureInfo& signature : facts->signatures) {
      const double best = Recorded(signature);
      if (std::isnan(best)) continue;
      ++judged;
      const double ours = Ours(signature, out);
      if (!kBelow.contains(id_)) {
        EXPECT_GE(ours, best - 1) << signature.key;
      }
    }
    return judged;
  }

 private:
  fs::path Floats(const SignatureInfo& signature) const {
    return kRoot / "float_outputs" / name_ / FileName(signature.key);
  }

  bool IsWeightOnly() const {
    std::ifstream in(folder_ / "recipe.json");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return text.find("\"INTEGER\"") == std::string::npos;
  }

  // NaN when nothing was recorded.
  double Recorded(const SignatureInfo& signature) const {
    const auto facts = Inspect((folder_ / "expected.tflite").string());
    if (!facts) return std::nan("");
    double best = std::nan("");
    const bool weights_only = IsWeightOnly();
    for (const char* set : {"deq", "ref", "opt", "xnn"}) {
      if (weights_only != (std::string_view(set) == "deq")) continue;
      Noise noise;
      for (const SignatureInfo& theirs : facts->signatures) {
        if (theirs.key != signature.key) continue;
        for (const TensorInfo& output : theirs.outputs) {
          const std::string file = FileName(output.name) + ".npy";
          const fs::path path = folder_ / set / FileName(signature.key) / file;
          if (!fs::exists(path)) continue;
          // Those of "deq" are floats already.
          noise.Add(FloatResult(output, Floats(signature) / file),
                    weights_only ? FloatResult(output, path)
                                 : Real(output, NpyBytes(path)));
        }
      }
      if (noise.signal == 0 && noise.noise == 0) continue;
      best = std::fmax(best, noise.Decibels());
    }
    return best;
  }

  double Ours(const SignatureInfo& signature, const std::string& out) const {
    Noise noise;
    ValidateOptions options;
    options.outputs_only = true;
    options.on_output = [&](const TensorInfo& output, std::span<const float>,
                            std::span<const float> found) -> Status {
      noise.Add(FloatResult(output, Floats(signature) /
                                        (FileName(output.name) + ".npy")),
                found);
      return {};
    };
    const Samples sample = {
        .signature = signature.key,
        .count = 1,
        .fill = [&](Session& session, uint64_t) -> Status {
          for (const TensorInfo& input : session.inputs()) {
            if (input.is_constant) continue;
            LATHE_TRY(session.SetInput(
                input.name, NpyBytes(kRoot / "inputs" / name_ / "test" /
                                     FileName(signature.key) /
                                     (FileName(input.name) + ".npy"))));
          }
          return {};
        }};
    const auto report = Validate(model_, out, {&sample, 1}, options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? noise.Decibels() : -100;
  }

  std::string id_, model_;
  fs::path folder_;
  std::string name_;  // Of the model.
};

TEST(QuantizeFixtures, AreAsNearToTheFloatModelAsTheOlderToolsBest) {
  if (!fs::exists(kRoot)) GTEST_SKIP() << kRoot << " is not here";
  const TempFolder folder;
  std::ifstream in(kRoot / "manifest.json");
  const Json manifest = Json::parse(in);
  size_t judged = 0;
  for (const Json& one : manifest["cases"]) {
    if (one["expected"].is_null() || one.value("unchanged", false)) continue;
    SCOPED_TRACE(one["id"]);
    judged += Case(one).Judge(folder / "out.tflite");
  }
  EXPECT_GT(judged, 300u);
}

}  // namespace
}  // namespace lathe

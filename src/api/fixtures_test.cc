// Real files with expected outputs, on every ISA level: every output, every
// step. The fixtures lie beside the project; without them the tests skip.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "gtest/gtest.h"
#include "lathe/lathe.hpp"
#include "nlohmann/json.hpp"
#include "src/base/cpu.h"
#include "src/base/half.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kRoot = "../shared/fixtures";

std::vector<std::byte> ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

Json ReadJson(const fs::path& path) {
  std::ifstream in(path);
  return Json::parse(in, nullptr, false);
}

std::vector<std::string> Levels() {
  std::vector<std::string> names;
  for (const Isa isa : KnownIsas()) {
    if (CpuHas(isa)) names.emplace_back(Name(isa));
  }
  return names;
}

// Bytes of a tensor as numbers.
std::vector<double> Numbers(ElementType type, std::span<const std::byte> b) {
  std::vector<double> values;
  const auto widen = [&](auto zero) {
    using T = decltype(zero);
    for (size_t at = 0; at + sizeof(T) <= b.size(); at += sizeof(T)) {
      T value;
      std::memcpy(&value, b.data() + at, sizeof(T));
      values.push_back(static_cast<double>(value));
    }
  };
  switch (type) {
    case ElementType::kFloat32:
      widen(float{});
      break;
    case ElementType::kInt32:
      widen(int32_t{});
      break;
    case ElementType::kInt64:
      widen(int64_t{});
      break;
    case ElementType::kInt16:
      widen(int16_t{});
      break;
    case ElementType::kInt8:
      widen(int8_t{});
      break;
    default:
      widen(uint8_t{});
  }
  return values;
}

// Integers are equal; floats lie within `floor` of the largest expected value,
// or within `most` where that is more.
void ExpectNear(ElementType type, std::span<const std::byte> found,
                std::span<const std::byte> wanted, double floor, double most) {
  ASSERT_EQ(found.size(), wanted.size());
  const std::vector<double> a = Numbers(type, found), b = Numbers(type, wanted);
  double largest = 1e-3, worst = 0;
  size_t differing = 0;
  for (const double value : b) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    ++differing;
    const double distance = std::abs(a[i] - b[i]);
    worst = std::isnan(distance) ? 1e300 : std::max(worst, distance);
  }
  if (type != ElementType::kFloat32) {
    EXPECT_EQ(differing, 0u) << "at most " << worst;
    return;
  }
  EXPECT_LE(worst, std::max(floor * largest, most));
}

// --- models and models/ops ---------------------------------------------------

// A folder with io.json: one run of a model.
struct Oracle {
  fs::path model, folder;
  // What replaces an expected output where that file is wrong.
  bool amended = false;
};

std::vector<Oracle> Oracles() {
  std::vector<Oracle> all;
  for (const char* part : {"models", "models/ops"}) {
    const fs::path dir = kRoot / part;
    if (!fs::exists(dir)) continue;
    for (const auto& entry : fs::directory_iterator(dir)) {
      if (entry.path().extension() != ".tflite") continue;
      const fs::path base = dir / (entry.path().stem().string() + ".oracle");
      if (!fs::exists(base)) continue;
      std::set<fs::path> folders;
      for (const auto& file : fs::recursive_directory_iterator(base)) {
        if (file.path().filename() == "io.json") {
          folders.insert(file.path().parent_path());
        }
      }
      const bool replaced = folders.contains(base / "amended");
      for (const fs::path& folder : folders) {
        if (replaced && folder == base) continue;
        all.push_back({entry.path(), folder});
      }
    }
  }
  std::ranges::sort(all, {}, &Oracle::folder);
  return all;
}

// Files whose expected output comes from a runtime that read beyond its input;
// to refuse them is right (manifest.json says so).
bool RefusingIsRight(const fs::path& model) {
  for (const char* part : {"models", "models/ops"}) {
    const Json manifest = ReadJson(kRoot / part / "manifest.json");
    if (!manifest.is_array()) continue;
    for (const Json& entry : manifest) {
      if (entry.value("file", "") != model.filename()) continue;
      const Json note = entry.value("litert_2_3_0", Json());
      return note.is_object() &&
             note.value("note", "").find("Refusing is right") !=
                 std::string::npos;
    }
  }
  return false;
}

// Distances between sets of kernels that the manifest notes.
double NotedDistance(const Json& io, size_t output) {
  double most = 0;
  const Json noted = io.value("ref_vs_opt", Json());
  if (!noted.is_array()) return 0;
  for (const Json& each : noted) {
    if (each.value("output", size_t{0}) != output) continue;
    const Json value = each.value("max_abs_ref_vs_opt", Json());
    if (value.is_number()) most = std::max(most, value.get<double>());
  }
  return most;
}

void RunOracle(const Oracle& oracle, const std::string& isa) {
  const Json io = ReadJson(oracle.folder / "io.json");
  const auto model = Model::Open(oracle.model);
  ASSERT_TRUE(model) << model.error().message;
  SessionOptions options;
  options.isa = isa;
  if (io["signature"].is_string()) options.signature = io["signature"];
  Threads threads(2);
  options.threads = &threads;
  auto session = Session::Create(*model, options);
  if (!session && RefusingIsRight(oracle.model)) return;
  ASSERT_TRUE(session) << session.error().message;
  const size_t inputs = io["inputs"].size();
  // Other sizes than those stored.
  for (size_t i = 0; i < inputs; ++i) {
    const auto shape = io["inputs"][i]["shape"].get<std::vector<int32_t>>();
    const std::string name = "#" + std::to_string(i);
    if (session->inputs()[i].shape == shape) continue;
    const Status resized = session->Resize(name, shape);
    ASSERT_TRUE(resized) << resized.error().message;
  }
  for (int step = 0; step < io["steps"].get<int>(); ++step) {
    SCOPED_TRACE(testing::Message() << "step " << step);
    const std::string suffix = ".s" + std::to_string(step) + ".bin";
    for (size_t i = 0; i < inputs; ++i) {
      const fs::path file = oracle.folder / ("in" + std::to_string(i) + suffix);
      if (!fs::exists(file)) continue;
      const Status set =
          session->SetInput("#" + std::to_string(i), ReadFile(file));
      ASSERT_TRUE(set) << set.error().message;
    }
    const Status ran = session->Run();
    if (!ran && RefusingIsRight(oracle.model)) return;
    ASSERT_TRUE(ran) << ran.error().message;
    for (size_t i = 0; i < io["outputs"].size(); ++i) {
      SCOPED_TRACE(testing::Message() << "output " << i);
      const std::string name = "out" + std::to_string(i) + suffix;
      fs::path file = oracle.folder / name;
      if (fs::exists(oracle.folder / "amended" / name)) {
        file = oracle.folder / "amended" / name;
      }
      const auto found = session->OutputBytes("#" + std::to_string(i));
      ASSERT_TRUE(found);
      ExpectNear(session->outputs()[i].type, *found, ReadFile(file), 2e-5,
                 3 * NotedDistance(io, i));
    }
  }
}

TEST(Fixtures, OfRealModelsGiveTheirExpectedOutputsOnEveryLevel) {
  const std::vector<Oracle> oracles = Oracles();
  if (oracles.empty()) GTEST_SKIP() << "no " << kRoot / "models";
  for (const std::string& isa : Levels()) {
    for (const Oracle& oracle : oracles) {
      SCOPED_TRACE(testing::Message() << oracle.folder << " on " << isa);
      RunOracle(oracle, isa);
    }
  }
}

// --- zoo ---------------------------------------------------------------------

struct Array {
  std::string type;
  std::vector<int32_t> shape;
  std::vector<std::byte> bytes;
};

// A .npy file of version 1, C order.
Array ReadNpy(const fs::path& path) {
  const std::vector<std::byte> file = ReadFile(path);
  Array array;
  if (file.size() < 10) return array;
  const size_t length =
      std::to_integer<size_t>(file[8]) | std::to_integer<size_t>(file[9]) << 8;
  const std::string head(reinterpret_cast<const char*>(file.data()) + 10,
                         length);
  const size_t descr = head.find("'descr': '") + 10;
  array.type = head.substr(descr, head.find('\'', descr) - descr);
  for (size_t at = head.find('(') + 1; head[at] != ')';) {
    size_t used = 0;
    if (std::isdigit(static_cast<unsigned char>(head[at]))) {
      array.shape.push_back(std::stoi(head.substr(at), &used));
      at += used;
    } else {
      ++at;
    }
  }
  array.bytes.assign(file.begin() + 10 + static_cast<ptrdiff_t>(length),
                     file.end());
  return array;
}

// The converter makes 32-bit inputs and outputs of 64-bit ones.
void Narrow(Array& array) {
  if (array.type != "<i8") return;
  std::vector<std::byte> narrow(array.bytes.size() / 2);
  for (size_t i = 0; i < narrow.size() / 4; ++i) {
    int64_t wide;
    std::memcpy(&wide, array.bytes.data() + i * 8, 8);
    const auto value = static_cast<int32_t>(wide);
    std::memcpy(narrow.data() + i * 4, &value, 4);
  }
  array.bytes = std::move(narrow);
  array.type = "<i4";
}

void RunZoo(const fs::path& folder, const std::string& isa) {
  const Json manifest = ReadJson(folder / "manifest.json");
  const Json& converted = manifest["litert_torch"];
  const auto model = Model::Open(folder / "model.tflite");
  ASSERT_TRUE(model) << model.error().message;
  SessionOptions options;
  options.isa = isa;
  options.signature = model->signatures()[0].key;
  Threads threads(2);
  options.threads = &threads;
  auto session = Session::Create(*model, options);
  ASSERT_TRUE(session) << session.error().message;
  for (size_t i = 0; i < converted["inputs"].size(); ++i) {
    Array value = ReadNpy(folder / ("in_" + std::to_string(i) + ".npy"));
    Narrow(value);
    const Status set = session->SetInput(
        converted["inputs"][i].get<std::string>(), value.bytes);
    ASSERT_TRUE(set) << set.error().message;
  }
  const Status ran = session->Run();
  ASSERT_TRUE(ran) << ran.error().message;
  // Where the converter's file differs from the network, the format's own
  // runtime says what the file means.
  const bool right = converted["status"] == "ok";
  for (size_t i = 0; i < converted["outputs"].size(); ++i) {
    SCOPED_TRACE(testing::Message() << "output " << i);
    Array wanted = ReadNpy(folder / ((right ? "out_" : "tflite_out_") +
                                     std::to_string(i) + ".npy"));
    Narrow(wanted);
    const std::string name = converted["outputs"][i];
    const auto found = session->OutputBytes(name);
    ASSERT_TRUE(found);
    const auto output =
        std::ranges::find(session->outputs(), name, &TensorInfo::name);
    const Json& tolerance = manifest["tolerance"][i];
    ExpectNear(output->type, *found, wanted.bytes, 0,
               10 * tolerance.value("max_abs", 0.0));
  }
}

TEST(Fixtures, OfTheZooAgreeWithPyTorchOnEveryLevel) {
  const fs::path zoo = kRoot / "zoo";
  if (!fs::exists(zoo)) GTEST_SKIP() << "no " << zoo;
  for (const std::string& isa : Levels()) {
    for (const auto& entry : fs::directory_iterator(zoo)) {
      if (!fs::exists(entry.path() / "model.tflite")) continue;
      const Json manifest = ReadJson(entry.path() / "manifest.json");
      if (!manifest["litert_torch"].contains("inputs")) continue;
      SCOPED_TRACE(testing::Message() << entry.path() << " on " << isa);
      RunZoo(entry.path(), isa);
    }
  }
}

// --- quant -------------------------------------------------------------------

// Numbers as a tensor of this kind stores them, which is quantized or float32.
std::vector<std::byte> Stored(const TensorInfo& tensor,
                              const std::vector<double>& numbers) {
  std::vector<std::byte> bytes;
  const auto put = [&](auto value) {
    const auto part = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  for (const double number : numbers) {
    if (tensor.type == ElementType::kFloat32) {
      put(static_cast<float>(number));
      continue;
    }
    const double step = std::rint(number / tensor.quantization.scales[0]) +
                        static_cast<double>(tensor.quantization.zero_points[0]);
    if (tensor.type == ElementType::kInt8) {
      put(static_cast<int8_t>(std::clamp(step, -128.0, 127.0)));
    } else {
      put(static_cast<int16_t>(std::clamp(step, -32768.0, 32767.0)));
    }
  }
  return bytes;
}

// Output 0 of a case of the quantizer's fixtures, as real numbers.
std::vector<double> RunQuantized(const std::string& model,
                                 const std::string& isa) {
  const fs::path quant = kRoot / "quant";
  const auto opened = Model::Open(quant / "cases" / model / "expected.tflite");
  EXPECT_TRUE(opened) << opened.error().message;
  SessionOptions options;
  options.isa = isa;
  auto session = Session::Create(*opened, options);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  const std::string name = model.substr(0, model.find('.'));
  const Array input =
      ReadNpy(quant / "inputs" / name / "test/serving_default/args_0.npy");
  const Status set = session->SetInput(
      "#0", input.type == "<f4"
                ? Stored(session->inputs()[0],
                         Numbers(ElementType::kFloat32, input.bytes))
                : input.bytes);
  EXPECT_TRUE(set) << set.error().message;
  const Status ran = session->Run();
  EXPECT_TRUE(ran) << ran.error().message;
  const TensorInfo& output = session->outputs()[0];
  std::vector<double> numbers =
      Numbers(output.type, *session->OutputBytes("#0"));
  for (double& number : numbers) {
    if (output.type == ElementType::kFloat32) break;
    number =
        (number - static_cast<double>(output.quantization.zero_points[0])) *
        output.quantization.scales[0];
  }
  return numbers;
}

// A table with a scale per block, in front of other operators.
TEST(Fixtures, OfBlockwiseTablesGiveWhatTheFormatsOwnKernelsGive) {
  const fs::path quant = kRoot / "quant";
  if (!fs::exists(quant)) GTEST_SKIP() << "no " << quant;
  for (const std::string& isa : Levels()) {
    for (const std::string model :
         {"embedding_fc.dyn4b32", "tied_embedding.dyn4b32",
          "transformer_ln.llmmix"}) {
      SCOPED_TRACE(testing::Message() << model << " on " << isa);
      const Array wanted =
          ReadNpy(quant / "cases" / model / "opt/serving_default/output_0.npy");
      ExpectNear(ElementType::kFloat32,
                 Stored(TensorInfo(), RunQuantized(model, isa)), wanted.bytes,
                 2e-5, 0);
    }
  }
}

// The format's own kernels read the scales per channel as none.
TEST(Fixtures, OfStaticProductsPerChannelAreNearTheirFloatModel) {
  const fs::path quant = kRoot / "quant";
  if (!fs::exists(quant)) GTEST_SKIP() << "no " << quant;
  const Array wanted =
      ReadNpy(quant / "float_outputs/bmm_const/serving_default/output_0.npy");
  const auto numbers = Numbers(ElementType::kFloat32, wanted.bytes);
  for (const std::string& isa : Levels()) {
    for (const std::string model : {"bmm_const.s8", "bmm_const.s16"}) {
      SCOPED_TRACE(testing::Message() << model << " on " << isa);
      const std::vector<double> found = RunQuantized(model, isa);
      ASSERT_EQ(found.size(), numbers.size());
      double signal = 0, noise = 0;
      for (size_t i = 0; i < numbers.size(); ++i) {
        signal += numbers[i] * numbers[i];
        noise += (numbers[i] - found[i]) * (numbers[i] - found[i]);
      }
      EXPECT_GT(10 * std::log10(signal / noise), 24);
    }
  }
}

}  // namespace
}  // namespace lathe

// fuzz_seeds SOURCE_ROOT FOLDER: writes FOLDER/<target>/ with small files that
// our own writers make, and with the small fixtures where they are.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "src/format/checkpoint_bytes.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/text.h"
#include "src/import/testing/name_keyed.h"

namespace fs = std::filesystem;

namespace {

void Write(const fs::path& path, const void* data, size_t size) {
  std::ofstream out(path, std::ios::binary);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

// Graphs in text: the cases of the passes (what stands in front of "->").
std::vector<std::string> GraphTexts(const fs::path& root) {
  std::vector<std::string> texts;
  for (const char* folder : {"src/passes/testdata", "fuzz/graphs"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::directory_iterator(root / folder)) {
      if (entry.path().extension() != ".graph") continue;
      std::ifstream in(entry.path());
      std::string text;
      bool before = true;
      for (std::string line; std::getline(in, line);) {
        if (line.starts_with("# name:")) {
          if (!text.empty()) texts.push_back(std::move(text));
          text.clear();
          before = true;
        } else if (line.starts_with("->")) {
          before = false;
        } else if (before && !line.starts_with("#")) {
          text += line + "\n";
        }
      }
      if (!text.empty()) texts.push_back(std::move(text));
    }
  }
  return texts;
}

// Small .tflite files of the fixtures, where they are.
size_t CopyFixtures(const fs::path& root, const fs::path& to) {
  constexpr uintmax_t kLargest = 32 << 10;
  size_t count = 0;
  for (const char* folder : {"models", "zoo", "quant"}) {
    const fs::path from = root / "../shared/fixtures" / folder;
    if (!fs::exists(from)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      if (entry.path().extension() != ".tflite" ||
          entry.file_size() > kLargest) {
        continue;
      }
      fs::copy_file(entry.path(), to / ("fixture" + std::to_string(count++)),
                    fs::copy_options::overwrite_existing);
    }
  }
  return count;
}

// Pickles of every kind that a checkpoint may hold.
void WriteTorchZips(const fs::path& folder) {
  using namespace lathe::format;  // NOLINT: pkl:: and the zip's parts.
  const std::string storage = FloatBytes({1, 2, 3, 4, 5, 6});
  const std::string tensor =
      pkl::Tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1});
  const std::string nested = pkl::Dict(
      {{"state_dict", pkl::Dict({{"model.w", tensor}, {"n", pkl::Int(3)}})},
       {"epoch", pkl::Int(7)},
       {"name", pkl::Text("x")}});
  size_t count = 0;
  for (const std::string& value :
       {pkl::Dict({{"w", tensor}}), nested,
        pkl::Dict({{"h", pkl::Tensor("HalfStorage", "0", 12, 2, {5}, {2})}}),
        pkl::Tuple({tensor, pkl::Ints({1, 2, 3})})}) {
    for (const bool deflate : {false, true}) {
      const std::string zip = TorchZip(value, storage, deflate);
      Write(folder / std::to_string(count++), zip.data(), zip.size());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fuzz_seeds SOURCE_ROOT FOLDER\n");
    return 2;
  }
  const fs::path root = argv[1], out = argv[2];
  for (const char* target :
       {"tflite_reader", "open_plan_run", "safetensors", "torch_zip", "json"}) {
    fs::create_directories(out / target);
  }
  size_t count = 0;
  for (const std::string& text : GraphTexts(root)) {
    const auto graph = lathe::graph::FromText(text);
    if (!graph) {
      // Some cases of the passes are meant to be wrong.
      std::fprintf(stderr, "no seed: %s\n", graph.error().message.c_str());
      continue;
    }
    const auto bytes = lathe::format::WriteTfliteToMemory(*graph);
    if (!bytes) continue;
    const std::string name = "graph" + std::to_string(count++) + ".tflite";
    Write(out / "tflite_reader" / name, bytes->data(), bytes->size());
    Write(out / "open_plan_run" / name, bytes->data(), bytes->size());
  }
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]},)"
      R"("__metadata__":{"k":"v"}})";
  const std::string tensors =
      lathe::format::Safetensors(header, std::string(24, '\1'));
  Write(out / "safetensors/two", tensors.data(), tensors.size());
  WriteTorchZips(out / "torch_zip");
  for (const auto size :
       {lathe::importer::ModelSize::kTiny, lathe::importer::ModelSize::kFull}) {
    const std::string config =
        lathe::importer::ConfigText(lathe::importer::NameKeyedConfig(size));
    Write(out / "json" / std::to_string(config.size()), config.data(),
          config.size());
  }
  const std::string t5 =
      R"({"vocab_size":100,"d_model":48,"d_kv":16,"num_heads":3,"d_ff":96,)"
      R"("num_layers":2,"relative_attention_num_buckets":32})";
  Write(out / "json/t5", t5.data(), t5.size());
  const size_t fixtures = CopyFixtures(root, out / "open_plan_run");
  CopyFixtures(root, out / "tflite_reader");
  std::printf("%zu graphs, %zu fixtures\n", count, fixtures);
  return 0;
}

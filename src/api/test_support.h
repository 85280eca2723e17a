// What the tests of the API share: folders, models from text, golden values.

#ifndef LATHE_API_TEST_SUPPORT_H_
#define LATHE_API_TEST_SUPPORT_H_

#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lathe/lathe.hpp"
#include "nlohmann/json.hpp"
#include "src/base/cpu.h"
#include "src/format/tflite/tflite.h"
#include "src/graph/text.h"
#include "src/import/stable_audio.h"
#include "src/import/testing/name_keyed.h"

namespace lathe {

// A folder of its own, removed with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "lathe-api-XXXXXX").string();
    const char* made = ::mkdtemp(name.data());
    EXPECT_NE(made, nullptr) << name;
    if (made != nullptr) path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }

 private:
  std::string path_;
};

// The names of the levels that can run here, lowest first.
inline std::vector<std::string> IsasHere() {
  std::vector<std::string> names;
  for (const Isa isa : KnownIsas()) {
    if (CpuHas(isa)) names.emplace_back(Name(isa));
  }
  return names;
}

// The whole way of a model: written, read, verified, passes.
inline Result<Model> OpenGraph(const graph::Graph& graph,
                               const ModelOptions& options = {}) {
  auto bytes = format::WriteTfliteToMemory(graph);
  if (!bytes) return std::unexpected(bytes.error());
  return Model::FromMemory(*std::move(bytes), "model", options);
}
inline Result<Model> OpenText(std::string_view text,
                              const ModelOptions& options = {}) {
  const auto graph = graph::FromText(text);
  if (!graph) return std::unexpected(graph.error());
  return OpenGraph(*graph, options);
}

// The graphs of the tiny configuration with name-keyed weights (reference
// stable-audio-open-small.md, section 7).
inline importer::StableAudioGraphs AuthorNameKeyed(importer::ModelSize size) {
  const auto config = importer::NameKeyedConfig(size);
  const auto t5 = importer::NameKeyedT5Config(size);
  auto graphs = importer::AuthorStableAudio(
      config, t5, importer::NameKeyedSource(importer::CheckpointShapes(config)),
      importer::NameKeyedSource(importer::T5Shapes(t5)), "checkpoint", "t5");
  EXPECT_TRUE(graphs) << graphs.error().message;
  return graphs ? *std::move(graphs) : importer::StableAudioGraphs();
}

// Copies values into an input; fails the test where they do not fit.
template <typename T>
void Fill(Session& session, std::string_view name,
          const std::vector<T>& values) {
  const auto input = session.Input<T>(name);
  ASSERT_TRUE(input) << input.error().message;
  ASSERT_EQ(input->size(), values.size()) << name;
  std::ranges::copy(values, input->begin());
}
template <typename T = float>
std::vector<T> Read(const Session& session, std::string_view name) {
  const auto output = session.Output<T>(name);
  EXPECT_TRUE(output) << output.error().message;
  if (!output) return {};
  return {output->begin(), output->end()};
}

// Values in [-1, 1) for float inputs; small counting numbers for integers.
inline void FillAll(Session& session, uint32_t seed) {
  std::mt19937 rng(seed);
  for (const TensorInfo& input : session.inputs()) {
    if (input.type == ElementType::kFloat32) {
      const auto values = session.Input<float>(input.name);
      ASSERT_TRUE(values) << values.error().message;
      for (float& x : *values) {
        x = static_cast<float>(rng()) / 2147483648.0f - 1;
      }
    } else if (input.type == ElementType::kInt32) {
      const auto values = session.Input<int32_t>(input.name);
      ASSERT_TRUE(values) << values.error().message;
      for (int32_t& x : *values) x = static_cast<int32_t>(rng() % 2);
    }
  }
}

// All outputs' bytes, one behind the other.
inline std::string AllOutputs(const Session& session) {
  std::string all;
  for (const TensorInfo& output : session.outputs()) {
    const auto bytes = session.OutputBytes(output.name);
    EXPECT_TRUE(bytes) << bytes.error().message;
    all.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  return all;
}

}  // namespace lathe

#endif  // LATHE_API_TEST_SUPPORT_H_

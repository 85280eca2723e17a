// Real models: each reads, verifies, writes and reads back to an equal graph.

#include <filesystem>

#include "gtest/gtest.h"
#include "src/format/tflite/tflite.h"

namespace lathe::format {
namespace {

namespace fs = std::filesystem;

// Beside the project; tests run in its root.
void ExpectRoundTrips(const std::string& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    GTEST_SKIP() << folder << " is not there";
  }
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".tflite") continue;
    ++files;
    const std::string path = entry.path().string();
    const auto graph = OpenTflite(path);
    if (!graph) {
      ADD_FAILURE() << graph.error().message;
      continue;
    }
    const auto bytes = WriteTfliteToMemory(*graph);
    if (!bytes) {
      ADD_FAILURE() << path << ": " << bytes.error().message;
      continue;
    }
    const auto again = ReadTflite(*bytes, nullptr, path + " again");
    if (!again) {
      ADD_FAILURE() << again.error().message;
      continue;
    }
    EXPECT_EQ(graph::FirstDifference(*graph, *again), "") << path;
  }
  EXPECT_GT(files, 0);
}

TEST(Fixtures, ModelsRoundTrip) {
  ExpectRoundTrips("../shared/fixtures/models");
}

TEST(Fixtures, ZooRoundTrips) { ExpectRoundTrips("../shared/fixtures/zoo"); }

}  // namespace
}  // namespace lathe::format

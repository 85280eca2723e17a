// Passes change how fast a graph runs, not what it computes: every graph of
// src/passes/testdata, with and without the passes.

#include <set>

#include "src/api/test_support.h"
#include "src/passes/pipeline.h"

namespace lathe {
namespace {

struct Before {
  std::string name, text;
};

// The graphs in front of the "->" lines (src/passes/testdata_test.cc).
std::vector<Before> ReadGraphs() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator("src/passes/testdata")) {
    if (entry.path().extension() == ".graph") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Before> graphs;
  for (const auto& path : paths) {
    std::ifstream in(path);
    bool is_before = false;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("# name: ")) {
        graphs.push_back({path.stem().string() + ": " + line.substr(8), ""});
        is_before = true;
      } else if (line.starts_with("-> ")) {
        is_before = false;
      } else if (is_before && !line.starts_with("#")) {
        graphs.back().text += line + "\n";
      }
    }
  }
  return graphs;
}

std::vector<std::string> AllNames() {
  std::vector<std::string> names;
  for (const passes::Pass& pass : passes::AllPasses()) {
    names.emplace_back(pass.name);
  }
  return names;
}

// Runs a graph; empty where this build lacks one of its operators.
std::vector<std::vector<float>> OutputsOf(const Before& before,
                                          const ModelOptions& options,
                                          const std::string& isa) {
  const auto model = OpenText(before.text, options);
  if (!model) {
    EXPECT_EQ(model.error().code, ErrorCode::kUnsupported)
        << model.error().message;
    return {};
  }
  SessionOptions session_options;
  session_options.isa = isa;
  auto session = Session::Create(*model, session_options);
  if (!session) {
    EXPECT_EQ(session.error().code, ErrorCode::kUnsupported)
        << session.error().message;
    return {};
  }
  FillAll(*session, 11);
  const Status ran = session->Run();
  EXPECT_TRUE(ran) << ran.error().message;
  std::vector<std::vector<float>> all;
  for (const TensorInfo& output : session->outputs()) {
    if (output.type == ElementType::kFloat32) {
      all.push_back(Read(*session, output.name));
    }
  }
  return all;
}

TEST(Passes, ChangeNoValue) {
  ModelOptions none;
  none.skip_passes = AllNames();
  int compared = 0;
  for (const Before& before : ReadGraphs()) {
    for (const std::string& isa : IsasHere()) {
      SCOPED_TRACE(before.name + ", " + isa + "\n" + before.text);
      const auto with = OutputsOf(before, {}, isa),
                 without = OutputsOf(before, none, isa);
      if (with.empty() || without.empty()) continue;
      ++compared;
      ASSERT_EQ(with.size(), without.size());
      for (size_t i = 0; i < with.size(); ++i) {
        ASSERT_EQ(with[i].size(), without[i].size());
        float largest = 0;
        for (const float x : without[i]) {
          largest = std::max(largest, std::abs(x));
        }
        for (size_t k = 0; k < with[i].size(); ++k) {
          if (std::isnan(without[i][k])) {  // Such as the root of a negative.
            EXPECT_TRUE(std::isnan(with[i][k]));
            continue;
          }
          ASSERT_NEAR(with[i][k], without[i][k], 2e-6 * largest)
              << "output " << i << " value " << k;
        }
      }
    }
  }
  EXPECT_GE(compared, 60);
}

}  // namespace
}  // namespace lathe

// Runs every case of testdata/*.graph: a graph before, the same graph after.
//
// A file is a list of cases:
//   # name: what the case is called
//   # says: the rule in one sentence
//   # pass: the passes that run, or "all"        (default: the file's stem)
//   graph ...
//   -> none, where nothing changes; regions, and then only the region lines;
//      or graph, and then the whole graph

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "src/graph/text.h"
#include "src/passes/pipeline.h"

namespace lathe::passes {
namespace {

struct Case {
  std::string file, name, passes, before, how, after;
};

// What GoogleTest shows of a case.
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::string After(const std::string& line, std::string_view prefix) {
  return line.substr(prefix.size());
}

std::vector<Case> ReadCases() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator("src/passes/testdata")) {
    if (entry.path().extension() == ".graph") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Case> cases;
  for (const auto& path : paths) {
    std::ifstream file(path);
    bool is_after = false;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("# name: ")) {
        const std::string stem = path.stem().string();
        cases.push_back({stem, After(line, "# name: "), stem, "", "", ""});
        is_after = false;
      } else if (cases.empty()) {
        continue;
      } else if (line.starts_with("# pass: ")) {
        cases.back().passes = After(line, "# pass: ");
      } else if (line.starts_with("-> ")) {
        cases.back().how = After(line, "-> ");
        is_after = true;
      } else if (!line.empty() && !line.starts_with("#")) {
        (is_after ? cases.back().after : cases.back().before) += line + "\n";
      }
    }
  }
  return cases;
}

// All passes but those of the case.
std::vector<std::string> Skipped(const Case& one) {
  std::vector<std::string> skip;
  if (one.passes == "all") return skip;
  const std::string wanted = fmt::format(" {} ", one.passes);
  for (const Pass& pass : AllPasses()) {
    if (wanted.find(fmt::format(" {} ", pass.name)) == std::string::npos) {
      skip.emplace_back(pass.name);
    }
  }
  return skip;
}

std::string RegionLines(const std::string& text) {
  std::string regions;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("region ")) regions += line + "\n";
  }
  return regions;
}

class PassTest : public testing::TestWithParam<Case> {};

TEST_P(PassTest, TurnsBeforeIntoAfter) {
  const Case& one = GetParam();
  auto graph = graph::FromText(one.before);
  ASSERT_TRUE(graph) << one.name << ": " << graph.error().message;
  const std::string before = graph::ToText(*graph);
  PassOptions options;
  options.skip = Skipped(one);
  options.verify = true;
  const Status status = RunPasses(*graph, options);
  ASSERT_TRUE(status) << status.error().message;
  const std::string after = graph::ToText(*graph);
  if (one.how == "none") {
    EXPECT_EQ(after, before) << one.name;
  } else if (one.how == "regions") {
    EXPECT_EQ(RegionLines(after), one.after) << one.name << "\n" << after;
  } else {
    const auto expected = graph::FromText(one.after);
    ASSERT_EQ(one.how, "graph") << one.name;
    ASSERT_TRUE(expected) << one.name << ": " << expected.error().message;
    EXPECT_EQ(after, graph::ToText(*expected)) << one.name;
  }
}

std::string TestName(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.file + "_" + info.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Graphs, PassTest, testing::ValuesIn(ReadCases()),
                         TestName);

TEST(Testdata, HasCasesForEveryPass) {
  const std::vector<Case> cases = ReadCases();
  for (const Pass& pass : AllPasses()) {
    EXPECT_TRUE(std::ranges::count(cases, pass.name, &Case::file)) << pass.name;
  }
}

}  // namespace
}  // namespace lathe::passes

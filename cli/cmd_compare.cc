// lathe compare: how far the results of two files, levels or runs are apart.

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/npy.h"
#include "cli/open_session.h"
#include "cli/problem.h"
#include "lathe/compare.hpp"
#include "lathe/explain.hpp"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

struct Given {
  std::string a, b, signature;
  std::vector<std::string> isas, inputs;
  double atol = 0, rtol = 0;
  bool has_tolerance = false, all = false;
};

struct Row {
  std::optional<size_t> index;  // Of an output.
  TensorInfo a;
  TensorDifference difference;
};

struct Comparison {
  std::vector<Row> outputs, tensors;
  Json inputs;
  std::vector<std::string> filled;
  std::string isa_a, isa_b;  // b: empty for a folder.

  bool within() const {
    const auto fine = [](const Row& row) { return row.difference.within(); };
    return std::ranges::all_of(outputs, fine) &&
           std::ranges::all_of(tensors, fine);
  }
};

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

Tolerance ToleranceFor(const Given& given, ElementType type) {
  if (!given.has_tolerance) return DefaultTolerance(type);
  return {.absolute = given.atol, .relative = given.rtol};
}

Row CompareRow(const Given& given, const TensorValue& a, const TensorValue& b) {
  Row row;
  row.a = a.info;
  // Of two types the coarser one decides.
  Tolerance tolerance = ToleranceFor(given, a.info.type);
  const Tolerance other = ToleranceFor(given, b.info.type);
  if (other.of_largest > tolerance.of_largest) tolerance = other;
  row.difference = Compare(a, b, tolerance);
  return row;
}

Result<TensorValue> OutputOf(const Session& session, size_t i) {
  TensorValue value;
  value.info = session.outputs()[i];
  const std::string at = fmt::format("#{}", i);
  if (value.info.type == ElementType::kString) {
    auto strings = session.Strings(at);
    if (!strings) return std::unexpected(strings.error());
    value.strings = *std::move(strings);
    return value;
  }
  const auto bytes = session.OutputBytes(at);
  if (!bytes) return std::unexpected(bytes.error());
  value.bytes = *bytes;
  return value;
}

Status CheckSameInputs(const Session& a, const Session& b) {
  if (a.inputs().size() != b.inputs().size()) {
    return Wrong("A has {} inputs, B has {}", a.inputs().size(),
                 b.inputs().size());
  }
  Problems problems;
  const auto partners = PartnersOf(a.inputs(), b.inputs());
  for (size_t i = 0; i < partners.size(); ++i) {
    const TensorInfo& x = a.inputs()[i];
    const TensorInfo& y = b.inputs()[*partners[i]];
    if (x.is_constant || (x.type == y.type && x.shape == y.shape)) continue;
    problems.Add(Wrong("input {} \"{}\" of A is {} {}, of B \"{}\" {} {}: "
                       "they take no common value",
                       i, x.name, Name(x.type), ShapeWords(x.shape), y.name,
                       Name(y.type), ShapeWords(y.shape))
                     .error());
  }
  return problems.Finish();
}

// Every tensor that both have, in the order in which A makes them.
void CompareTensors(const Given& given, const Session& a, const Session& b,
                    bool same_file, std::vector<Row>& rows) {
  const std::vector<TensorInfo> of_a = a.tensors(), of_b = b.tensors();
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < of_b.size(); ++i) by_name.emplace(of_b[i].name, i);
  std::vector<size_t> order;
  std::vector<bool> listed(of_a.size());
  const auto list = [&](size_t tensor) {
    if (tensor < of_a.size() && !listed[tensor]) order.push_back(tensor);
    if (tensor < of_a.size()) listed[tensor] = true;
  };
  for (const TensorInfo& input : a.inputs()) {
    listed[static_cast<size_t>(input.index)] = true;
  }
  if (const auto facts = Explain(a)) {
    for (const PlannedStep& step : facts->steps) {
      if (step.tensor >= 0) list(static_cast<size_t>(step.tensor));
    }
  }
  for (size_t i = 0; i < of_a.size(); ++i) list(i);
  for (const size_t i : order) {
    const auto found = by_name.find(of_a[i].name);
    if (!same_file && found == by_name.end()) continue;
    const size_t j = same_file ? i : found->second;
    TensorValue x{of_a[i], a.Tensor(of_a[i].index), {}};
    TensorValue y{of_b[j], b.Tensor(of_b[j].index), {}};
    const bool numbers = ByteCount(x.info.type, x.info.shape) > 0 &&
                         ByteCount(y.info.type, y.info.shape) > 0;
    if (!numbers || x.info.is_constant || x.bytes.empty() || y.bytes.empty()) {
      continue;
    }
    rows.push_back(CompareRow(given, x, y));
  }
}

Result<Opened> OpenAndRun(const std::string& path, const std::string& isa,
                          const Given& given, const Common& common,
                          Threads& threads, InputValues& values) {
  SessionOptions options;
  options.signature = given.signature;
  options.keep_all = given.all;
  options.isa = isa;
  auto opened = OpenSession(path, common, threads, options);
  if (!opened) return opened;
  auto parsed = InputValues::Parse(opened->session, given.inputs);
  if (!parsed) return std::unexpected(parsed.error());
  values = *std::move(parsed);
  if (const Status s = values.Apply(opened->session); !s) {
    return std::unexpected(s.error());
  }
  return opened;
}

Result<Comparison> CompareModels(const Given& given, const Common& common,
                                 Threads& threads) {
  const bool same_file = given.b.empty();
  const std::string& path_b = same_file ? given.a : given.b;
  Comparison result;
  result.isa_a = given.isas.empty() ? "" : given.isas.front();
  result.isa_b = given.isas.empty() ? "" : given.isas.back();
  InputValues values_a, values_b;
  auto a = OpenAndRun(given.a, result.isa_a, given, common, threads, values_a);
  if (!a) return std::unexpected(a.error());
  auto b = OpenAndRun(path_b, result.isa_b, given, common, threads, values_b);
  if (!b) return std::unexpected(b.error());
  if (const Status s = CheckSameInputs(a->session, b->session); !s) {
    return std::unexpected(s.error());
  }
  for (Opened* each : {&*a, &*b}) {
    if (const Status s = each->session.Run(); !s) {
      return Trouble(s.error().code, "{}: {}", each == &*a ? given.a : path_b,
                     s.error().message);
    }
  }
  const auto outputs_a = a->session.outputs(), outputs_b = b->session.outputs();
  const auto partners = PartnersOf(outputs_a, outputs_b);
  std::vector<bool> used(outputs_b.size());
  for (size_t i = 0; i < outputs_a.size(); ++i) {
    Row row;
    row.a = outputs_a[i];
    if (partners[i]) {
      used[*partners[i]] = true;
      const auto x = OutputOf(a->session, i);
      if (!x) return std::unexpected(x.error());
      const auto y = OutputOf(b->session, *partners[i]);
      if (!y) return std::unexpected(y.error());
      row = CompareRow(given, *x, *y);
    } else {
      row.difference.problem = "only in A";
    }
    row.index = i;
    result.outputs.push_back(std::move(row));
  }
  for (size_t i = 0; i < outputs_b.size(); ++i) {
    if (used[i]) continue;
    Row row;
    row.index = i;
    row.a = outputs_b[i];
    row.difference.problem = "only in B";
    result.outputs.push_back(std::move(row));
  }
  if (given.all) {
    CompareTensors(given, a->session, b->session, same_file, result.tensors);
  }
  result.inputs = values_a.Describe(a->session);
  result.filled = values_a.Filled(a->session);
  return result;
}

// What a folder holds for an output; `bytes` owns the value's memory.
Result<TensorValue> StoredOutput(const std::string& folder, size_t i,
                                 const TensorInfo& output,
                                 std::vector<std::byte>& bytes) {
  TensorValue value;
  value.info = output;
  if (output.type == ElementType::kString) {
    const std::string path =
        (fs::path(folder) / fmt::format("out{}.json", i)).string();
    std::ifstream in(path);
    if (!in) return Wrong("{}: cannot be read", path);
    const Json json = Json::parse(in, nullptr, /*allow_exceptions=*/false);
    const bool strings =
        json.is_array() && std::ranges::all_of(json, [](const Json& element) {
          return element.is_string();
        });
    if (!strings) return Wrong("{}: expected a JSON array of strings", path);
    value.strings = json.get<std::vector<std::string>>();
    return value;
  }
  const std::string path =
      (fs::path(folder) / fmt::format("out{}.npy", i)).string();
  const auto file = OpenNpy(path);
  if (!file) return std::unexpected(file.error());
  auto values = ReadNpyValues(*file);
  if (!values) return std::unexpected(values.error());
  value.info.shape = file->shape;
  const auto as_stored = NpyTypeOf(output.type);
  if (as_stored && *as_stored == file->type &&
      output.type != ElementType::kBfloat16) {
    auto tensor = ToTensor(output.type, *std::move(values));
    if (!tensor) {
      return Trouble(tensor.error().code, "{}: {}", path,
                     tensor.error().message);
    }
    bytes = *std::move(tensor);
  } else {  // Real values, such as floats for a quantized output.
    value.info.type = file->type;
    value.info.quantization = {};
    bytes = *std::move(values);
  }
  value.bytes = bytes;
  return value;
}

Result<Comparison> CompareWithFolder(const Given& given, const Common& common,
                                     Threads& threads) {
  Comparison result;
  result.isa_a = given.isas.empty() ? "" : given.isas.front();
  InputValues inputs;
  auto a = OpenAndRun(given.a, result.isa_a, given, common, threads, inputs);
  if (!a) return std::unexpected(a.error());
  Session& session = a->session;
  // Types are known before the run; shapes may not be.
  std::vector<std::vector<std::byte>> bytes(session.outputs().size());
  std::vector<TensorValue> stored;
  Problems problems;
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    auto value = StoredOutput(given.b, i, session.outputs()[i], bytes[i]);
    if (problems.Add(value)) stored.push_back(*std::move(value));
  }
  if (const Status s = problems.Finish(); !s) {
    return std::unexpected(s.error());
  }
  if (const Status s = session.Run(); !s) return std::unexpected(s.error());
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const auto x = OutputOf(session, i);
    if (!x) return std::unexpected(x.error());
    result.outputs.push_back(CompareRow(given, *x, stored[i]));
    result.outputs.back().index = i;
  }
  result.inputs = inputs.Describe(session);
  result.filled = inputs.Filled(session);
  return result;
}

Json RowsJson(const std::vector<Row>& rows) {
  Json list = Json::array();
  for (const Row& row : rows) {
    const TensorDifference& d = row.difference;
    Json fields;
    if (row.index) fields["index"] = *row.index;
    fields.update({{"name", row.a.name},
                   {"tensor", row.a.tensor},
                   {"type", Name(row.a.type)},
                   {"shape", row.a.shape},
                   {"elements", d.elements},
                   {"max_abs", d.max_abs},
                   {"max_rel", d.max_rel},
                   {"rms", d.rms},
                   {"over", d.over},
                   {"not_finite", d.not_finite},
                   {"compared", d.real_values ? "real" : "stored"},
                   {"within", d.within()},
                   {"problem", d.problem}});
    list.push_back(std::move(fields));
  }
  return list;
}

void PrintRows(std::string_view what, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table = {
      {std::string(what), "type", "max abs", "max rel", "rms", "over", ""}};
  for (const Row& row : rows) {
    const TensorDifference& d = row.difference;
    const std::string type =
        fmt::format("{} {}", Name(row.a.type), ShapeWords(row.a.shape));
    if (!d.problem.empty()) {
      table.push_back({row.a.name, type, "", "", "", "", d.problem});
      continue;
    }
    std::string verdict = d.within() ? "" : "beyond";
    if (d.not_finite > 0) {
      verdict += fmt::format(", {} not finite", d.not_finite);
    }
    table.push_back({row.a.name, type, fmt::format("{:.3g}", d.max_abs),
                     fmt::format("{:.3g}", d.max_rel),
                     fmt::format("{:.3g}", d.rms),
                     fmt::format("{} of {}", d.over, d.elements), verdict});
  }
  PrintTable(table);
}

// What a wrong number of files and levels is told.
std::optional<std::string> UsageProblem(const Given& given) {
  if (given.isas.size() > 2)
    return "--isa: at most two, one for A and one for B";
  if (given.b.empty() && given.isas.size() != 2) {
    return "expected two files, a file and a folder of outputs, or one file "
           "with --isa twice";
  }
  if (!IsFolder(given.b)) return std::nullopt;
  if (given.isas.size() > 1) return "--isa twice needs two runs, not a folder";
  if (given.all) return "--all needs two runs, not a folder of outputs";
  return std::nullopt;
}

}  // namespace

int CmdCompare(std::vector<std::string> args) {
  CLI::App app(
      "Runs two .tflite files (or one with two --isa, or one against a folder "
      "of outN.npy) on the same input and compares their outputs; B is what A "
      "should be. Exit code 1 when they are too far apart.",
      "lathe compare");
  Common common;
  Given given;
  app.add_option("A", given.a, "A .tflite file")->required();
  app.add_option("B", given.b, "A .tflite file, or a folder with outN.npy");
  app.add_option("--signature", given.signature,
                 "Signature to run in both (default: subgraph 0)");
  app.add_option("--input", given.inputs, kInputHelp)->allow_extra_args(false);
  const CLI::Option* atol =
      app.add_option("--atol", given.atol,
                     "Most |a - b|, at least 0 (default: floats 2e-5 of the "
                     "largest |b|, integers and strings equal)")
          ->check(CLI::NonNegativeNumber);
  const CLI::Option* rtol =
      app.add_option("--rtol", given.rtol,
                     "Added: this part of |b|, at least 0 (default 0)")
          ->check(CLI::NonNegativeNumber);
  app.add_flag(
      "--all", given.all,
      "Compare every tensor that both have; runs operators one by one");
  SetUp(app,
        "lathe compare build/release/models/nano/decoder.tflite --isa scalar "
        "--isa avx2",
        common, Runs::kYes);
  app.remove_option(app.get_option("--isa"));
  app.add_option("--isa", given.isas,
                 "Use no instruction set above this one; twice: one for A and "
                 "one for B (default: the CPU's best)")
      ->allow_extra_args(false);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  given.has_tolerance = atol->count() > 0 || rtol->count() > 0;
  for (const double value : {given.atol, given.rtol}) {
    if (!std::isfinite(value)) {
      return ReportUsage("--atol, --rtol: expected finite numbers");
    }
  }
  if (const auto problem = UsageProblem(given)) {
    return ReportUsage("compare: " + *problem);
  }

  Threads threads(common.threads);
  const bool folder = IsFolder(given.b);
  const auto result = folder ? CompareWithFolder(given, common, threads)
                             : CompareModels(given, common, threads);
  if (!result) return Report(result.error());
  const auto isa = [&](const std::string& name) {
    return name.empty() ? DescribeMachine().best_isa : name;
  };
  const MemoryUse memory = MeasureMemory();
  if (common.json) {
    Json b = {
        {folder ? "folder" : "model", given.b.empty() ? given.a : given.b}};
    if (!folder) b["isa"] = isa(result->isa_b);
    Json fields = {{"a", {{"model", given.a}, {"isa", isa(result->isa_a)}}},
                   {"b", b},
                   {"signature", given.signature},
                   {"threads", threads.count()},
                   {"precision", "f32"},
                   {"atol", nullptr},
                   {"rtol", nullptr},
                   {"inputs", result->inputs},
                   {"filled", result->filled},
                   {"within", result->within()},
                   {"outputs", RowsJson(result->outputs)}};
    if (given.has_tolerance) {
      fields["atol"] = given.atol;
      fields["rtol"] = given.rtol;
    }
    if (given.all) fields["tensors"] = RowsJson(result->tensors);
    fields["peak_rss_bytes"] = memory.peak_rss_bytes;
    fields["peak_private_bytes"] = memory.peak_private_bytes;
    PrintJson("compare", fields);
    return result->within() ? 0 : 1;
  }
  for (const std::string& name : result->filled) {
    fmt::print("input \"{}\" was filled with random:0\n", name);
  }
  if (given.all) PrintRows("tensor", result->tensors);
  PrintRows("output", result->outputs);
  fmt::print("{}\n", result->within() ? "within the tolerance"
                                      : "beyond the tolerance");
  return result->within() ? 0 : 1;
}

}  // namespace lathe::cli

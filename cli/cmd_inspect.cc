// lathe inspect: operators, tensors, signatures, sizes of a file.

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/open_session.h"
#include "fmt/ranges.h"
#include "lathe/inspect.hpp"

namespace lathe::cli {
namespace {

Json SignatureJson(const SignatureInfo& signature) {
  const auto tensors = [](const std::vector<TensorInfo>& list) {
    Json out = Json::array();
    for (const TensorInfo& t : list) {
      out.push_back({{"name", t.name},
                     {"type", Name(t.type)},
                     {"shape", t.shape},
                     {"shape_signature", t.shape_signature},
                     {"tensor", t.tensor},
                     {"tensor_index", t.index},
                     {"quantization", QuantizationJson(t.quantization)}});
    }
    return out;
  };
  return {{"key", signature.key},
          {"subgraph", signature.subgraph},
          {"inputs", tensors(signature.inputs)},
          {"outputs", tensors(signature.outputs)}};
}

Json FactsJson(const std::string& path, const ModelFacts& facts) {
  Json subgraphs = Json::array();
  Json unsupported = Json::array();
  for (size_t s = 0; s < facts.subgraphs.size(); ++s) {
    const SubgraphFacts& subgraph = facts.subgraphs[s];
    Json ops = Json::array(), tensors = Json::array(), counts = Json::object();
    for (const OpFacts& op : subgraph.ops) {
      ops.push_back({{"index", op.index},
                     {"name", op.name},
                     {"version", op.version},
                     {"inputs", op.inputs},
                     {"outputs", op.outputs},
                     {"options", Json::object()},
                     {"calls", op.calls}});
      for (const auto& [name, text] : op.options) {
        ops.back()["options"][name] = Json::parse(text);
      }
      if (!op.unsupported.empty()) {
        ops.back()["unsupported"] = op.unsupported;
        unsupported.push_back({{"subgraph", s},
                               {"op", op.index},
                               {"name", op.name},
                               {"why", op.unsupported}});
      }
    }
    for (const TensorFacts& t : subgraph.tensors) {
      tensors.push_back({{"index", t.index},
                         {"name", t.name},
                         {"type", Name(t.type)},
                         {"shape", t.shape},
                         {"shape_signature", t.shape_signature},
                         {"constant_bytes", t.constant_bytes},
                         {"quantization", t.quantization},
                         {"parameters", QuantizationJson(t.parameters)},
                         {"variable", t.is_variable},
                         {"sparse", t.is_sparse}});
    }
    for (const auto& [name, count] : subgraph.op_counts) counts[name] = count;
    subgraphs.push_back({{"name", subgraph.name},
                         {"inputs", subgraph.inputs},
                         {"outputs", subgraph.outputs},
                         {"op_counts", counts},
                         {"ops", ops},
                         {"tensors", tensors}});
  }
  Json signatures = Json::array(), metadata = Json::array();
  for (const SignatureInfo& signature : facts.signatures) {
    signatures.push_back(SignatureJson(signature));
  }
  for (const auto& [name, bytes] : facts.metadata) {
    metadata.push_back({{"name", name}, {"bytes", bytes}});
  }
  return {{"model", path},
          {"description", facts.description},
          {"file_bytes", facts.file_bytes},
          {"constant_bytes", facts.constant_bytes},
          {"signatures", signatures},
          {"unsupported", unsupported},
          {"metadata", metadata},
          {"subgraphs", subgraphs}};
}

std::string OptionWords(const OpFacts& op) {
  std::string words;
  for (const auto& [name, text] : op.options) {
    words += fmt::format("{}{}={}", words.empty() ? "" : " ", name, text);
  }
  return words;
}

// The subgraph's own inputs and outputs, as `lathe run` counts them.
void PrintEnds(const SubgraphFacts& subgraph) {
  std::vector<std::vector<std::string>> rows;
  for (const auto* list : {&subgraph.inputs, &subgraph.outputs}) {
    for (size_t i = 0; i < list->size(); ++i) {
      const TensorFacts& t = subgraph.tensors[(*list)[i]];
      rows.push_back(
          {fmt::format("  {} {}", list == &subgraph.inputs ? "in" : "out", i),
           t.name, std::string(Name(t.type)), ShapeWords(t.shape),
           t.shape_signature.empty()
               ? t.quantization
               : "resizable " + ShapeWords(t.shape_signature)});
    }
  }
  PrintTable(rows);
}

void Print(const std::string& path, const ModelFacts& facts, bool all) {
  fmt::print(
      "{}: {}, constants {}{}\n", path, Bytes(facts.file_bytes),
      Bytes(facts.constant_bytes),
      facts.description.empty() ? "" : ", \"" + facts.description + "\"");
  for (const SignatureInfo& signature : facts.signatures) {
    fmt::print("\nsignature \"{}\" (subgraph {})\n", signature.key,
               signature.subgraph);
    std::vector<std::vector<std::string>> rows;
    for (const auto* list : {&signature.inputs, &signature.outputs}) {
      for (const TensorInfo& t : *list) {
        rows.push_back({list == &signature.inputs ? "  in" : "  out", t.name,
                        std::string(Name(t.type)), ShapeWords(t.shape),
                        t.shape_signature.empty()
                            ? ""
                            : "resizable " + ShapeWords(t.shape_signature)});
      }
    }
    PrintTable(rows);
  }
  for (size_t s = 0; s < facts.subgraphs.size(); ++s) {
    const SubgraphFacts& subgraph = facts.subgraphs[s];
    fmt::print("\nsubgraph {} \"{}\": {} operators, {} tensors\n", s,
               subgraph.name, subgraph.ops.size(), subgraph.tensors.size());
    PrintEnds(subgraph);
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, count] : subgraph.op_counts) {
      rows.push_back({"  " + std::to_string(count), name});
    }
    PrintTable(rows);
    if (all) {
      rows = {{"  op", "name", "inputs", "outputs", "options"}};
      for (const OpFacts& op : subgraph.ops) {
        rows.push_back({fmt::format("  {}", op.index), op.name,
                        fmt::format("{}", fmt::join(op.inputs, " ")),
                        fmt::format("{}", fmt::join(op.outputs, " ")),
                        OptionWords(op)});
      }
      PrintTable(rows);
      rows = {{"  tensor", "type", "shape", "stored", "quantization", "name"}};
      for (const TensorFacts& t : subgraph.tensors) {
        rows.push_back({fmt::format("  {}", t.index), std::string(Name(t.type)),
                        ShapeWords(t.shape),
                        t.is_variable      ? "variable"
                        : t.constant_bytes ? Bytes(t.constant_bytes)
                                           : "",
                        t.quantization, t.name});
      }
      PrintTable(rows);
    }
    for (const OpFacts& op : subgraph.ops) {
      if (!op.unsupported.empty()) {
        fmt::print("  not supported: operator {} {}: {}\n", op.index, op.name,
                   op.unsupported);
      }
    }
  }
}

}  // namespace

int CmdInspect(std::vector<std::string> args) {
  CLI::App app(
      "Shows what a .tflite file is: signatures, operators, tensors, "
      "sizes, and what this build cannot run.",
      "lathe inspect");
  Common common;
  std::string path;
  bool all = false;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_flag("--all", all, "List every operator and tensor");
  SetUp(app, "lathe inspect build/release/models/nano/dit.tflite", common,
        Runs::kNo);
  if (const auto code = Parse(app, std::move(args), common)) return *code;
  const auto facts = Inspect(path);
  if (!facts) return Report(facts.error());
  if (common.json) {
    PrintJson("inspect", FactsJson(path, *facts));
  } else {
    Print(path, *facts, all);
  }
  return 0;
}

}  // namespace lathe::cli

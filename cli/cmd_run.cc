// lathe run: a .tflite file on given inputs.

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/fill.h"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

struct Given {
  std::string name, value;
};

Error Wrong(ErrorCode code, std::string message) {
  return {code, std::move(message)};
}

// The input that a name or a position means.
Result<std::string> InputNamed(const Session& session,
                               const std::string& name) {
  for (const TensorInfo& input : session.inputs()) {
    if (input.name == name) return name;
  }
  const auto index = ParseUnsigned(name);
  if (index && *index < session.inputs().size()) {
    return session.inputs()[*index].name;
  }
  std::string names;
  for (const TensorInfo& input : session.inputs()) {
    names += fmt::format(" \"{}\"", input.name);
  }
  return std::unexpected(Wrong(
      ErrorCode::kUsage,
      fmt::format("--input {}: no such input; there are:{}", name, names)));
}

const TensorInfo& InfoOf(const Session& session, const std::string& name) {
  for (const TensorInfo& input : session.inputs()) {
    if (input.name == name) return input;
  }
  return session.inputs()[0];
}

std::string WithStep(std::string path, int step) {
  const size_t at = path.find("{step}");
  if (at != path.npos) path.replace(at, 6, std::to_string(step));
  return path;
}

Status SetInput(Session& session, const std::string& name,
                const std::string& value, int step) {
  const std::string path = WithStep(value, step);
  std::optional<Array> array;
  if (path.ends_with(".npy")) {
    auto read = ReadNpy(path);
    if (!read) return std::unexpected(read.error());
    array = std::move(*read);
    if (array->type != InfoOf(session, name).type) {
      return std::unexpected(
          Wrong(ErrorCode::kInvalidInput,
                fmt::format("{}: holds {}, input \"{}\" is {}", path,
                            Name(array->type), name,
                            Name(InfoOf(session, name).type))));
    }
    if (array->shape != InfoOf(session, name).shape) {
      if (Status s = session.Resize(name, array->shape); !s) return s;
    }
  }
  auto bytes = session.InputBytes(name);
  if (!bytes) return std::unexpected(bytes.error());
  const ElementType type = InfoOf(session, name).type;
  if (array) {
    std::memcpy(bytes->data(), array->bytes.data(), bytes->size());
    return {};
  }
  if (value == "zeros") {
    std::memset(bytes->data(), 0, bytes->size());
    return {};
  }
  if (value == "ones") return FillOnes(type, *bytes);
  if (value.starts_with("random:")) {
    const auto seed = ParseUnsigned(value.substr(7));
    if (seed) return FillRandom(type, *bytes, *seed);
  }
  if (path.ends_with(".bin")) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in || static_cast<uint64_t>(in.tellg()) != bytes->size()) {
      return std::unexpected(
          Wrong(ErrorCode::kInvalidInput,
                fmt::format("{}: expected a file of {} bytes for input \"{}\"",
                            path, bytes->size(), name)));
    }
    in.seekg(0);
    in.read(reinterpret_cast<char*>(bytes->data()),
            static_cast<std::streamsize>(bytes->size()));
    return {};
  }
  return std::unexpected(
      Wrong(ErrorCode::kUsage,
            fmt::format("--input {}={}: allowed a path ending in .npy or .bin, "
                        "zeros, ones, random:SEED",
                        name, value)));
}

Status WriteOutputs(const Session& session, const std::string& dir,
                    std::optional<int> step, Json& list) {
  list = Json::array();
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const TensorInfo& output = session.outputs()[i];
    const auto bytes = session.OutputBytes(fmt::format("#{}", i));
    if (!bytes) return std::unexpected(bytes.error());
    const std::string file = step ? fmt::format("out{}.s{}.npy", i, *step)
                                  : fmt::format("out{}.npy", i);
    if (!dir.empty()) {
      const Status s = WriteNpy((fs::path(dir) / file).string(), output.type,
                                output.shape, *bytes);
      if (!s) return s;
    }
    list.push_back({{"index", i},
                    {"name", output.name},
                    {"tensor", output.name},
                    {"type", Name(output.type)},
                    {"shape", output.shape},
                    {"quantization", nullptr}});
  }
  return {};
}

}  // namespace

int CmdRun(std::vector<std::string> args) {
  CLI::App app("Runs a .tflite file. Inputs that are not named are random:0.",
               "lathe run");
  Common common;
  std::string path, signature, dir;
  std::vector<std::string> inputs;
  int steps = 1, repeat = 1;
  app.add_option("MODEL", path, "A .tflite file")->required();
  app.add_option("--signature", signature, "Signature to run (default: first)");
  app.add_option("--input", inputs,
                 "NAME=VALUE; NAME is a name or a position; VALUE a path "
                 "ending in .npy or .bin, zeros, ones or random:SEED; {step} "
                 "in a path becomes the step");
  app.add_option("--steps", steps, "Runs in one session (default 1)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--repeat", repeat, "Times each run is repeated (default 1)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--output", dir, "Folder for out<index>.npy, outputs.json");
  SetUp(app,
        "lathe run build/release/models/nano/decoder.tflite --input "
        "latent=random:1 --output /tmp",
        common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  if (!dir.empty()) {
    std::error_code error;
    fs::create_directory(dir, error);
    if (!fs::is_directory(dir)) {
      return Report({ErrorCode::kInvalidInput,
                     fmt::format("--output {}: not a folder, and its parent "
                                 "is none either",
                                 dir)});
    }
  }
  std::vector<Given> given;
  for (const std::string& text : inputs) {
    const size_t equals =
        text.rfind('=') == text.npos ? text.npos : text.find('=');
    if (equals == text.npos) {
      return ReportUsage(fmt::format("--input {}: expected NAME=VALUE", text));
    }
    given.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }

  const auto start = std::chrono::steady_clock::now();
  const auto since = [](std::chrono::steady_clock::time_point from) {
    return std::chrono::duration<double, std::milli>(
               std::chrono::steady_clock::now() - from)
        .count();
  };
  ModelOptions model_options;
  model_options.memory_limit_bytes = common.memory_limit_bytes;
  const auto model = Model::Open(path, model_options);
  if (!model) return Report(model.error());
  Threads threads(common.threads);
  SessionOptions options;
  options.signature = signature;
  options.threads = &threads;
  options.isa = common.isa;
  options.stop = StopFlag();
  auto session = Session::Create(*model, options);
  if (!session) return Report(session.error());
  const double load_ms = since(start);

  std::map<std::string, std::string> values;
  for (const Given& each : given) {
    const auto name = InputNamed(*session, each.name);
    if (!name) return Report(name.error());
    values[*name] = each.value;
  }
  Json filled = Json::array();
  for (const TensorInfo& input : session->inputs()) {
    if (values.contains(input.name)) continue;
    if (!session->InputBytes(input.name)) continue;  // A stored constant.
    values[input.name] = "random:0";
    filled.push_back(input.name);
  }
  double first_ms = 0, run_ms = 0;
  Json outputs;
  for (int step = 0; step < steps; ++step) {
    for (const auto& [name, value] : values) {
      if (Status s = SetInput(*session, name, value, step); !s) {
        return Report(s.error());
      }
    }
    // Resizing an input empties the others.
    for (const auto& [name, value] : values) {
      if (Status s = SetInput(*session, name, value, step); !s) {
        return Report(s.error());
      }
    }
    for (int i = 0; i < repeat; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      if (Status s = session->Run(); !s) return Report(s.error());
      run_ms = since(begin);
      if (step == 0 && i == 0) first_ms = run_ms;
    }
    const auto number = steps > 1 ? std::optional<int>(step) : std::nullopt;
    if (Status s = WriteOutputs(*session, dir, number, outputs); !s) {
      return Report(s.error());
    }
  }
  if (!dir.empty()) {
    const std::string file = (fs::path(dir) / "outputs.json").string();
    std::ofstream out(file + ".part");
    out << outputs.dump(2) << '\n';
    out.close();
    std::error_code error;
    fs::rename(file + ".part", file, error);
    if (!out || error) {
      fs::remove(file + ".part", error);
      return Report(
          {ErrorCode::kSystem, fmt::format("{}: cannot be written", file)});
    }
  }
  const MemoryUse memory = MeasureMemory();
  Json input_list = Json::array();
  for (const TensorInfo& input : session->inputs()) {
    const auto value = values.find(input.name);
    input_list.push_back(
        {{"name", input.name},
         {"type", Name(input.type)},
         {"shape", input.shape},
         {"value", value == values.end() ? "stored" : value->second}});
  }
  if (common.json) {
    PrintJson("run",
              {{"signature", signature},
               {"inputs", input_list},
               {"outputs", outputs},
               {"filled", filled},
               {"times_ms",
                {{"load", load_ms}, {"first", first_ms}, {"run", run_ms}}},
               {"peak_rss_bytes", memory.peak_rss_bytes},
               {"peak_private_bytes", memory.peak_private_bytes},
               {"arena_bytes", session->stats().arena_bytes}});
    return 0;
  }
  for (const auto& name : filled) {
    fmt::print("input \"{}\" was filled with random:0\n",
               name.get<std::string>());
  }
  for (const TensorInfo& output : session->outputs()) {
    fmt::print("output \"{}\" {} [{}]\n", output.name, Name(output.type),
               fmt::join(output.shape, ","));
  }
  fmt::print("load {:.1f} ms, first {:.1f} ms, run {:.1f} ms, arena {}\n",
             load_ms, first_ms, run_ms, Bytes(session->stats().arena_bytes));
  return 0;
}

}  // namespace lathe::cli

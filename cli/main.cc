// lathe VERB ...: the table of verbs.

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/command.h"
#include "lathe/machine.hpp"

namespace {

using lathe::cli::Verb;

constexpr std::array kVerbs = {
    Verb{"generate", "Prompt to sound.", lathe::cli::CmdGenerate},
    Verb{"convert", "A checkpoint to .tflite files.", lathe::cli::CmdConvert},
    Verb{"quantize", "A smaller model, as a recipe says.",
         lathe::cli::CmdQuantize},
    Verb{"calibrate", "Which values a model's tensors take.",
         lathe::cli::CmdCalibrate},
    Verb{"inspect", "What a .tflite file holds.", lathe::cli::CmdInspect},
    Verb{"run", "Run a .tflite file on given inputs.", lathe::cli::CmdRun},
    Verb{"compare", "How far the outputs of two files are apart.",
         lathe::cli::CmdCompare},
    Verb{"validate", "How far a quantized model is from its float model.",
         lathe::cli::CmdValidate},
    Verb{"listen-test", "How far a sound is from another.",
         lathe::cli::CmdListenTest},
    Verb{"explain", "What will run: steps, kernels, memory.",
         lathe::cli::CmdExplain},
    Verb{"profile", "Time each step of a .tflite file.",
         lathe::cli::CmdProfile},
    Verb{"bench", "Time a .tflite file.", lathe::cli::CmdBench},
    Verb{"doctor", "What this machine and this build can do.",
         lathe::cli::CmdDoctor},
};

void PrintHelp(std::FILE* to) {
  fmt::print(to, "lathe VERB [arguments]\n\n");
  for (const Verb& verb : kVerbs) {
    fmt::print(to, "  {:<12} {}\n", verb.name, verb.says);
  }
  fmt::print(to,
             "\n`lathe VERB --help` shows a verb's options and an example.\n"
             "Exit codes: 0 done, 1 the answer is no, 2 wrong command line, 3 "
             "wrong input,\n4 not supported here, 5 the system failed, 130 "
             "interrupted.\n");
}

int Run(std::vector<std::string> args) {
  if (args.empty()) {
    PrintHelp(stderr);
    return 2;
  }
  const std::string name = args[0];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(stdout);
    return 0;
  }
  if (name == "--version") {
    const lathe::MachineInfo info = lathe::DescribeMachine();
    fmt::print("lathe {} ({})\n", info.version, info.commit);
    return 0;
  }
  const auto verb = std::ranges::find(kVerbs, name, &Verb::name);
  if (verb == kVerbs.end()) {
    std::vector<std::string> names;
    for (const Verb& each : kVerbs) names.emplace_back(each.name);
    const std::string nearest = lathe::cli::NearestOf(name, names);
    return lathe::cli::ReportUsage(
        fmt::format("unknown verb \"{}\"{}", name,
                    nearest.empty() ? "; `lathe --help` lists them" : nearest));
  }
  args.erase(args.begin());
  return verb->run(std::move(args));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run({argv + 1, argv + argc});
  } catch (const std::bad_alloc&) {
    return lathe::cli::Report({lathe::ErrorCode::kSystem, "out of memory"});
  } catch (const std::exception& e) {
    return lathe::cli::Report({lathe::ErrorCode::kSystem, e.what()});
  }
}

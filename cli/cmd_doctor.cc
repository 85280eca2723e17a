// lathe doctor: the CPU, the kernels, the measured peaks, the default model.

#include <string>
#include <vector>

#include "apps/audio/pipeline.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "lathe/machine.hpp"

namespace lathe::cli {

int CmdDoctor(std::vector<std::string> args) {
  CLI::App app(
      "Tells what this machine and this build can do, and whether the "
      "default model is there. Exit code 1 when something is missing.",
      "lathe doctor");
  Common common;
  SetUp(app, "lathe doctor --json", common, Runs::kMeasures);
  if (const auto code = Parse(app, std::move(args), common)) return *code;

  const MachineInfo info = DescribeMachine();
  Threads one(1), all(common.threads);
  const auto peak_1 = MeasurePeaks(one, common.isa);
  if (!peak_1) return Report(peak_1.error());
  const auto peak_n = MeasurePeaks(all, common.isa);
  if (!peak_n) return Report(peak_n.error());
  const std::string model = DefaultModel();
  audio::PipelineOptions options;
  options.threads = 1;
  const auto pipeline = audio::Pipeline::Open(model, options);
  const std::string trouble = pipeline ? "" : pipeline.error().message;

  if (common.json) {
    Json isas = Json::array(), kernels = Json::array();
    for (const IsaInfo& isa : info.isas) {
      isas.push_back({{"name", isa.name},
                      {"compiled_in", isa.compiled_in},
                      {"usable", isa.compiled_in && isa.cpu_has}});
    }
    for (const KernelInfo& kernel : info.kernels) {
      kernels.push_back({{"family", kernel.family},
                         {"name", kernel.name},
                         {"isa", kernel.isa},
                         {"usable", kernel.usable}});
    }
    PrintJson("doctor",
              {{"cpu", info.cpu},
               {"cores", info.cores},
               {"isas", isas},
               {"best_isa", info.best_isa},
               {"peaks",
                {{"gflops_1", peak_1->gflops},
                 {"gflops", peak_n->gflops},
                 {"gigabytes_s_1", peak_1->gigabytes_s},
                 {"gigabytes_s", peak_n->gigabytes_s},
                 {"threads", all.count()}}},
               {"kernels", kernels},
               {"default_model", {{"path", model}, {"problem", trouble}}},
               {"compiler", info.compiler},
               {"commit", info.commit},
               {"version", info.version},
               {"libraries", info.libraries}});
    return trouble.empty() ? 0 : 1;
  }
  fmt::print("lathe {} ({}), {}\n", info.version, info.commit, info.compiler);
  fmt::print("CPU: {}, {} cores\n", info.cpu, info.cores);
  std::string levels;
  for (const IsaInfo& isa : info.isas) {
    levels += fmt::format(" {}{}", isa.name, isa.cpu_has ? "" : " (not here)");
  }
  fmt::print("instruction sets:{}; best {}\n", levels, info.best_isa);
  fmt::print("peak, 1 thread: {:.0f} GFLOP/s f32, {:.1f} GB/s\n",
             peak_1->gflops, peak_1->gigabytes_s);
  fmt::print("peak, {} threads: {:.0f} GFLOP/s f32, {:.1f} GB/s\n", all.count(),
             peak_n->gflops, peak_n->gigabytes_s);
  std::vector<std::vector<std::string>> rows = {
      {"kernel", "isa", "family", ""}};
  for (const KernelInfo& kernel : info.kernels) {
    rows.push_back({kernel.name, kernel.isa, kernel.family,
                    kernel.usable ? "" : "not on this CPU"});
  }
  PrintTable(rows);
  fmt::print("libraries: {}\n", fmt::join(info.libraries, ", "));
  if (trouble.empty()) {
    fmt::print("default model: {}\n", model);
  } else {
    fmt::print("default model: {}\n", trouble);
  }
  return trouble.empty() ? 0 : 1;
}

}  // namespace lathe::cli

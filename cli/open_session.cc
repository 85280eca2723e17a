#include "cli/open_session.h"

#include <utility>

#include "fmt/ranges.h"
#include "lathe/machine.hpp"

namespace lathe::cli {

Result<Opened> OpenSession(const std::string& path, const Common& common,
                           Threads& threads, SessionOptions options) {
  const auto start = std::chrono::steady_clock::now();
  const StopsAtOnce nothing_to_clean_up;
  ModelOptions model_options;
  model_options.memory_limit_bytes = common.memory_limit_bytes;
  const auto model = Model::Open(path, model_options);
  if (!model) return std::unexpected(model.error());
  options.threads = &threads;
  if (options.isa.empty()) options.isa = common.isa;
  options.stop = StopFlag();
  auto session = Session::Create(*model, options);
  if (!session) return std::unexpected(session.error());
  return Opened{*std::move(session), MillisecondsSince(start)};
}

std::string IsaInUse(const Common& common) {
  return common.isa.empty() ? DescribeMachine().best_isa : common.isa;
}

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now() - start)
      .count();
}

std::string ShapeWords(std::span<const int32_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

Json QuantizationJson(const QuantizationInfo& quantization) {
  if (quantization.scales.empty()) return nullptr;
  return {{"scales", quantization.scales},
          {"zero_points", quantization.zero_points},
          {"axis", quantization.axis}};
}

}  // namespace lathe::cli

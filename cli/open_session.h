// A model file and a session of it, as the common options say.

#ifndef LATHE_CLI_OPEN_SESSION_H_
#define LATHE_CLI_OPEN_SESSION_H_

#include <chrono>
#include <string>

#include "cli/command.h"
#include "lathe/lathe.hpp"

namespace lathe::cli {

struct Opened {
  Session session;
  double load_ms = 0;  // From opening the file to a session that can run.
};

// `options` says what `common` does not: signature, on_step, keep_all.
Result<Opened> OpenSession(const std::string& path, const Common& common,
                           Threads& threads, SessionOptions options);

// The level that kernels are chosen for: that of --isa, or the CPU's best.
std::string IsaInUse(const Common& common);

double MillisecondsSince(std::chrono::steady_clock::time_point start);

// "[1,64,32]"
std::string ShapeWords(std::span<const int32_t> shape);

// null, or {scales zero_points axis}.
Json QuantizationJson(const QuantizationInfo& quantization);

}  // namespace lathe::cli

#endif  // LATHE_CLI_OPEN_SESSION_H_

// What all verbs share: common options, results, messages, stopping.

#ifndef LATHE_CLI_COMMAND_H_
#define LATHE_CLI_COMMAND_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "lathe/lathe.hpp"
#include "nlohmann/json.hpp"

namespace lathe::cli {

using Json = nlohmann::ordered_json;

// A verb: parses `args` (without its own name), works, prints, and returns the
// exit code (docs/cli.md).
struct Verb {
  std::string_view name;
  std::string_view says;  // One sentence.
  int (*run)(std::vector<std::string> args);
};

int CmdGenerate(std::vector<std::string> args);
int CmdConvert(std::vector<std::string> args);
int CmdInspect(std::vector<std::string> args);
int CmdRun(std::vector<std::string> args);
int CmdBench(std::vector<std::string> args);
int CmdCompare(std::vector<std::string> args);
int CmdListenTest(std::vector<std::string> args);
int CmdExplain(std::vector<std::string> args);
int CmdProfile(std::vector<std::string> args);
int CmdQuantize(std::vector<std::string> args);
int CmdCalibrate(std::vector<std::string> args);
int CmdValidate(std::vector<std::string> args);
int CmdDoctor(std::vector<std::string> args);

// Options that every verb has, and those of verbs that run models.
struct Common {
  bool json = false;
  bool quiet = false;
  int threads = 0;
  std::string isa;
  std::string precision = "auto";
  uint64_t memory_limit_bytes = uint64_t{2} << 30;
  double time_limit_seconds = 0;
};
enum class Runs : uint8_t {
  kNo,        // --json and -q only.
  kMeasures,  // Also --threads and --isa.
  kYes,       // Also --precision and the limits.
};

// An application for a verb: summary, common options and an example in its
// help. `example` is one line that works when pasted.
void SetUp(CLI::App& app, std::string_view example, Common& common, Runs runs);

// Parses; a returned code means the verb is over (help was printed, or the
// command line is wrong: the nearest option is suggested).
std::optional<int> Parse(CLI::App& app, std::vector<std::string> args,
                         const Common& common);

// --- Stopping ---------------------------------------------------------------

// Set by Ctrl-C and by the time limit.
const std::atomic<bool>* StopFlag();
// Catches SIGINT and SIGTERM from now on; a second one, a fifth of a second or
// more after the first, ends the process at once.
void CatchInterrupts();
// Sets the stop flag after `seconds`; 0 never.
void StartTimeLimit(double seconds);

// While one is alive, a stop ends the process at once: for work that cannot
// look at the flag and has nothing to clean up, such as opening a model.
class StopsAtOnce {
 public:
  StopsAtOnce();
  ~StopsAtOnce();
  StopsAtOnce(const StopsAtOnce&) = delete;
  StopsAtOnce& operator=(const StopsAtOnce&) = delete;
};

// --- Messages and results ---------------------------------------------------

// Prints "lathe: message" on standard error; gives the exit code.
int Report(const Error& error);
int ReportUsage(const std::string& message);
void Warn(const std::string& message);
std::string NearestOf(std::string_view word,
                      const std::vector<std::string>& words);  // DidYouMean

// One object, "schema": "lathe.VERB/1" first. To standard error where standard
// output carries a file.
void PrintJson(std::string_view verb, const Json& fields, FILE* to = stdout);
// Columns padded to their widest cell.
void PrintTable(const std::vector<std::vector<std::string>>& rows);
std::string Bytes(uint64_t bytes);  // "1.5 GB"

// Lines on standard error: rewritten in place on a terminal, flushed lines
// elsewhere, nothing when quiet.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine();
  // `detail` such as "3/8"; repeats of the same text print nothing.
  void Show(std::string_view stage, std::string_view detail);
  void Clear();

 private:
  bool quiet_, terminal_;
  std::string shown_;
};

// Whole text as a number; no spaces, no rest.
std::optional<double> ParseNumber(const std::string& text);
std::optional<uint64_t> ParseUnsigned(const std::string& text);

}  // namespace lathe::cli

#endif  // LATHE_CLI_COMMAND_H_

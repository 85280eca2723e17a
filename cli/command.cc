#include "cli/command.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "lathe/words.hpp"

namespace lathe::cli {
namespace {

std::atomic<bool> stop_flag{false};
std::atomic<bool> timed_out{false};
double time_limit = 0;

std::atomic<int> at_once{0};

// timeout(1) and shells' wrappers send the same Ctrl-C twice, once to the
// process and once to its group: only one that comes this much later is a
// second one.
constexpr int64_t kSecondSignalMs = 200;
std::atomic<int64_t> first_signal_ms{0};  // 0: there was none.

// Async-signal-safe, unlike what std::chrono promises.
int64_t MillisecondsNow() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void OnSignal(int) {
  const int64_t now = MillisecondsNow();
  int64_t first = 0;
  if (!first_signal_ms.compare_exchange_strong(first, now)) {
    if (now - first >= kSecondSignalMs) ::_exit(130);
    return;
  }
  if (at_once.load() > 0) {
    constexpr std::string_view kMessage = "lathe: interrupted\n";
    // Nothing is left to do when this fails.
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
    ::_exit(130);
  }
  stop_flag.store(true);
}

}  // namespace

const std::atomic<bool>* StopFlag() { return &stop_flag; }

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // A closed pipe is an error of a write, not the end of the process.
  ::signal(SIGPIPE, SIG_IGN);
}

void StartTimeLimit(double seconds) {
  if (!(seconds > 0)) return;
  time_limit = seconds;
  std::thread([seconds] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    timed_out.store(true);
    stop_flag.store(true);
    if (at_once.load() > 0) {
      ::_exit(Report({ErrorCode::kInterrupted, "time limit"}));
    }
  }).detach();
}

StopsAtOnce::StopsAtOnce() {
  ++at_once;
  // Stopped just before.
  if (stop_flag.load()) ::_exit(Report({ErrorCode::kInterrupted, "stopped"}));
}
StopsAtOnce::~StopsAtOnce() { --at_once; }

int Report(const Error& error) {
  if (error.code == ErrorCode::kInterrupted) {
    if (timed_out.load() && first_signal_ms.load() == 0) {
      fmt::print(stderr, "lathe: time limit of {} s reached\n", time_limit);
      return static_cast<int>(ErrorCode::kSystem);
    }
    fmt::print(stderr, "lathe: interrupted; no part of a file is left\n");
    return static_cast<int>(ErrorCode::kInterrupted);
  }
  fmt::print(stderr, "lathe: {}\n", error.message);
  return static_cast<int>(error.code);
}

int ReportUsage(const std::string& message) {
  return Report({ErrorCode::kUsage, message});
}

void Warn(const std::string& message) {
  fmt::print(stderr, "lathe: warning: {}\n", message);
}

std::string NearestOf(std::string_view word,
                      const std::vector<std::string>& words) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  return DidYouMean(word, views);
}

void SetUp(CLI::App& app, std::string_view example, Common& common, Runs runs) {
  app.footer(fmt::format("Example:\n  {}", example));
  app.get_formatter()->column_width(34);
  app.set_help_flag("-h,--help", "Show this and exit");
  app.add_flag("--json", common.json, "Print one JSON object");
  app.add_flag("-q,--quiet", common.quiet, "No progress on standard error");
  if (runs == Runs::kNo) return;
  app.add_option("--threads", common.threads,
                 "Threads, 1 to 256 (default: the physical cores)")
      ->check(CLI::Range(1, 256));
  app.add_option("--isa", common.isa,
                 "Use no instruction set above this one; `lathe doctor` "
                 "lists them (default: the CPU's best)");
  if (runs == Runs::kMeasures) return;
  app.add_option("--precision", common.precision, "auto or f32 (default auto)");
  app.add_option("--memory-limit", common.memory_limit_bytes,
                 "Most bytes of arena and run-time tensors of one model, from "
                 "1 (default 2147483648)")
      ->check([](const std::string& text) -> std::string {
        const auto bytes = ParseUnsigned(text);
        if (bytes && *bytes > 0) return {};
        return fmt::format("{}; expected whole bytes from 1", text);
      });
  app.add_option("--time-limit", common.time_limit_seconds,
                 "Give up after this many seconds, above 0 to 1e9 (default: "
                 "never)")
      ->check([](const std::string& text) -> std::string {
        const auto seconds = ParseNumber(text);
        if (seconds && *seconds > 0 && *seconds <= 1e9) return {};
        return fmt::format("{}; expected a number above 0, at most 1e9", text);
      });
}

std::optional<int> Parse(CLI::App& app, std::vector<std::string> args,
                         const Common& common) {
  try {
    std::ranges::reverse(args);  // CLI11 takes them from the back.
    app.parse(args);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ExtrasError&) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
    const std::vector<std::string> left = app.remaining();
    const std::string word =
        left.empty() ? "" : left[0].substr(0, left[0].find('='));
    return ReportUsage(
        fmt::format("{}: unknown option or extra argument \"{}\"{}",
                    app.get_name(), word, NearestOf(word, names)));
  } catch (const CLI::ParseError& e) {
    return ReportUsage(fmt::format("{}: {}", app.get_name(), e.what()));
  }
  if (common.precision != "auto" && common.precision != "f32") {
    const bool known = common.precision == "bf16" || common.precision == "int8";
    return Report({known ? ErrorCode::kUnsupported : ErrorCode::kUsage,
                   fmt::format("--precision {}: allowed here: auto, f32",
                               common.precision)});
  }
  CatchInterrupts();
  StartTimeLimit(common.time_limit_seconds);
  return std::nullopt;
}

void PrintJson(std::string_view verb, const Json& fields, FILE* to) {
  Json object = {{"schema", fmt::format("lathe.{}/1", verb)}};
  object.update(fields);
  fmt::print(to, "{}\n",
             object.dump(2, ' ', false, Json::error_handler_t::replace));
  std::fflush(to);
}

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) {
        line.append(widths[i] - row[i].size() + 2, ' ');
      }
    }
    std::cout << line << '\n';
  }
  std::cout.flush();
}

std::string Bytes(uint64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", b / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", b / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.1f} kB", b / 1e3);
  return fmt::format("{} B", bytes);
}

ProgressLine::ProgressLine(bool quiet)
    : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() { Clear(); }

void ProgressLine::Show(std::string_view stage, std::string_view detail) {
  if (quiet_) return;
  std::string text = fmt::format("{:<10} {}", stage, detail);
  if (text == shown_) return;
  if (terminal_) {
    fmt::print(stderr, "\r{:<60}", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  std::fflush(stderr);
  shown_ = std::move(text);
}

void ProgressLine::Clear() {
  if (terminal_ && !quiet_ && !shown_.empty()) {
    fmt::print(stderr, "\r{:<60}\r", "");
    std::fflush(stderr);
  }
  shown_.clear();
}

std::optional<double> ParseNumber(const std::string& text) {
  double value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (rest != end ||
      (error != std::errc() && error != std::errc::result_out_of_range)) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) return HUGE_VAL;
  return value;
}

std::optional<uint64_t> ParseUnsigned(const std::string& text) {
  uint64_t value = 0;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace lathe::cli

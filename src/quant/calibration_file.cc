#include "src/quant/calibration_file.h"

#include <cmath>
#include <ostream>
#include <set>
#include <string_view>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace lathe::quant {
namespace {

std::string Quoted(std::string_view text) {
  // Names may hold bytes that are not UTF-8; JSON may not.
  return nlohmann::json(text).dump(-1, ' ', false,
                                   nlohmann::json::error_handler_t::replace);
}

// The shortest text that reads back as the same double, and as a float and not
// an integer where types are guessed.
void AppendNumber(double x, fmt::memory_buffer& out) {
  const size_t before = out.size();
  fmt::format_to(fmt::appender(out), "{}", x);
  const std::string_view text(out.data() + before, out.size() - before);
  if (text.find_first_of(".e") == std::string_view::npos) {
    out.append(std::string_view(".0"));
  }
}

template <typename T>
void AppendList(std::span<const T> numbers, fmt::memory_buffer& out) {
  out.push_back('[');
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) out.append(std::string_view(", "));
    AppendNumber(static_cast<double>(numbers[i]), out);
  }
  out.push_back(']');
}

void AppendExtreme(float x, int rank, fmt::memory_buffer& out) {
  for (int i = 0; i < rank; ++i) out.push_back('[');
  AppendNumber(static_cast<double>(x), out);
  for (int i = 0; i < rank; ++i) out.push_back(']');
}

template <typename T>
bool Finite(std::span<const T> numbers) {
  for (const T x : numbers) {
    if (!std::isfinite(x)) return false;
  }
  return true;
}

Status Check(const CalibratedTensor& tensor) {
  const float range[] = {tensor.range.low, tensor.range.high};
  if (!Finite<float>(range)) {
    return Invalid("tensor \"{}\": its range is {} to {}", tensor.name,
                   tensor.range.low, tensor.range.high);
  }
  if (!Finite(tensor.mu2)) {
    return Invalid("tensor \"{}\": a mean square is not finite", tensor.name);
  }
  if (!Finite(tensor.hessian)) {
    return Invalid("tensor \"{}\": its Hessian is not finite", tensor.name);
  }
  return {};
}

}  // namespace

Status WriteCalibration(std::span<const CalibratedTensor> tensors,
                        int64_t samples_calibrated,
                        const std::map<std::string, std::string>& metadata,
                        std::ostream& out) {
  std::set<std::string_view> names;
  for (const CalibratedTensor& tensor : tensors) {
    LATHE_TRY(Check(tensor));
    if (!names.insert(tensor.name).second) {
      return Invalid(
          "tensor \"{}\" comes twice; the file has one entry for "
          "each name",
          tensor.name);
    }
  }
  fmt::memory_buffer text;
  const auto flush = [&] {
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    text.clear();
  };
  text.append(std::string_view("{\"model_qsvs\": {"));
  for (const CalibratedTensor& tensor : tensors) {
    if (&tensor != tensors.data()) text.append(std::string_view(", "));
    text.append(Quoted(tensor.name));
    text.append(std::string_view(": {\"min\": "));
    AppendExtreme(tensor.range.low, tensor.rank, text);
    text.append(std::string_view(", \"max\": "));
    AppendExtreme(tensor.range.high, tensor.rank, text);
    if (!tensor.mu2.empty() || !tensor.hessian.empty()) {
      fmt::format_to(fmt::appender(text), ", \"num_samples\": {}",
                     tensor.num_samples);
    }
    if (!tensor.mu2.empty()) {
      text.append(std::string_view(", \"mu2\": "));
      AppendList(tensor.mu2, text);
    }
    if (!tensor.hessian.empty()) {
      const auto width = static_cast<size_t>(
          std::lround(std::sqrt(static_cast<double>(tensor.hessian.size()))));
      LATHE_CHECK(width * width == tensor.hessian.size());
      text.append(std::string_view(", \"hessian\": ["));
      for (size_t i = 0; i < width; ++i) {
        if (i > 0) text.append(std::string_view(", "));
        AppendList(tensor.hessian.subspan(i * width, width), text);
        flush();
      }
      text.push_back(']');
    }
    text.push_back('}');
    flush();
  }
  fmt::format_to(fmt::appender(text),
                 "}}, \"metadata\": {{\"num_samples_calibrated\": {}",
                 samples_calibrated);
  for (const auto& [key, value] : metadata) {
    fmt::format_to(fmt::appender(text), ", {}: {}", Quoted(key), Quoted(value));
  }
  text.append(std::string_view("}}\n"));
  flush();
  if (!out) return SystemError("the statistics cannot be written");
  return {};
}

}  // namespace lathe::quant

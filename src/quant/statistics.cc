#include "src/quant/statistics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <span>

#include "nlohmann/json.hpp"
#include "src/base/mapped_file.h"

namespace lathe::quant {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Deeper lists than any tensor's rank are an attack on the stack.
constexpr int kDeepestList = 32;

// All numbers of nested lists, or one number.
template <typename T>
bool Flatten(const Json& json, std::vector<T>& to, int depth = 0) {
  if (json.is_number()) {
    to.push_back(static_cast<T>(json.get<double>()));
    return true;
  }
  if (json.is_null()) {  // Was NaN or infinite.
    to.push_back(std::numeric_limits<T>::quiet_NaN());
    return true;
  }
  if (!json.is_array() || depth > kDeepestList) return false;
  for (const Json& item : json) {
    if (!Flatten(item, to, depth + 1)) return false;
  }
  return true;
}

Result<TensorStatistics> ReadTensor(const Json& json,
                                    const std::string& folder) {
  TensorStatistics statistics;
  const auto numbers = [&](const char* field, auto& to) -> Status {
    const auto found = json.find(field);
    if (found == json.end() || found->is_null()) return {};
    if (!Flatten(*found, to)) return Invalid("{} is no list of numbers", field);
    return {};
  };
  LATHE_TRY(numbers("min", statistics.min));
  LATHE_TRY(numbers("max", statistics.max));
  LATHE_TRY(numbers("mu2", statistics.mu2));
  if (const auto count = json.find("num_samples");
      count != json.end() && count->is_number()) {
    const double samples = count->get<double>();
    if (samples >= 0 && samples < 1e15) {
      statistics.num_samples = static_cast<uint64_t>(samples);
    }
  }
  if (const auto min = json.find("min"); min != json.end()) {
    for (const Json* at = &*min; at->is_array() && !at->empty();
         at = &at->front()) {
      ++statistics.rank;
    }
  }
  if (statistics.min.size() != statistics.max.size()) {
    return Invalid("{} values of min, {} of max", statistics.min.size(),
                   statistics.max.size());
  }
  // A range that is not finite is none; whoever needs it will say so.
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::ranges::all_of(statistics.min, finite) ||
      !std::ranges::all_of(statistics.max, finite)) {
    statistics.min.clear();
    statistics.max.clear();
  }
  const auto hessian = json.find("hessian");
  if (hessian == json.end()) return statistics;
  if (hessian->is_object()) {
    const auto npy = hessian->find("npy");
    if (npy == hessian->end() || !npy->is_string()) {
      return Invalid("hessian is an object without \"npy\"");
    }
    statistics.hessian_file =
        (fs::path(folder) / npy->get<std::string>()).string();
    return statistics;
  }
  LATHE_TRY(numbers("hessian", statistics.hessian));
  return statistics;
}

// Python writes NaN, Infinity and -Infinity, which JSON does not know: they
// become null. Empty when there are none.
std::string WithoutNonFinite(std::string_view text) {
  if (text.find("NaN") == std::string_view::npos &&
      text.find("Infinity") == std::string_view::npos) {
    return "";
  }
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string || c == '"') {
      out += c;
      if (in_string && c == '\\' && i + 1 < text.size()) out += text[++i];
      if (c == '"') in_string = !in_string;
      continue;
    }
    size_t skipped = 0;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (text.substr(i).starts_with(word)) {
        skipped = word.size();
        break;
      }
    }
    if (skipped == 0) {
      out += c;
    } else {
      out += "null";
      i += skipped - 1;
    }
  }
  return out;
}

// The header of a NumPy file: a Python dictionary as text.
struct Npy {
  std::string type;  // "<f4"
  size_t elements = 0;
  std::span<const std::byte> data;
};

Result<Npy> ReadNpy(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) {
    return Invalid("not an .npy file");
  }
  const bool old = text[6] == 1;
  const size_t start = old ? 10 : 12;
  size_t header = static_cast<uint8_t>(text[8]) |
                  static_cast<size_t>(static_cast<uint8_t>(text[9])) << 8;
  if (!old) {
    header |= static_cast<size_t>(static_cast<uint8_t>(text[10])) << 16 |
              static_cast<size_t>(static_cast<uint8_t>(text[11])) << 24;
  }
  if (header > text.size() - start) return Invalid("its header is cut");
  const std::string_view fields = text.substr(start, header);
  const size_t type = fields.find("'descr':");
  const size_t shape = fields.find("'shape':");
  if (type == std::string_view::npos || shape == std::string_view::npos ||
      fields.find("'fortran_order': False") == std::string_view::npos) {
    return Invalid("its header is not one of a plain array in C order");
  }
  Npy npy;
  const size_t quote = fields.find('\'', type + 8);
  if (quote == std::string_view::npos) return Invalid("its type is unreadable");
  npy.type = fields.substr(quote + 1, 3);
  npy.elements = 1;
  const size_t open = fields.find('(', shape);
  const size_t close = fields.find(')', shape);
  if (open == std::string_view::npos || close == std::string_view::npos ||
      close < open) {
    return Invalid("its shape is unreadable");
  }
  for (const char* at = fields.data() + open + 1; at < fields.data() + close;) {
    size_t dim = 0;
    const auto [end, code] = std::from_chars(at, fields.data() + close, dim);
    if (code != std::errc()) {
      ++at;
      continue;
    }
    if (dim > text.size()) return Invalid("dim {} is too large", dim);
    npy.elements *= dim;
    if (npy.elements > text.size()) return Invalid("more elements than bytes");
    at = end;
  }
  npy.data = bytes.subspan(start + header);
  return npy;
}

}  // namespace

const TensorStatistics* Statistics::Find(std::string_view tensor) const {
  const auto found = of.find(tensor);
  return found == of.end() ? nullptr : &found->second;
}

Result<Statistics> ParseStatistics(std::string_view text,
                                   const std::string& folder,
                                   const std::string& origin) {
  Json json;
  const std::string cleaned = WithoutNonFinite(text);
  try {
    json = cleaned.empty() ? Json::parse(text) : Json::parse(cleaned);
  } catch (const Json::exception& error) {
    return Invalid("{}: {}", origin, error.what());
  }
  if (!json.is_object()) {
    return Invalid("{}: statistics are an object of tensor names", origin);
  }
  if (const auto inner = json.find("model_qsvs");
      inner != json.end() && inner->is_object()) {
    Json taken = std::move(*inner);
    json = std::move(taken);
  }
  Statistics statistics;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_object()) {
      return Invalid("{}: tensor \"{}\": not an object", origin, name);
    }
    auto read = ReadTensor(value, folder);
    if (!read) {
      return Invalid("{}: tensor \"{}\": {}", origin, name,
                     read.error().message);
    }
    statistics.of.emplace(name, *std::move(read));
  }
  return statistics;
}

Result<Statistics> ReadStatistics(const std::string& path) {
  LATHE_ASSIGN(const auto file, MappedFile::Open(path));
  const std::string_view text(
      reinterpret_cast<const char*>(file->bytes().data()),
      file->bytes().size());
  return ParseStatistics(text, fs::path(path).parent_path().string(), path);
}

Result<std::vector<float>> ReadHessian(const TensorStatistics& statistics,
                                       int64_t width) {
  const auto expected = static_cast<uint64_t>(width) * width;
  if (statistics.hessian_file.empty()) {
    if (statistics.hessian.size() != expected) {
      return Invalid("a Hessian of {} numbers; expected {} x {}",
                     statistics.hessian.size(), width, width);
    }
    return statistics.hessian;
  }
  const std::string& path = statistics.hessian_file;
  LATHE_ASSIGN(const auto file, MappedFile::Open(path));
  const auto npy = ReadNpy(file->bytes());
  if (!npy) return Invalid("{}: {}", path, npy.error().message);
  const size_t size = npy->type == "<f4" ? 4 : npy->type == "<f8" ? 8 : 0;
  if (size == 0) {
    return Invalid("{}: type {}; allowed: <f4, <f8", path, npy->type);
  }
  if (npy->elements != expected || npy->data.size() / size < expected) {
    return Invalid("{}: {} numbers; expected {} x {}", path, npy->elements,
                   width, width);
  }
  std::vector<float> values(expected);
  for (size_t i = 0; i < expected; ++i) {
    if (size == 4) {
      std::memcpy(&values[i], npy->data.data() + i * 4, 4);
    } else {
      double wide = 0;
      std::memcpy(&wide, npy->data.data() + i * 8, 8);
      values[i] = static_cast<float>(wide);
    }
  }
  return values;
}

}  // namespace lathe::quant

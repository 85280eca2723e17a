#include "cli/input_values.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "cli/fill.h"
#include "cli/media.h"
#include "cli/npy.h"
#include "cli/problem.h"
#include "fmt/ranges.h"

namespace lathe::cli {
namespace {

bool IsFile(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

bool EndsIn(const std::string& text, std::string_view ending) {
  if (text.size() <= ending.size()) return false;
  return std::ranges::equal(
      std::string_view(text).substr(text.size() - ending.size()), ending,
      [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

std::string WithStep(std::string path, int step) {
  constexpr std::string_view kMark = "{step}";
  const std::string number = std::to_string(step);
  for (size_t at = path.find(kMark); at != path.npos;
       at = path.find(kMark, at + number.size())) {
    path.replace(at, kMark.size(), number);
  }
  return path;
}

std::string Position(size_t i) { return fmt::format("#{}", i); }

std::string Names(std::span<const TensorInfo> all) {
  std::string names;
  for (const TensorInfo& tensor : all) {
    names += fmt::format(" \"{}\"", tensor.name);
  }
  return names;
}

std::optional<size_t> Find(std::span<const TensorInfo> all,
                           const std::string& name) {
  const auto first = [&](const auto& test) -> std::optional<size_t> {
    const auto found = std::ranges::find_if(all, test);
    if (found == all.end()) return std::nullopt;
    return static_cast<size_t>(found - all.begin());
  };
  if (const auto i = first([&](const auto& t) { return t.name == name; })) {
    return i;
  }
  if (const auto i = first([&](const auto& t) { return t.tensor == name; })) {
    return i;
  }
  const auto index =
      ParseUnsigned(name.starts_with('#') ? name.substr(1) : name);
  if (index && *index < all.size()) return *index;
  return std::nullopt;
}

Result<std::vector<std::string>> ReadStrings(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Wrong("{}: cannot be read", path);
  const Json json = Json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return Wrong("{}: expected a JSON array of strings", path);
  }
  std::vector<std::string> strings;
  for (const Json& element : json) {
    if (!element.is_string()) {
      return Wrong("{}: element {} is {}, expected a string", path,
                   strings.size(), element.type_name());
    }
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

Result<std::vector<std::byte>> ReadBin(const std::string& path,
                                       const TensorInfo& input) {
  const uint64_t needed = ByteCount(input.type, input.shape);
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return Wrong("{}: cannot be read", path);
  const auto found = static_cast<uint64_t>(in.tellg());
  if (found != needed) {
    return Wrong("{}: {} bytes, input \"{}\" {} [{}] takes {}", path, found,
                 input.name, Name(input.type), fmt::join(input.shape, ","),
                 needed);
  }
  std::vector<std::byte> bytes(needed);
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()),
          static_cast<std::streamsize>(needed));
  if (!in && needed > 0) return SystemTrouble("{}: cannot be read", path);
  return bytes;
}

}  // namespace

std::pair<std::optional<size_t>, size_t> FindInput(
    std::span<const TensorInfo> inputs, const std::string& text) {
  for (size_t at = text.find('='); at != text.npos;
       at = text.find('=', at + 1)) {
    if (const auto i = Find(inputs, text.substr(0, at))) return {i, at};
  }
  return {std::nullopt, text.find('=')};
}

// What a file gave before the session has the right shape.
struct InputValues::Loaded {
  std::vector<int32_t> shape;  // That the input needs.
  std::optional<NpyFile> npy;
  std::vector<std::byte> bytes;
  std::vector<std::string> strings;
};

Result<InputValues::Value> InputValues::ParseValue(const std::string& text) {
  Value value;
  value.given = true;
  value.text = text;
  constexpr std::pair<std::string_view, Kind> kEndings[] = {
      {".npy", Kind::kNpy},
      {".bin", Kind::kBin},
      {".json", Kind::kJson},
      {".wav", Kind::kWav},
      {".png", Kind::kPng}};
  for (const auto& [ending, kind] : kEndings) {
    if (!EndsIn(text, ending)) continue;
    value.kind = kind;
    return value;
  }
  if (text == "zeros" || text == "ones") {
    value.kind = text == "zeros" ? Kind::kZeros : Kind::kOnes;
    return value;
  }
  const auto seed = text.starts_with("random:") ? ParseUnsigned(text.substr(7))
                                                : std::nullopt;
  if (!seed) {
    return Usage(
        "value \"{}\"; allowed: a path ending in .npy, .bin, .json, .wav or "
        ".png, zeros, ones, random:SEED",
        text);
  }
  value.kind = Kind::kRandom;
  value.seed = *seed;
  return value;
}

Result<InputValues> InputValues::Parse(const Session& session,
                                       std::span<const std::string> texts,
                                       int steps) {
  constexpr int kMostMissing = 10;
  const std::span<const TensorInfo> inputs = session.inputs();
  InputValues all;
  all.values_.resize(inputs.size());
  Problems problems;
  for (const std::string& text : texts) {
    const auto [i, equals] = FindInput(inputs, text);
    if (equals == text.npos) {
      problems.Add(Usage("--input {}: expected NAME=VALUE", text).error());
      continue;
    }
    if (!i) {
      problems.Add(Usage("--input {}: no input \"{}\"; there are:{}", text,
                         text.substr(0, equals), Names(inputs))
                       .error());
      continue;
    }
    if (all.values_[*i].given) {
      problems.Add(Usage("--input {}: input \"{}\" has a value already", text,
                         inputs[*i].name)
                       .error());
      continue;
    }
    auto value = ParseValue(text.substr(equals + 1));
    if (!value) {
      problems.Add({value.error().code,
                    fmt::format("--input {}: {}", text.substr(0, equals),
                                value.error().message)});
      continue;
    }
    int missing = 0;
    for (int step = 0; step < (value->varies() ? steps : 1); ++step) {
      const std::string path = WithStep(value->text, step);
      if (value->kind < Kind::kNpy || IsFile(path)) continue;
      if (++missing > kMostMissing) continue;
      problems.Add(
          Wrong("input \"{}\": {}: no such file", inputs[*i].name, path)
              .error());
    }
    if (missing > kMostMissing) {
      problems.Add(Wrong("input \"{}\": {} more files are missing",
                         inputs[*i].name, missing - kMostMissing)
                       .error());
    }
    all.values_[*i] = *std::move(value);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    Value& value = all.values_[i];
    const ElementType type = inputs[i].type;
    const bool handle =
        type == ElementType::kResource || type == ElementType::kVariant;
    if (!value.given && (inputs[i].is_constant || handle)) {
      value.kind = Kind::kStored;
      value.text = "stored";
    } else if (handle) {
      problems.Add(Trouble(ErrorCode::kUnsupported,
                           "input \"{}\" is a {} and takes no value",
                           inputs[i].name, Name(type))
                       .error());
    }
  }
  if (const Status status = problems.Finish(); !status) {
    return std::unexpected(status.error());
  }
  return all;
}

Result<InputValues::Loaded> InputValues::Load(const Value& value,
                                              const TensorInfo& input,
                                              int step) {
  Loaded loaded;
  loaded.shape = input.shape;
  const std::string path = WithStep(value.text, step);
  const bool strings = input.type == ElementType::kString;
  if (strings && value.kind >= Kind::kNpy && value.kind != Kind::kJson) {
    return Wrong("input \"{}\" is string; allowed a path ending in .json",
                 input.name);
  }
  switch (value.kind) {
    case Kind::kNpy: {
      auto file = OpenNpy(path);
      if (!file) return std::unexpected(file.error());
      const auto type = NpyTypeOf(input.type);
      if (!type) return std::unexpected(type.error());
      if (file->type != *type) {
        return Wrong("{}: holds {}, input \"{}\" takes {}", path,
                     Name(file->type), input.name, Name(*type));
      }
      loaded.shape = file->shape;
      loaded.npy = *std::move(file);
      return loaded;
    }
    case Kind::kJson: {
      if (!strings) {
        return Wrong("{}: a .json file holds strings, input \"{}\" is {}", path,
                     input.name, Name(input.type));
      }
      auto read = ReadStrings(path);
      if (!read) return std::unexpected(read.error());
      loaded.shape = ShapeFor(input, read->size());
      if (loaded.shape.empty() && (read->size() != 1 || !input.shape.empty())) {
        return Wrong("{}: {} strings do not fit input \"{}\" [{}]", path,
                     read->size(), input.name, fmt::join(input.shape, ","));
      }
      loaded.strings = *std::move(read);
      return loaded;
    }
    case Kind::kWav:
    case Kind::kPng: {
      auto media = value.kind == Kind::kWav ? ReadWav(path, input)
                                            : ReadPng(path, input);
      if (!media) return std::unexpected(media.error());
      loaded.shape = std::move(media->shape);
      loaded.bytes = std::move(media->bytes);
      return loaded;
    }
    default:
      return loaded;
  }
}

Status InputValues::Set(Session& session, size_t i, const Value& value,
                        Loaded& loaded, int step) {
  const TensorInfo& input = session.inputs()[i];
  const std::string name = Position(i);
  if (input.type == ElementType::kString) {
    size_t count = 1;
    for (const int32_t dim : input.shape) count *= static_cast<size_t>(dim);
    if (value.kind == Kind::kRandom) {
      loaded.strings = RandomWords(count, value.seed);
    } else if (value.kind != Kind::kJson) {
      loaded.strings.assign(count, value.kind == Kind::kOnes ? "1" : "");
    }
    return session.SetStrings(name, loaded.strings);
  }
  if (loaded.npy) {
    auto values = ReadNpyValues(*loaded.npy);
    if (!values) return std::unexpected(values.error());
    auto bytes = ToTensor(input.type, *std::move(values));
    if (!bytes) {
      return Trouble(bytes.error().code, "{}: {}", loaded.npy->path,
                     bytes.error().message);
    }
    loaded.bytes = *std::move(bytes);
  } else if (value.kind == Kind::kBin) {
    auto bytes = ReadBin(WithStep(value.text, step), input);
    if (!bytes) return std::unexpected(bytes.error());
    loaded.bytes = *std::move(bytes);
  } else if (value.kind < Kind::kNpy) {
    loaded.bytes.assign(ByteCount(input.type, input.shape), std::byte{0});
    Status filled;
    if (value.kind == Kind::kOnes) filled = FillOnes(input.type, loaded.bytes);
    if (value.kind == Kind::kRandom) {
      filled = FillRandom(input.type, loaded.bytes, value.seed);
    }
    if (!filled) {
      return Trouble(filled.error().code, "input \"{}\": {}", input.name,
                     filled.error().message);
    }
  }
  return session.SetInput(name, loaded.bytes);
}

Status InputValues::Apply(Session& session, int step) const {
  Problems problems;
  std::vector<std::optional<Loaded>> loaded(values_.size());
  std::vector<InputShape> resized;
  for (size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (value.kind == Kind::kStored || (step > 0 && !value.varies())) continue;
    auto read = Load(value, session.inputs()[i], step);
    if (!problems.Add(read)) continue;
    if (read->shape != session.inputs()[i].shape) {
      resized.push_back({Position(i), read->shape});
    }
    loaded[i] = *std::move(read);
  }
  if (const Status s = problems.Finish(); !s) return s;
  if (!resized.empty()) {
    if (const Status s = session.Resize(resized); !s) return s;
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (value.kind == Kind::kStored) continue;
    if (!loaded[i]) {
      if (resized.empty()) continue;  // Still there from the step before.
      auto read = Load(value, session.inputs()[i], step);
      if (!problems.Add(read)) continue;
      loaded[i] = *std::move(read);
    }
    problems.Add(Set(session, i, value, *loaded[i], step));
    loaded[i].reset();
  }
  return problems.Finish();
}

Json InputValues::Describe(const Session& session) const {
  Json list = Json::array();
  for (size_t i = 0; i < values_.size(); ++i) {
    const TensorInfo& input = session.inputs()[i];
    list.push_back({{"index", i},
                    {"name", input.name},
                    {"tensor", input.tensor},
                    {"type", Name(input.type)},
                    {"shape", input.shape},
                    {"value", values_[i].text}});
  }
  return list;
}

std::vector<std::string> InputValues::Filled(const Session& session) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (!values_[i].given && values_[i].kind == Kind::kRandom) {
      names.push_back(session.inputs()[i].name);
    }
  }
  return names;
}

Status ApplyResize(Session& session, std::span<const std::string> texts) {
  std::vector<InputShape> shapes;
  Problems problems;
  for (const std::string& text : texts) {
    auto shape = ParseResize(text);
    if (!problems.Add(shape)) continue;
    const auto i = Find(session.inputs(), shape->first);
    if (!i) {
      problems.Add(Usage("--resize {}: no such input; there are:{}", text,
                         Names(session.inputs()))
                       .error());
      continue;
    }
    shapes.push_back({Position(*i), std::move(shape->second)});
  }
  if (const Status s = problems.Finish(); !s) return s;
  return session.Resize(shapes);
}

}  // namespace lathe::cli

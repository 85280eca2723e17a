#include "cli/samples.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "cli/command.h"
#include "cli/input_values.h"
#include "cli/npy.h"
#include "cli/problem.h"
#include "fmt/ranges.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostRandomSamples = 1'000'000;

// A name as a file may have it.
std::string FileName(const std::string& name) {
  std::string safe = name;
  for (char& c : safe) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' &&
        c != '_' && c != '-') {
      c = '_';
    }
  }
  return safe;
}

std::string FolderOf(const SignatureInfo& signature) {
  return signature.key.empty() ? "main" : FileName(signature.key);
}

std::string Listed(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

bool TakesData(const TensorInfo& input) {
  return !input.is_constant && input.type != ElementType::kResource &&
         input.type != ElementType::kVariant;
}

// Random data: the same as `lathe run` fills with.
Samples RandomSamples(const SignatureInfo& signature, uint64_t count) {
  Samples samples{.signature = signature.key, .count = count, .fill = {}};
  samples.fill = [](Session& session, uint64_t sample) -> Status {
    std::vector<std::string> texts;
    for (size_t i = 0; i < session.inputs().size(); ++i) {
      if (!TakesData(session.inputs()[i])) continue;
      texts.push_back(fmt::format("#{}=random:{}", i, sample));
    }
    const auto values = InputValues::Parse(session, texts);
    if (!values) return std::unexpected(values.error());
    return values->Apply(session);
  };
  return samples;
}

// The file of one input; `many`: its first axis counts samples.
struct InputFile {
  TensorInfo input;
  NpyFile npy;
  bool many = false;

  uint64_t count() const {
    return many ? static_cast<uint64_t>(npy.shape[0]) : 1;
  }
  std::vector<int32_t> shape() const {
    return {npy.shape.begin() + (many ? 1 : 0), npy.shape.end()};
  }
  Result<std::vector<std::byte>> Read(uint64_t sample) const {
    const uint64_t each = npy.elements / std::max<uint64_t>(1, count());
    const auto type = NpyTypeOf(input.type);
    const int32_t one[] = {1};
    const uint64_t width = ByteCount(*type, one);
    NpyFile part = npy;
    if (many && !npy.fortran) {
      part.shape = shape();
      part.elements = each;
      part.offset += sample * each * width;
    }
    auto values = ReadNpyValues(part);
    if (!values) return std::unexpected(values.error());
    if (many && npy.fortran) {  // Samples are not neighbours in the file.
      const auto from =
          values->begin() + static_cast<ptrdiff_t>(sample * each * width);
      *values = {from, from + static_cast<ptrdiff_t>(each * width)};
    }
    auto bytes = ToTensor(input.type, *std::move(values));
    if (!bytes) {
      return Trouble(bytes.error().code, "{}, sample {}: {}", npy.path, sample,
                     bytes.error().message);
    }
    return bytes;
  }
};

Result<InputFile> OpenInput(const TensorInfo& input, const std::string& path) {
  const auto type = NpyTypeOf(input.type);
  if (!type) {
    return Trouble(type.error().code, "input \"{}\": {}", input.name,
                   type.error().message);
  }
  auto npy = OpenNpy(path);
  if (!npy) return std::unexpected(npy.error());
  if (npy->type != *type) {
    return Wrong("{}: holds {}, input \"{}\" takes {}", path, Name(npy->type),
                 input.name, Name(*type));
  }
  InputFile file{.input = input, .npy = *std::move(npy)};
  const size_t rank = file.npy.shape.size();
  file.many = rank == input.shape.size() + 1;
  bool fits = file.many || rank == input.shape.size();
  const std::vector<int32_t> shape = fits ? file.shape() : input.shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool free =
        !input.shape_signature.empty() && input.shape_signature[d] == -1;
    fits = fits && (shape[d] == input.shape[d] || (free && shape[d] > 0));
  }
  if (fits) return file;
  std::vector<int32_t> allowed =
      input.shape_signature.empty() ? input.shape : input.shape_signature;
  return Wrong(
      "{}: shape [{}], input \"{}\" takes [{}] or samples of it along a new "
      "first axis{}",
      path, fmt::join(file.npy.shape, ","), input.name, fmt::join(allowed, ","),
      std::ranges::find(allowed, -1) != allowed.end()
          ? ", any size where -1 stands"
          : "");
}

Result<Samples> FileSamples(const SignatureInfo& signature,
                            std::vector<InputFile> files) {
  Problems problems;
  std::vector<std::string> missing;
  for (const TensorInfo& input : signature.inputs) {
    if (!TakesData(input)) continue;
    const auto found = std::ranges::find(
        files, input.index, [](const auto& f) { return f.input.index; });
    if (found == files.end()) {
      missing.push_back(fmt::format("\"{}\"", input.name));
    }
  }
  if (!missing.empty()) {
    problems.Add(Wrong("signature \"{}\": no data for input {}", signature.key,
                       fmt::join(missing, ", "))
                     .error());
  }
  uint64_t count = 1;
  const InputFile* first = nullptr;
  for (const InputFile& file : files) {
    if (!file.many) continue;
    if (first == nullptr) {
      first = &file;
      count = file.count();
    } else if (file.count() != count) {
      problems.Add(Wrong("{}: {} samples, {} has {}", file.npy.path,
                         file.count(), first->npy.path, count)
                       .error());
    }
  }
  if (const Status s = problems.Finish(); !s) {
    return std::unexpected(s.error());
  }
  Samples samples{.signature = signature.key, .count = count, .fill = {}};
  const auto shared =
      std::make_shared<const std::vector<InputFile>>(std::move(files));
  samples.fill = [shared](Session& session, uint64_t sample) -> Status {
    std::vector<InputShape> resized;
    for (const InputFile& file : *shared) {
      const auto now = std::ranges::find(session.inputs(), file.input.index,
                                         &TensorInfo::index);
      if (now != session.inputs().end() && now->shape != file.shape()) {
        resized.push_back({file.input.name, file.shape()});
      }
    }
    if (!resized.empty()) {
      if (const Status s = session.Resize(resized); !s) return s;
    }
    for (const InputFile& file : *shared) {
      const auto bytes = file.Read(sample);
      if (!bytes) return std::unexpected(bytes.error());
      const Status s = session.SetInput(file.input.name, *bytes);
      if (!s) return s;
    }
    return {};
  };
  return samples;
}

Result<std::vector<Samples>> NamedFiles(const SignatureInfo& signature,
                                        std::span<const std::string> data) {
  Problems problems;
  std::vector<InputFile> files;
  std::set<size_t> given;
  for (const std::string& text : data) {
    const auto [i, equals] = FindInput(signature.inputs, text);
    if (!i) {
      std::vector<std::string> names;
      for (const TensorInfo& input : signature.inputs) {
        names.push_back(input.name);
      }
      problems.Add(Usage("--data {}: no input \"{}\"{}; there are: {}", text,
                         text.substr(0, equals),
                         NearestOf(text.substr(0, equals), names),
                         Listed(names))
                       .error());
      continue;
    }
    const TensorInfo& input = signature.inputs[*i];
    if (!TakesData(input)) {
      problems.Add(
          Wrong("--data {}: input \"{}\" takes no data", text, input.name)
              .error());
      continue;
    }
    if (!given.insert(*i).second) {
      problems.Add(
          Usage("--data {}: input \"{}\" has data already", text, input.name)
              .error());
      continue;
    }
    auto file = OpenInput(input, text.substr(equals + 1));
    if (problems.Add(file)) files.push_back(*std::move(file));
  }
  if (const Status s = problems.Finish(); !s) {
    return std::unexpected(s.error());
  }
  auto samples = FileSamples(signature, std::move(files));
  if (!samples) return std::unexpected(samples.error());
  return std::vector<Samples>{*std::move(samples)};
}

Result<std::vector<Samples>> FolderFiles(
    std::span<const SignatureInfo> signatures, const std::string& folder) {
  Problems problems;
  std::map<std::string, std::vector<std::string>> found;  // Sorted.
  std::error_code code;
  for (const fs::directory_entry& each : fs::directory_iterator(folder, code)) {
    if (!each.is_directory()) continue;
    std::vector<std::string>& files = found[each.path().filename().string()];
    for (const auto& file : fs::directory_iterator(each.path(), code)) {
      if (file.path().extension() == ".npy") {
        files.push_back(file.path().string());
      }
    }
    std::ranges::sort(files);
  }
  if (code) return SystemTrouble("{}: {}", folder, code.message());
  std::vector<std::string> allowed;
  for (const SignatureInfo& each : signatures)
    allowed.push_back(FolderOf(each));
  if (found.empty()) {
    return Wrong(
        "{}: no samples: it holds no folder; expected SIGNATURE/INPUT.npy, "
        "with SIGNATURE one of: {}",
        folder, Listed(allowed));
  }
  std::vector<Samples> all;
  for (const auto& [name, paths] : found) {
    const auto signature = std::ranges::find(
        signatures, name, [](const SignatureInfo& s) { return FolderOf(s); });
    if (signature == signatures.end()) {
      problems.Add(Wrong("{}/{}: no such signature; there are: {}", folder,
                         name, Listed(allowed))
                       .error());
      continue;
    }
    std::vector<InputFile> files;
    for (const std::string& path : paths) {
      const std::string stem = fs::path(path).stem().string();
      const auto input = std::ranges::find_if(
          signature->inputs,
          [&](const TensorInfo& i) { return FileName(i.name) == stem; });
      if (input == signature->inputs.end()) {
        std::vector<std::string> names;
        for (const TensorInfo& i : signature->inputs) {
          names.push_back(FileName(i.name));
        }
        problems.Add(
            Wrong("{}: no such input; there are: {}", path, Listed(names))
                .error());
        continue;
      }
      auto file = OpenInput(*input, path);
      if (problems.Add(file)) files.push_back(*std::move(file));
    }
    auto samples = FileSamples(*signature, std::move(files));
    if (problems.Add(samples)) all.push_back(*std::move(samples));
  }
  if (const Status s = problems.Finish(); !s) {
    return std::unexpected(s.error());
  }
  return all;
}

}  // namespace

Result<std::vector<Samples>> ReadSamples(
    std::span<const SignatureInfo> signatures,
    std::span<const std::string> data, const std::string& signature) {
  std::vector<std::string> keys;
  for (const SignatureInfo& each : signatures) keys.push_back(each.key);
  auto chosen = signatures.begin();
  if (!signature.empty()) {
    chosen = std::ranges::find(signatures, signature, &SignatureInfo::key);
    if (chosen == signatures.end()) {
      return Usage("--signature {}: no such signature; there are: {}",
                   signature, Listed(keys));
    }
  }
  if (data.empty()) return Usage("--data is needed: {}", kDataHelp);
  const std::string& first = data[0];
  std::error_code ignored;
  const bool folder = fs::is_directory(first, ignored);
  const bool random = first == "random" || first.starts_with("random:");
  if ((folder || random) && data.size() > 1) {
    return Usage("--data {}: stands alone, but --data {} was given too", first,
                 data[1]);
  }
  std::vector<Samples> all;
  if (random) {
    const auto count = first == "random" ? std::optional<uint64_t>(1)
                                         : ParseUnsigned(first.substr(7));
    if (!count || *count > kMostRandomSamples) {
      return Usage("--data {}: expected random or random:N, N 1 to {}", first,
                   kMostRandomSamples);
    }
    for (auto each = signatures.begin(); each != signatures.end(); ++each) {
      if (!signature.empty() && each != chosen) continue;
      all.push_back(RandomSamples(*each, *count));
    }
  } else if (folder) {
    auto found = FolderFiles(signatures, first);
    if (!found) return found;
    all = *std::move(found);
    if (!signature.empty()) {
      std::erase_if(all,
                    [&](const Samples& s) { return s.signature != signature; });
    }
  } else if (const auto bad = std::ranges::find_if(
                 data, [](const std::string& t) { return !t.contains('='); });
             bad != data.end()) {
    return Wrong(
        "--data {}: no such folder, and not NAME=PATH.npy or "
        "random[:N]",
        *bad);
  } else {
    auto found = NamedFiles(*chosen, data);
    if (!found) return found;
    all = *std::move(found);
  }
  uint64_t count = 0;
  for (const Samples& each : all) count += each.count;
  if (count == 0) return Wrong("--data {}: no samples", first);
  return all;
}

}  // namespace lathe::cli

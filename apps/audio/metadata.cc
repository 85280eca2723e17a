// Settings to JSON and back.

#include "apps/audio/metadata.h"

#include <sndfile.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "apps/audio/errors.h"
#include "apps/audio/tokenizer.h"
#include "nlohmann/json.hpp"

namespace lathe::audio {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "lathe.sound/1";
constexpr uint32_t kMaxListBytes = 1 << 20;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// As much of the text as may be stored. Escapes count as well: control
// characters take six bytes in JSON.
std::string Stored(const std::string& text, bool& cut) {
  size_t size = std::min(text.size(), kMaxStoredPromptBytes);
  for (;;) {
    while (size > 0 && size < text.size() &&
           (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) {
      --size;
    }
    std::string part = text.substr(0, size);
    const size_t dumped = Dump(part).size();
    if (dumped <= kMaxStoredPromptBytes + 1024) {
      cut |= size < text.size();
      return part;
    }
    size = size * kMaxStoredPromptBytes / dumped;
  }
}

// Takes fields one after the other and keeps the first problem.
class Reader {
 public:
  Reader(const Json& json, std::string what)
      : json_(json), what_(std::move(what)) {}

  void Text(const char* name, std::string& out) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_string()) return Problem(name, "must be text");
    out = field->get<std::string>();
    if (FirstInvalidUtf8(out) != out.npos) Problem(name, "is not UTF-8");
  }
  template <typename T>
  void Number(const char* name, double least, double most, T& out) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    const bool fits =
        std::is_integral_v<T> ? field->is_number_integer() : field->is_number();
    const double value = fits ? field->get<double>() : 0;
    if (!fits || !(value >= least && value <= most)) {
      return Problem(
          name, fmt::format("{}; allowed {} to {}", Dump(*field).substr(0, 60),
                            least, most));
    }
    out = field->get<T>();
  }
  void Flag(const char* name, bool& out) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_boolean()) return Problem(name, "must be true or false");
    out = field->get<bool>();
  }
  bool Has(const char* name) const { return json_.contains(name); }
  void Problem(const char* name, std::string_view text) {
    if (problem_.empty()) {
      problem_ = fmt::format("{}: \"{}\": {}", what_, name, text);
    }
  }
  const std::string& problem() const { return problem_; }

 private:
  const Json* Find(const char* name) {
    const auto it = json_.find(name);
    if (it != json_.end()) return &*it;
    Problem(name, "missing");
    return nullptr;
  }
  const Json& json_;
  std::string what_, problem_;
};

}  // namespace

MetadataText ToJson(const Metadata& metadata) {
  const Settings& s = metadata.settings;
  MetadataText result;
  Json json = {
      {"schema", kSchema},
      {"prompt", Stored(s.prompt, result.cut)},
      {"negative", Stored(s.negative, result.cut)},
      {"seed", s.seed},
      {"seconds", s.seconds},
      {"steps", s.steps},
      {"sampler", s.sampler},
      {"cfg", s.cfg},
      {"normalize", s.normalize},
  };
  if (!s.init_hash.empty()) {
    json["init"] = s.init_hash;
    json["strength"] = s.strength;
  }
  json["bits"] = metadata.bits;
  json["model"] = metadata.model;
  json["model_hash"] = metadata.model_hash;
  json["isa"] = metadata.isa;
  json["lathe"] = metadata.version;
  if (result.cut) json["cut"] = true;
  result.json = Dump(json);
  return result;
}

Result<Metadata> FromJson(std::string_view text, const std::string& what) {
  return Guarded([&]() -> Result<Metadata> {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || json.value("schema", Json()) != kSchema) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: holds no settings of Lathe (schema \"{}\")", what,
                  kSchema);
    }
    Metadata m;
    Settings& s = m.settings;
    Reader r(json, what);
    r.Text("prompt", s.prompt);
    r.Text("negative", s.negative);
    r.Number("seed", 0, 18446744073709551615.0, s.seed);
    r.Number("seconds", 0, 1e6, s.seconds);
    r.Number("steps", 1, 1000, s.steps);
    r.Text("sampler", s.sampler);
    r.Number("cfg", -100, 100, s.cfg);
    r.Flag("normalize", s.normalize);
    if (r.Has("init")) {
      r.Text("init", s.init_hash);
      r.Number("strength", 0.01, 1, s.strength);
    }
    r.Number("bits", 16, 32, m.bits);
    if (m.bits != 16 && m.bits != 24 && m.bits != 32) {
      r.Problem("bits", fmt::format("{}; allowed 16, 24, 32", m.bits));
    }
    r.Text("model", m.model);
    r.Text("model_hash", m.model_hash);
    r.Text("isa", m.isa);
    r.Text("lathe", m.version);
    if (r.Has("cut")) r.Flag("cut", m.cut);
    if (!r.problem().empty()) {
      return Fail(ErrorCode::kInvalidInput, "{}", r.problem());
    }
    return m;
  });
}

namespace {

// The comment of a WAV that is longer than the 2 KiB libsndfile gives back
// (1.2.0): the chunk "LIST" holds "INFO", then parts of a four-letter name, a
// 32-bit size and that many bytes, padded to even.
std::string LongComment(SNDFILE* file) {
  SF_CHUNK_INFO wanted = {};
  std::memcpy(wanted.id, "LIST", 4);
  wanted.id_size = 4;
  for (SF_CHUNK_ITERATOR* at = ::sf_get_chunk_iterator(file, &wanted);
       at != nullptr; at = ::sf_next_chunk_iterator(at)) {
    SF_CHUNK_INFO chunk = {};
    if (::sf_get_chunk_size(at, &chunk) != SF_ERR_NO_ERROR ||
        chunk.datalen > kMaxListBytes) {
      continue;
    }
    std::string bytes(chunk.datalen, '\0');
    chunk.data = bytes.data();
    if (::sf_get_chunk_data(at, &chunk) != SF_ERR_NO_ERROR ||
        !bytes.starts_with("INFO")) {
      continue;
    }
    for (size_t i = 4; i + 8 <= bytes.size();) {
      uint32_t size = 0;
      for (size_t b = 0; b < 4; ++b) {
        size |= uint32_t{static_cast<unsigned char>(bytes[i + 4 + b])}
                << (8 * b);
      }
      const std::string_view name(&bytes[i], 4);
      i += 8;
      if (size > bytes.size() - i) break;
      if (name == "ICMT") return bytes.c_str() + i;
      i += size + size % 2;
    }
  }
  return {};
}

}  // namespace

Result<Metadata> ReadMetadata(const std::string& path) {
  SF_INFO info = {};
  SNDFILE* file = ::sf_open(path.c_str(), SFM_READ, &info);
  if (file == nullptr) {
    return Fail(::sf_error(nullptr) == SF_ERR_SYSTEM ? ErrorCode::kSystem
                                                     : ErrorCode::kInvalidInput,
                "{}: {}", path, ::sf_strerror(nullptr));
  }
  const char* comment = ::sf_get_string(file, SF_STR_COMMENT);
  const std::string text =
      comment == nullptr ? LongComment(file) : std::string(comment);
  ::sf_close(file);
  return FromJson(text, path);
}

}  // namespace lathe::audio

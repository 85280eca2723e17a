// Reads pipeline.json and bounds every number in it.

#include "apps/audio/pipeline_config.h"

#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

#include "apps/audio/errors.h"
#include "apps/audio/sampler.h"
#include "nlohmann/json.hpp"

namespace lathe::audio {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSchema = "lathe.pipeline/1";

// Collects the problems of one file, one a line.
class Fields {
 public:
  Fields(const Json& root, std::string path)
      : root_(root), path_(std::move(path)) {}

  // A field by its dotted name, such as "sampler.steps"; null if it is not
  // there.
  const Json* Find(std::string_view name) {
    const Json* at = &root_;
    for (size_t begin = 0; begin <= name.size();) {
      const size_t dot = std::min(name.find('.', begin), name.size());
      const std::string key(name.substr(begin, dot - begin));
      if (!at->is_object() || !at->contains(key)) {
        Problem(name, "missing");
        return nullptr;
      }
      at = &(*at)[key];
      begin = dot + 1;
    }
    return at;
  }

  template <typename T>
  void Number(std::string_view name, double least, double most, T& out) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    const bool kind_fits =
        std::is_integral_v<T> ? field->is_number_integer() : field->is_number();
    const double value = kind_fits ? field->get<double>() : 0;
    if (!kind_fits || !(value >= least && value <= most)) {
      Problem(name,
              fmt::format("{}; allowed {} {} to {}", Shown(*field),
                          std::is_integral_v<T> ? "whole numbers" : "numbers",
                          least, most));
      return;
    }
    out = static_cast<T>(value);
  }

  void Text(std::string_view name, std::string& out) {
    const Json* field = Find(name);
    if (field == nullptr) return;
    if (!field->is_string()) {
      Problem(name, Shown(*field) + "; must be text");
      return;
    }
    out = field->get<std::string>();
  }

  // A plain file name, completed with the folder.
  void File(std::string_view name, const std::string& folder,
            std::string& out) {
    std::string file;
    Text(name, file);
    if (file.empty() && Find(name) == nullptr) return;
    if (file.empty() || file == "." || file == ".." ||
        file.find_first_of(std::string_view("/\\\0", 3)) != file.npos) {
      Problem(name, fmt::format("\"{}\"; must be the name of a file in the "
                                "same folder",
                                file));
      return;
    }
    out = folder + "/" + file;
  }

  void Problem(std::string_view name, std::string_view what) {
    const std::string line = fmt::format("{}: \"{}\": {}", path_, name, what);
    if (problems_.find(line) != problems_.npos) return;
    problems_ += (problems_.empty() ? "" : "\n") + line;
  }
  const std::string& problems() const { return problems_; }

 private:
  static std::string Shown(const Json& value) {
    const std::string text =
        value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 60) + "..." : text;
  }

  const Json& root_;
  std::string path_, problems_;
};

}  // namespace

Result<PipelineConfig> ReadPipelineConfig(const std::string& folder) {
  return Guarded([&]() -> Result<PipelineConfig> {
    const std::string path = folder + "/pipeline.json";
    std::ifstream in(path, std::ios::binary);
    if (!in) {
      return Fail(ErrorCode::kInvalidInput,
                  "{}: cannot be read; a model is a folder that `lathe "
                  "convert` wrote",
                  path);
    }
    std::string text((std::istreambuf_iterator<char>(in)),
                     std::istreambuf_iterator<char>());
    if (in.bad()) return Fail(ErrorCode::kSystem, "{}: cannot be read", path);
    const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!root.is_object()) {
      return Fail(ErrorCode::kInvalidInput, "{}: not a JSON object", path);
    }
    Fields f(root, path);
    std::string schema;
    f.Text("schema", schema);
    if (f.problems().empty() && schema != kSchema) {
      return Fail(ErrorCode::kUnsupported,
                  "{}: schema \"{}\"; this build reads \"{}\"", path, schema,
                  kSchema);
    }
    PipelineConfig c;
    f.Text("objective", c.objective);
    if (!c.objective.empty() && c.objective != "rf_denoiser" &&
        c.objective != "rectified_flow") {
      f.Problem("objective",
                fmt::format("\"{}\"; allowed rf_denoiser, rectified_flow",
                            c.objective));
    }
    f.Number("sample_rate", 1000, 768000, c.sample_rate);
    f.Number("channels", 1, 8, c.channels);
    f.Number("hop", 1, 65536, c.hop);
    f.Number("latent_channels", 1, 4096, c.latent_channels);
    f.Number("frames", 1, 65536, c.frames);
    f.Number("token_window", 2, 4096, c.token_window);
    f.Number("cond_width", 1, 65536, c.cond_width);
    f.Number("seconds.min", 0, 1e6, c.seconds_min);
    f.Number("seconds.max", 0, 1e6, c.seconds_max);
    f.Number("halo.decoder", 0, 1024, c.decoder_halo);
    f.Number("halo.encoder", 0, 1024, c.encoder_halo);
    f.Text("sampler.name", c.sampler.name);
    f.Number("sampler.steps", 1, 1000, c.sampler.steps);
    f.Number("sampler.cfg", -100, 100, c.sampler.cfg);
    f.File("files.conditioner", folder, c.files.conditioner);
    f.File("files.dit", folder, c.files.dit);
    f.File("files.decoder", folder, c.files.decoder);
    f.File("files.encoder", folder, c.files.encoder);
    f.File("files.tokenizer", folder, c.files.tokenizer);
    if (!c.sampler.name.empty()) {
      if (const Status s = CheckSampler(c.sampler.name); !s) {
        f.Problem("sampler.name", s.error().message);
      }
    }
    // 2^28 samples are 1.7 hours at 44.1 kHz, and 2 GiB of stereo floats.
    if (c.samples() > int64_t{1} << 28) {
      f.Problem("frames", fmt::format("{} frames of {} samples; at most 2^28 "
                                      "samples are allowed",
                                      c.frames, c.hop));
    }
    if (!f.problems().empty()) {
      return Fail(ErrorCode::kInvalidInput, "{}", f.problems());
    }
    return c;
  });
}

}  // namespace lathe::audio

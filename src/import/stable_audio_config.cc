// Reads the two configurations and collects what is wrong with them.

#include "src/import/stable_audio_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "nlohmann/json.hpp"
#include "src/base/mapped_file.h"

namespace lathe::importer {
namespace {

using nlohmann::json;

// No known model comes near these; they keep every product of sizes far from
// overflow, and the tables that are made while authoring small.
constexpr int64_t kMostSize = 1 << 24;
constexpr int64_t kMostSamples = 1 << 28;
constexpr int64_t kMostWidth = 1 << 16;
constexpr int64_t kMostDepth = 256;
constexpr int64_t kMostHeads = 128;
constexpr int64_t kMostFrames = 1 << 16;
constexpr int64_t kMostTokens = 512;
constexpr int64_t kMostChannels = 64;
constexpr int64_t kMostStride = 256;
constexpr uint64_t kMostBytes = uint64_t{16} << 20;

Result<json> ReadJson(const std::string& path) {
  LATHE_ASSIGN(const auto file, MappedFile::Open(path));
  if (file->bytes().size() > kMostBytes) {
    return Invalid("{}: {} bytes, limit {}", path, file->bytes().size(),
                   kMostBytes);
  }
  const char* text = reinterpret_cast<const char*>(file->bytes().data());
  constexpr int kMostNested = 64;
  bool deep = false;
  try {
    json root = json::parse(text, text + file->bytes().size(),
                            [&](int depth, json::parse_event_t, json&) {
                              deep = deep || depth > kMostNested;
                              return !deep;
                            });
    if (deep || !root.is_object()) {
      return Invalid("{}: expected one JSON object, nested at most {} deep",
                     path, kMostNested);
    }
    return root;
  } catch (const std::exception& e) {
    return Invalid("{}: not JSON: {}", path, e.what());
  }
}

// Reads values by path and collects what is wrong.
class Values {
 public:
  Values(const json& root, std::string file)
      : root_(root), file_(std::move(file)) {}

  const json* Find(std::string_view path) const {
    const json* at = &root_;
    while (!path.empty()) {
      const size_t dot = path.find('.');
      const std::string key(path.substr(0, dot));
      path = dot == path.npos ? "" : path.substr(dot + 1);
      if (!at->is_object() || !at->contains(key)) return nullptr;
      at = &(*at)[key];
    }
    return at;
  }

  void Problem(std::string_view path, std::string_view allowed) {
    const json* found = Find(path);
    problems_ +=
        fmt::format("\n  {}: found {}, allowed {}", path,
                    found ? found->dump().substr(0, 80) : "nothing", allowed);
  }

  int32_t Size(std::string_view path, int64_t most = kMostSize,
               std::optional<int64_t> otherwise = {}, int64_t least = 1) {
    const json* found = Find(path);
    if (found == nullptr && otherwise) return static_cast<int32_t>(*otherwise);
    if (found != nullptr && found->is_number_integer()) {
      const int64_t v = found->get<int64_t>();
      if (v >= least && v <= most) return static_cast<int32_t>(v);
    }
    Problem(path, fmt::format("a whole number {} to {}", least, most));
    return 1;
  }

  double Number(std::string_view path, double otherwise) {
    const json* found = Find(path);
    if (found == nullptr) return otherwise;
    if (found->is_number() && std::isfinite(found->get<double>())) {
      return found->get<double>();
    }
    Problem(path, "a finite number");
    return otherwise;
  }

  std::vector<int32_t> Sizes(std::string_view path, int64_t most) {
    const json* found = Find(path);
    std::vector<int32_t> sizes;
    bool fine = found != nullptr && found->is_array() && !found->empty() &&
                found->size() <= 16;
    for (size_t i = 0; fine && i < found->size(); ++i) {
      const json& v = (*found)[i];
      fine = v.is_number_integer() && v.get<int64_t>() >= 1 &&
             v.get<int64_t>() <= most;
      if (fine) sizes.push_back(v.get<int32_t>());
    }
    if (!fine)
      Problem(path, fmt::format("1 to 16 whole numbers from 1 to {}", most));
    return sizes;
  }

  // One of the words; the first is taken where the value may be left out.
  std::string Word(std::string_view path,
                   std::initializer_list<std::string_view> words,
                   bool required) {
    const json* found = Find(path);
    if (found == nullptr && !required) return std::string(*words.begin());
    if (found != nullptr && found->is_string()) {
      for (const std::string_view word : words) {
        if (found->get<std::string>() == word) return std::string(word);
      }
    }
    Problem(path, fmt::format("\"{}\"", fmt::join(words, "\" or \"")));
    return std::string(*words.begin());
  }

  // A switch that only works one way here.
  void Only(std::string_view path, const json& value) {
    const json* found = Find(path);
    if (found != nullptr && *found != value) Problem(path, value.dump());
  }

  // A key that is not in the list could change the network.
  void OnlyKeys(std::string_view path,
                std::initializer_list<std::string_view> known) {
    const json* found = Find(path);
    if (found == nullptr || !found->is_object()) return;
    for (const auto& [key, value] : found->items()) {
      if (std::ranges::find(known, std::string_view(key)) == known.end()) {
        Problem(fmt::format("{}.{}", path, key), "no such key");
      }
    }
  }

  Status Finish() const {
    if (problems_.empty()) return {};
    return Invalid("{}:{}", file_, problems_);
  }

 private:
  const json& root_;
  std::string file_;
  std::string problems_;
};

OobleckConfig ReadOobleck(Values& values, const std::string& path,
                          const char* audio_key) {
  OobleckConfig config;
  values.Word(path + ".type", {"oobleck"}, true);
  const std::string inner = path + ".config.";
  values.OnlyKeys(path + ".config",
                  {audio_key, "channels", "latent_dim", "c_mults", "strides",
                   "use_snake", "final_tanh", "antialias_activation"});
  config.audio_channels = values.Size(inner + audio_key, kMostChannels);
  config.channels = values.Size(inner + "channels", kMostWidth);
  config.latent_dim = values.Size(inner + "latent_dim", kMostWidth);
  config.multipliers = values.Sizes(inner + "c_mults", kMostWidth);
  config.strides = values.Sizes(inner + "strides", kMostStride);
  values.Only(inner + "use_snake", true);
  values.Only(inner + "final_tanh", false);
  values.Only(inner + "antialias_activation", false);
  if (config.multipliers.size() != config.strides.size()) {
    values.Problem(inner + "strides", fmt::format("as many as c_mults ({})",
                                                  config.multipliers.size()));
  }
  if (std::ranges::any_of(config.strides, [](int32_t s) { return s % 2; })) {
    values.Problem(inner + "strides", "even numbers");
  }
  for (const int32_t m : config.multipliers) {
    if (int64_t{m} * config.channels > kMostWidth) {
      values.Problem(inner + "c_mults",
                     fmt::format("channels times each at most {}", kMostWidth));
      break;
    }
  }
  return config;
}

// The conditioner with this id, by its position in the list.
std::string ConditionerPath(const json& root, std::string_view id) {
  const json::json_pointer list("/model/conditioning/configs");
  if (!root.contains(list) || !root[list].is_array()) return {};
  for (size_t i = 0; i < root[list].size(); ++i) {
    const json& entry = root[list][i];
    if (entry.is_object() && entry.contains("id") && entry["id"] == id) {
      return std::to_string(i);
    }
  }
  return {};
}

}  // namespace

Result<StableAudioConfig> ReadStableAudioConfig(const std::string& path) {
  LATHE_ASSIGN(json root, ReadJson(path));
  // Lists become objects keyed by position, so that one kind of path serves.
  const json::json_pointer list("/model/conditioning/configs");
  const std::string prompt = ConditionerPath(root, "prompt");
  const std::string seconds = ConditionerPath(root, "seconds_total");
  if (prompt.empty() || seconds.empty() || root[list].size() != 2) {
    return Invalid(
        "{}:\n  model.conditioning.configs: allowed exactly the conditioners "
        "\"prompt\" and \"seconds_total\"",
        path);
  }
  const json configs = root[list];
  root[list] = json::object();
  root[list]["prompt"] = configs[std::stoul(prompt)];
  root[list]["seconds_total"] = configs[std::stoul(seconds)];

  Values v(root, path);
  StableAudioConfig c;
  v.Word("model_type", {"diffusion_cond"}, true);
  c.sample_size = v.Size("sample_size", kMostSamples);
  c.sample_rate = v.Size("sample_rate");
  c.audio_channels = v.Size("audio_channels", kMostChannels, 2);
  c.latents = v.Size("model.io_channels", kMostWidth);

  const std::string pre = "model.pretransform.";
  v.Word(pre + "type", {"autoencoder"}, true);
  c.encoder = ReadOobleck(v, pre + "config.encoder", "in_channels");
  c.decoder = ReadOobleck(v, pre + "config.decoder", "out_channels");
  v.Word(pre + "config.bottleneck.type", {"vae"}, true);
  v.Only(pre + "scale", 1.0);
  c.hop = v.Size(pre + "config.downsampling_ratio");
  int64_t product = 1;
  for (const int32_t stride : c.decoder.strides) {
    product = std::min(product * stride, kMostSize);
  }
  if (product != c.hop || c.decoder.strides != c.encoder.strides) {
    v.Problem(pre + "config.downsampling_ratio",
              fmt::format("the product of the strides ({})", product));
  }
  if (c.decoder.latent_dim != c.latents) {
    v.Problem(pre + "config.decoder.config.latent_dim",
              fmt::format("model.io_channels ({})", c.latents));
  }
  if (c.encoder.latent_dim != 2 * c.latents) {
    v.Problem(pre + "config.encoder.config.latent_dim",
              fmt::format("twice model.io_channels ({})", 2 * c.latents));
  }
  if (c.decoder.audio_channels != c.audio_channels ||
      c.encoder.audio_channels != c.audio_channels) {
    v.Problem("audio_channels", "what encoder and decoder have");
  }
  if (c.sample_size < c.hop || c.frames() > kMostFrames) {
    v.Problem("sample_size",
              fmt::format("1 to {} times downsampling_ratio", kMostFrames));
  }

  const std::string cond = "model.conditioning.";
  c.cond_width = v.Size(cond + "cond_dim", kMostWidth);
  v.Word(cond + "configs.prompt.type", {"t5"}, true);
  c.token_window =
      v.Size(cond + "configs.prompt.config.max_length", kMostTokens, 128);
  v.Only(cond + "configs.prompt.config.project_out", false);
  v.Word(cond + "configs.seconds_total.type", {"number"}, true);
  c.seconds_min = v.Number(cond + "configs.seconds_total.config.min_val", 0.0);
  c.seconds_max =
      v.Number(cond + "configs.seconds_total.config.max_val", 256.0);
  if (!(c.seconds_max > c.seconds_min)) {
    v.Problem(cond + "configs.seconds_total.config.max_val",
              "more than min_val");
  }

  const std::string d = "model.diffusion.";
  v.Word(d + "type", {"dit"}, true);
  c.objective = v.Word(d + "diffusion_objective",
                       {"rf_denoiser", "rectified_flow"}, true);
  v.Only(d + "cross_attention_cond_ids", {"prompt", "seconds_total"});
  v.Only(d + "global_cond_ids", {"seconds_total"});
  for (const char* absent : {"input_concat_ids", "prepend_cond_ids"}) {
    v.Only(d + absent, json::array());
  }
  const std::string dc = d + "config.";
  v.OnlyKeys(
      d + "config",
      {"io_channels", "embed_dim", "depth", "num_heads", "cond_token_dim",
       "global_cond_dim", "transformer_type", "attn_kwargs", "global_cond_type",
       "timestep_cond_type", "patch_size", "num_memory_tokens",
       "project_cond_tokens", "project_global_cond", "input_concat_dim",
       "prepend_cond_dim", "conformer"});
  v.OnlyKeys(dc + "attn_kwargs", {"qk_norm"});
  c.dit.channels = v.Size(dc + "io_channels", kMostWidth);
  c.dit.width = v.Size(dc + "embed_dim", kMostWidth);
  c.dit.depth = v.Size(dc + "depth", kMostDepth);
  c.dit.heads = v.Size(dc + "num_heads", kMostHeads);
  c.dit.cond_width = v.Size(dc + "cond_token_dim", kMostWidth);
  c.dit.global_width = v.Size(dc + "global_cond_dim", kMostWidth);
  v.Word(dc + "transformer_type", {"continuous_transformer"}, false);
  v.Word(dc + "attn_kwargs.qk_norm", {"ln"}, true);
  v.Word(dc + "global_cond_type", {"prepend"}, false);
  v.Word(dc + "timestep_cond_type", {"global"}, false);
  v.Only(dc + "patch_size", 1);
  v.Only(dc + "num_memory_tokens", 0);
  v.Only(dc + "project_cond_tokens", true);
  v.Only(dc + "project_global_cond", true);
  v.Only(dc + "input_concat_dim", 0);
  v.Only(dc + "prepend_cond_dim", 0);
  v.Only(dc + "conformer", false);
  if (c.dit.channels != c.latents) {
    v.Problem(dc + "io_channels",
              fmt::format("model.io_channels ({})", c.latents));
  }
  if (c.dit.cond_width != c.cond_width || c.dit.global_width != c.cond_width) {
    v.Problem(dc + "cond_token_dim",
              fmt::format("model.conditioning.cond_dim ({}), as for "
                          "global_cond_dim",
                          c.cond_width));
  }
  const int32_t head = c.dit.width / std::max(1, c.dit.heads);
  if (c.dit.width % c.dit.heads != 0 || head < 32 || head % 2 != 0) {
    v.Problem(dc + "num_heads",
              "a divisor of embed_dim with even heads of at "
              "least 32 channels");
  }

  if (c.objective == "rectified_flow") c.sampler = {"euler", 50, 6.0};
  c.sampler.name =
      v.Word("lathe.sampler", {c.sampler.name, "pingpong", "euler", "dpmpp-2m"},
             false);
  v.OnlyKeys("lathe", {"sampler", "steps", "cfg_scale"});
  c.sampler.steps = v.Size("lathe.steps", 1000, c.sampler.steps);
  c.sampler.cfg = v.Number("lathe.cfg_scale", c.sampler.cfg);
  LATHE_TRY(v.Finish());
  return c;
}

Result<T5Config> ReadT5Config(const std::string& path) {
  LATHE_ASSIGN(const json root, ReadJson(path));
  Values v(root, path);
  T5Config c;
  c.vocabulary = v.Size("vocab_size");
  c.width = v.Size("d_model", kMostWidth);
  c.d_kv = v.Size("d_kv", 1024);
  c.heads = v.Size("num_heads", kMostHeads);
  c.d_ff = v.Size("d_ff", kMostSize);
  c.depth = v.Size("num_layers", kMostDepth);
  c.buckets = v.Size("relative_attention_num_buckets", 4096, 32, 4);
  c.furthest = v.Size("relative_attention_max_distance", kMostSize, 128, 2);
  c.epsilon = static_cast<float>(v.Number("layer_norm_epsilon", 1e-6));
  v.Word("feed_forward_proj", {"relu"}, false);
  if (c.buckets % 4 != 0 || c.furthest <= c.buckets / 4) {
    v.Problem("relative_attention_num_buckets",
              "a multiple of 4, with max_distance above a quarter of it");
  }
  LATHE_TRY(v.Finish());
  return c;
}

}  // namespace lathe::importer

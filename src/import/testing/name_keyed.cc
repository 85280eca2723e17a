// The stream of values, and the tensors that the models have.

#include "src/import/testing/name_keyed.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "nlohmann/json.hpp"

namespace lathe::importer {
namespace {

uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return hash;
}

// Uniform in [-1, 1), exact in float32.
float Uniform(uint64_t base, uint64_t index) {
  uint64_t z = base + (index + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<float>(z >> 40) / 8388608.0f - 1.0f;
}

struct Law {
  float scale = 1, offset = 0;
};

Law LawOf(const std::string& name, const std::vector<int64_t>& shape) {
  const auto ends = [&](std::string_view tail) { return name.ends_with(tail); };
  if (ends(".gamma")) return {0.25f, 1};
  if (ends(".beta") && shape.size() == 1 &&
      name.find("norm") != std::string::npos) {
    return {0.25f, 0};
  }
  if (ends(".alpha") || ends(".beta")) return {0.25f, 0};
  if (ends(".weight_g")) return {0.125f, 0.75f};
  if (ends(".weights") || ends("timestep_features.weight")) return {1, 0};
  if (ends("q_norm.weight") || ends("k_norm.weight") ||
      ends("layer_norm.weight")) {
    return {0.25f, 1};
  }
  if (ends(".bias")) return {0.1f, 0};
  if (ends("relative_attention_bias.weight") || ends("shared.weight")) {
    return {1, 0};
  }
  double fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) {
    fan_in *= static_cast<double>(shape[i]);
  }
  return {static_cast<float>(std::sqrt(3.0 / fan_in)), 0};
}

void AddOobleck(Shapes& s, const OobleckConfig& c, bool decoder) {
  const std::string prefix = decoder ? "pretransform.model.decoder.layers."
                                     : "pretransform.model.encoder.layers.";
  std::vector<int64_t> channels = {c.channels};
  for (const int32_t m : c.multipliers) channels.push_back(c.channels * m);
  const size_t blocks = c.strides.size();
  const auto conv = [&](const std::string& name, int64_t first, int64_t second,
                        int64_t k, int64_t bias) {
    s[name + ".weight_v"] = {first, second, k};
    s[name + ".weight_g"] = {first, 1, 1};
    if (bias > 0) s[name + ".bias"] = {bias};
  };
  const auto snake = [&](const std::string& name, int64_t n) {
    s[name + ".alpha"] = {n};
    s[name + ".beta"] = {n};
  };
  const auto residual = [&](const std::string& name, int64_t n) {
    snake(name + ".layers.0", n);
    conv(name + ".layers.1", n, n, 7, n);
    snake(name + ".layers.2", n);
    conv(name + ".layers.3", n, n, 1, n);
  };
  const std::string tail = std::to_string(blocks + 1);
  const std::string last = std::to_string(blocks + 2);
  if (decoder) {
    conv(prefix + "0", channels[blocks], c.latent_dim, 7, channels[blocks]);
  } else {
    conv(prefix + "0", c.channels, c.audio_channels, 7, c.channels);
  }
  for (size_t i = 0; i < blocks; ++i) {
    const std::string block = prefix + std::to_string(i + 1) + ".layers.";
    if (decoder) {
      const int64_t in = channels[blocks - i], out = channels[blocks - i - 1];
      snake(block + "0", in);
      conv(block + "1", in, out, 2 * c.strides[blocks - i - 1], out);
      for (int r = 2; r < 5; ++r) residual(block + std::to_string(r), out);
    } else {
      for (int r = 0; r < 3; ++r) {
        residual(block + std::to_string(r), channels[i]);
      }
      snake(block + "3", channels[i]);
      conv(block + "4", channels[i + 1], channels[i], 2 * c.strides[i],
           channels[i + 1]);
    }
  }
  if (decoder) {
    snake(prefix + tail, c.channels);
    conv(prefix + last, c.audio_channels, c.channels, 7, 0);
  } else {
    snake(prefix + tail, channels[blocks]);
    conv(prefix + last, c.latent_dim, channels[blocks], 3, c.latent_dim);
  }
}

nlohmann::ordered_json ConfigJson(const StableAudioConfig& c) {
  const auto oobleck = [](const OobleckConfig& o, const char* audio) {
    return nlohmann::ordered_json{{"type", "oobleck"},
                                  {"config",
                                   {{audio, o.audio_channels},
                                    {"channels", o.channels},
                                    {"c_mults", o.multipliers},
                                    {"strides", o.strides},
                                    {"latent_dim", o.latent_dim},
                                    {"use_snake", true}}}};
  };
  nlohmann::ordered_json j;
  j["model_type"] = "diffusion_cond";
  j["sample_size"] = c.sample_size;
  j["sample_rate"] = c.sample_rate;
  j["audio_channels"] = c.audio_channels;
  auto& m = j["model"];
  m["io_channels"] = c.latents;
  m["pretransform"] = {{"type", "autoencoder"},
                       {"config",
                        {{"encoder", oobleck(c.encoder, "in_channels")},
                         {"decoder", oobleck(c.decoder, "out_channels")},
                         {"bottleneck", {{"type", "vae"}}},
                         {"latent_dim", c.latents},
                         {"downsampling_ratio", c.hop},
                         {"io_channels", c.audio_channels}}}};
  nlohmann::ordered_json prompt = {
      {"id", "prompt"},
      {"type", "t5"},
      {"config", {{"t5_model_name", "t5"}, {"max_length", c.token_window}}}};
  nlohmann::ordered_json seconds = {
      {"id", "seconds_total"},
      {"type", "number"},
      {"config", {{"min_val", c.seconds_min}, {"max_val", c.seconds_max}}}};
  m["conditioning"]["cond_dim"] = c.cond_width;
  m["conditioning"]["configs"] = nlohmann::ordered_json::array();
  m["conditioning"]["configs"].push_back(prompt);
  m["conditioning"]["configs"].push_back(seconds);
  auto& d = m["diffusion"];
  d["type"] = "dit";
  d["diffusion_objective"] = c.objective;
  d["cross_attention_cond_ids"] = {"prompt", "seconds_total"};
  d["global_cond_ids"] = nlohmann::ordered_json::array({"seconds_total"});
  d["config"] = {{"io_channels", c.dit.channels},
                 {"embed_dim", c.dit.width},
                 {"depth", c.dit.depth},
                 {"num_heads", c.dit.heads},
                 {"cond_token_dim", c.dit.cond_width},
                 {"global_cond_dim", c.dit.global_width},
                 {"transformer_type", "continuous_transformer"},
                 {"attn_kwargs", {{"qk_norm", "ln"}}}};
  return j;
}

Status WriteSafetensors(const Shapes& shapes, const std::string& path) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  uint64_t at = 0;
  for (const auto& [name, shape] : shapes) {
    uint64_t n = 1;
    for (const int64_t dim : shape) n *= static_cast<uint64_t>(dim);
    header[name] = {
        {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {at, at + 4 * n}}};
    at += 4 * n;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::ofstream out(path, std::ios::binary);
  const uint64_t length = text.size();
  out.write(reinterpret_cast<const char*>(&length), 8);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  std::vector<float> piece(1 << 20);
  for (const auto& [name, shape] : shapes) {
    uint64_t n = 1;
    for (const int64_t dim : shape) n *= static_cast<uint64_t>(dim);
    for (uint64_t first = 0; first < n; first += piece.size()) {
      const size_t count = std::min<uint64_t>(piece.size(), n - first);
      NameKeyedWeights(name, shape, first, {piece.data(), count});
      out.write(reinterpret_cast<const char*>(piece.data()),
                static_cast<std::streamsize>(4 * count));
    }
  }
  out.close();
  if (!out) return SystemError("{}: cannot be written", path);
  return {};
}

}  // namespace

void NameKeyedWeights(const std::string& name,
                      const std::vector<int64_t>& shape, uint64_t first,
                      std::span<float> out) {
  // The rotary frequencies are what they are.
  if (name.ends_with("inv_freq")) {
    for (size_t i = 0; i < out.size(); ++i) {
      const double n = static_cast<double>(shape[0]);
      out[i] = static_cast<float>(
          std::pow(10000.0, -static_cast<double>(first + i) / n));
    }
    return;
  }
  const uint64_t base = Fnv1a(name);
  const Law law = LawOf(name, shape);
  for (size_t i = 0; i < out.size(); ++i) {
    const float product = law.scale * Uniform(base, first + i);
    out[i] = product + law.offset;
  }
}

std::vector<float> NameKeyedInput(const std::string& name, size_t count,
                                  float scale) {
  const uint64_t base = Fnv1a(name);
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = scale * Uniform(base, i);
  return out;
}

Shapes CheckpointShapes(const StableAudioConfig& c) {
  Shapes s;
  const int64_t e = c.dit.width, head = e / c.dit.heads;
  const int64_t channels = c.dit.channels;
  const std::string p = "model.model.";
  s[p + "timestep_features.weight"] = {128, 1};
  for (const char* i : {"0", "2"}) {
    const bool first = i[0] == '0';
    s[p + "to_timestep_embed." + i + ".weight"] = {e, first ? 256 : e};
    s[p + "to_timestep_embed." + i + ".bias"] = {e};
    s[p + "to_cond_embed." + i + ".weight"] = {e, first ? c.dit.cond_width : e};
    s[p + "to_global_embed." + i + ".weight"] = {
        e, first ? c.dit.global_width : e};
  }
  s[p + "preprocess_conv.weight"] = {channels, channels, 1};
  s[p + "postprocess_conv.weight"] = {channels, channels, 1};
  s[p + "transformer.project_in.weight"] = {e, channels};
  s[p + "transformer.project_out.weight"] = {channels, e};
  s[p + "transformer.rotary_pos_emb.inv_freq"] = {
      std::max<int64_t>(head / 2, 32) / 2};
  for (int32_t i = 0; i < c.dit.depth; ++i) {
    const std::string l = p + "transformer.layers." + std::to_string(i) + ".";
    for (const char* norm : {"pre_norm", "cross_attend_norm", "ff_norm"}) {
      s[l + norm + ".gamma"] = {e};
      s[l + norm + ".beta"] = {e};
    }
    for (const char* attention : {"self_attn", "cross_attn"}) {
      for (const char* norm : {".q_norm", ".k_norm"}) {
        s[l + attention + norm + ".weight"] = {head};
        s[l + attention + norm + ".bias"] = {head};
      }
      s[l + attention + ".to_out.weight"] = {e, e};
    }
    s[l + "self_attn.to_qkv.weight"] = {3 * e, e};
    s[l + "cross_attn.to_q.weight"] = {e, e};
    s[l + "cross_attn.to_kv.weight"] = {2 * e, e};
    s[l + "ff.ff.0.proj.weight"] = {8 * e, e};
    s[l + "ff.ff.0.proj.bias"] = {8 * e};
    s[l + "ff.ff.2.weight"] = {e, 4 * e};
    s[l + "ff.ff.2.bias"] = {e};
  }
  const std::string n =
      "conditioner.conditioners.seconds_total.embedder.embedding.";
  s[n + "0.weights"] = {128};
  s[n + "1.weight"] = {c.cond_width, 257};
  s[n + "1.bias"] = {c.cond_width};
  AddOobleck(s, c.encoder, false);
  AddOobleck(s, c.decoder, true);
  return s;
}

Shapes T5Shapes(const T5Config& c) {
  Shapes s;
  const int64_t inner = int64_t{c.heads} * c.d_kv;
  s["shared.weight"] = {c.vocabulary, c.width};
  for (int32_t i = 0; i < c.depth; ++i) {
    const std::string b = "encoder.block." + std::to_string(i) + ".layer.";
    for (const char* m : {"q", "k", "v"}) {
      s[b + "0.SelfAttention." + m + ".weight"] = {inner, c.width};
    }
    s[b + "0.SelfAttention.o.weight"] = {c.width, inner};
    if (i == 0) {
      s[b + "0.SelfAttention.relative_attention_bias.weight"] = {c.buckets,
                                                                 c.heads};
    }
    s[b + "0.layer_norm.weight"] = {c.width};
    s[b + "1.DenseReluDense.wi.weight"] = {c.d_ff, c.width};
    s[b + "1.DenseReluDense.wo.weight"] = {c.width, c.d_ff};
    s[b + "1.layer_norm.weight"] = {c.width};
  }
  s["encoder.final_layer_norm.weight"] = {c.width};
  return s;
}

TensorSource NameKeyedSource(const Shapes& shapes) {
  TensorSource source;
  for (const auto& [name, shape] : shapes) {
    SourceTensor tensor;
    tensor.shape = shape;
    tensor.read = [name = name, shape = shape](uint64_t first,
                                               std::span<float> out) -> Status {
      NameKeyedWeights(name, shape, first, out);
      return {};
    };
    source.emplace(name, std::move(tensor));
  }
  return source;
}

std::string ConfigText(const StableAudioConfig& config) {
  return ConfigJson(config).dump(2) + "\n";
}

StableAudioConfig NameKeyedConfig(ModelSize size) {
  StableAudioConfig c;
  c.objective = "rf_denoiser";
  const bool full = size == ModelSize::kFull;
  c.sample_size = full ? 524288 : 32768;
  c.latents = full ? 64 : 8;
  c.token_window = full ? 64 : 40;
  c.cond_width = full ? 768 : 48;
  c.decoder.channels = c.encoder.channels = full ? 128 : 4;
  c.decoder.latent_dim = c.latents;
  c.encoder.latent_dim = 2 * c.latents;
  for (OobleckConfig* o : {&c.decoder, &c.encoder}) {
    o->multipliers = {1, 2, 4, 8, 16};
    o->strides = {2, 4, 4, 8, 8};
  }
  c.dit.channels = c.latents;
  if (!full) {
    c.dit.width = 256;
    c.dit.depth = 2;
    c.dit.heads = 2;
  }
  c.dit.cond_width = c.dit.global_width = c.cond_width;
  return c;
}

T5Config NameKeyedT5Config(ModelSize size) {
  T5Config c;
  if (size == ModelSize::kTiny) {
    c.vocabulary = 100;
    c.width = 48;
    c.d_kv = 16;
    c.heads = 3;
    c.d_ff = 96;
    c.depth = 2;
  }
  return c;
}

Status WriteNameKeyedModel(ModelSize size, const std::string& dir,
                           const std::string& spiece_model) {
  namespace fs = std::filesystem;
  const StableAudioConfig config = NameKeyedConfig(size);
  const T5Config t5 = NameKeyedT5Config(size);
  std::error_code error;
  fs::create_directories(dir + "/t5", error);
  LATHE_TRY(
      WriteSafetensors(CheckpointShapes(config), dir + "/model.safetensors"));
  LATHE_TRY(WriteSafetensors(T5Shapes(t5), dir + "/t5/model.safetensors"));
  std::ofstream(dir + "/model_config.json") << ConfigText(config);
  const nlohmann::ordered_json t5_json = {
      {"vocab_size", t5.vocabulary},
      {"d_model", t5.width},
      {"d_kv", t5.d_kv},
      {"d_ff", t5.d_ff},
      {"num_layers", t5.depth},
      {"num_heads", t5.heads},
      {"relative_attention_num_buckets", t5.buckets},
      {"relative_attention_max_distance", t5.furthest},
      {"layer_norm_epsilon", 1e-6},
      {"feed_forward_proj", "relu"}};
  std::ofstream(dir + "/t5/config.json") << t5_json.dump(2);
  fs::copy_file(spiece_model, dir + "/t5/spiece.model",
                fs::copy_options::overwrite_existing, error);
  if (error) {
    return SystemError("{}: cannot be copied: {}", spiece_model,
                       error.message());
  }
  return {};
}

}  // namespace lathe::importer

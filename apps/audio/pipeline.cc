// The stages one after the other; each model lives only for its own stage.

#include "apps/audio/pipeline.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "apps/audio/content_hash.h"
#include "apps/audio/errors.h"
#include "apps/audio/model_stage.h"
#include "apps/audio/random.h"
#include "apps/audio/sampler.h"
#include "apps/audio/tiles.h"
#include "apps/audio/tokenizer.h"

namespace lathe::audio {
namespace {

// Below this the schedule would rise before it falls.
constexpr double kLeastStrength = 0.01;
constexpr int kMostSteps = 1000;
constexpr double kMostCfg = 100;

class Clock {
 public:
  // Milliseconds since the last call.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> lap = now - start_;
    start_ = now;
    return lap.count();
  }

 private:
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

// What the conditioner makes of one text.
struct Condition {
  std::vector<float> context, global;
};

}  // namespace

struct Pipeline::State {
  PipelineConfig config;
  PipelineOptions options;
  Threads threads{1};
  std::optional<Tokenizer> tokenizer;
  std::string model_hash;

  bool Stopped() const { return options.stop != nullptr && *options.stop; }
  size_t LatentSize() const {
    return size_t(config.latent_channels) * config.frames;
  }
  int64_t WantedSamples(double seconds) const {
    return std::max<int64_t>(
        1, static_cast<int64_t>(std::floor(seconds * config.sample_rate)));
  }

  Settings Resolve(const Request& r) const {
    Settings s;
    s.prompt = r.prompt;
    s.negative = r.negative;
    s.seconds = r.seconds.value_or(config.seconds());
    s.seed = r.seed;
    s.steps = r.steps.value_or(config.sampler.steps);
    s.sampler = r.sampler.value_or(config.sampler.name);
    s.cfg = r.cfg.value_or(config.sampler.cfg);
    s.normalize = r.normalize;
    if (!r.init.empty()) {
      s.init_hash = HashBytes(std::as_bytes(std::span(r.init)));
      s.strength = r.strength;
    }
    return s;
  }

  Status CheckSettings(const Settings& s) const {
    if (!(s.seconds > 0) || !(s.seconds * config.sample_rate <
                              static_cast<double>(config.samples()) + 1)) {
      return Fail(ErrorCode::kInvalidInput,
                  "seconds {}: allowed are more than 0, at most {:.6g}",
                  s.seconds, config.seconds());
    }
    if (s.steps < 1 || s.steps > kMostSteps) {
      return Fail(ErrorCode::kUsage, "steps {}: allowed 1 to {}", s.steps,
                  kMostSteps);
    }
    if (!(std::abs(s.cfg) <= kMostCfg)) {
      return Fail(ErrorCode::kInvalidInput, "cfg {}: allowed -{} to {}", s.cfg,
                  kMostCfg, kMostCfg);
    }
    if (!s.init_hash.empty() &&
        !(s.strength >= kLeastStrength && s.strength <= 1)) {
      return Fail(ErrorCode::kInvalidInput, "strength {}: allowed {} to 1",
                  s.strength, kLeastStrength);
    }
    return CheckSampler(s.sampler);
  }

  StageOptions ForStage(std::function<void(double)> progress) {
    StageOptions o;
    o.threads = &threads;
    o.isa = options.isa;
    o.stop = options.stop;
    o.memory_limit_bytes = options.memory_limit_bytes;
    o.progress = std::move(progress);
    return o;
  }

  Result<std::string> Hash();
};

namespace {

// One run of Generate: what its stages share.
class Generation {
 public:
  Generation(Pipeline::State& state, const Request& request,
             const ProgressFn& progress)
      : state_(state),
        config_(state.config),
        request_(request),
        progress_(progress),
        normal_(request.seed) {}

  Result<Sound> Run() {
    sound_.settings = state_.Resolve(request_);
    const Settings& s = sound_.settings;
    sound_.sample_rate = config_.sample_rate;
    sound_.channels = config_.channels;
    AUDIO_TRY(state_.CheckSettings(s));
    AUDIO_TRY(Tokenize());
    AUDIO_ASSIGN(sound_.model_hash, state_.Hash());
    sound_.times.load_ms += clock_.Lap();
    AUDIO_TRY(MakeConditions());
    // The order of draws is PyTorch's: noise, init's sample, step noise.
    latent_.resize(state_.LatentSize());
    normal_.Fill(latent_);
    double sigma = 1;
    if (!request_.init.empty()) {
      sigma = s.strength;
      AUDIO_TRY(MixInit(sigma));
    }
    AUDIO_TRY(Diffuse(sigma));
    AUDIO_TRY(Decode());
    if (s.normalize) Normalize();
    return std::move(sound_);
  }

 private:
  void Report(Stage stage, double fraction, int step = 0, int steps = 0) {
    if (progress_) progress_({stage, fraction, step, steps});
  }

  // Progress within a stage of `parts` runs of a model, `part` of them done.
  std::function<void(double)> Within(Stage stage) {
    if (!progress_) return {};
    return [this, stage](double fraction) {
      const double done = (part_ + fraction) / parts_;
      // The 1 comes when the whole stage is done.
      Report(stage, std::min(done, 0.999), step_, steps_);
    };
  }
  void Start(int parts, int steps) {
    part_ = step_ = 0;
    parts_ = parts;
    steps_ = steps;
  }

  void Note(const ModelStage& stage) {
    const SessionStats stats = stage.stats();
    sound_.arena_bytes = std::max(sound_.arena_bytes, stats.arena_bytes);
    sound_.packed_bytes = std::max(sound_.packed_bytes, stats.packed_bytes);
  }

  void Warn(std::string text) { sound_.warnings.push_back(std::move(text)); }

  Result<TokenWindow> Encode(const std::string& text, std::string_view what) {
    auto tokens = state_.tokenizer->Encode(text);
    if (!tokens) {
      return Fail(tokens.error().code, "{}: {}", what, tokens.error().message);
    }
    if (tokens->cut > 0) {
      Warn(fmt::format("{} cut: {} of {} tokens fit into the model's window",
                       what, tokens->tokens, tokens->tokens + tokens->cut));
    }
    return tokens;
  }

  Status Tokenize() {
    clock_.Lap();
    const Settings& s = sound_.settings;
    AUDIO_ASSIGN(tokens_, Encode(s.prompt, "prompt"));
    sound_.prompt_tokens = tokens_.tokens;
    if (!s.negative.empty()) {
      if (s.cfg == 1) {
        Warn("the negative prompt is not used: cfg is 1");
      } else {
        AUDIO_ASSIGN(negative_tokens_, Encode(s.negative, "negative prompt"));
      }
    }
    sound_.times.tokenize_ms = clock_.Lap();
    Report(Stage::kTokenize, 1);
    return {};
  }

  Status MakeConditions() {
    Report(Stage::kLoad, 0);
    AUDIO_ASSIGN(ModelStage model,
                 ModelStage::Open(config_.files.conditioner, "condition",
                                  state_.ForStage(Within(Stage::kCondition))));
    sound_.times.load_ms += clock_.Lap();
    const bool two = !negative_tokens_.ids.empty();
    Start(two ? 2 : 1, 0);
    AUDIO_ASSIGN(condition_, Describe(model, tokens_));
    if (two) {
      part_ = 1;
      AUDIO_ASSIGN(Condition negative, Describe(model, negative_tokens_));
      without_ = std::move(negative.context);
    } else {
      without_.assign(condition_.context.size(), 0.0f);
    }
    Note(model);
    sound_.times.condition_ms = clock_.Lap();
    Report(Stage::kCondition, 1);
    return {};
  }

  Result<Condition> Describe(ModelStage& model, const TokenWindow& tokens) {
    const size_t window = config_.token_window, width = config_.cond_width;
    AUDIO_ASSIGN(const auto ids, model.Input<int32_t>("input_ids", window));
    AUDIO_ASSIGN(const auto mask,
                 model.Input<int32_t>("attention_mask", window));
    AUDIO_ASSIGN(const auto seconds, model.Input<float>("seconds_total", 1));
    std::ranges::copy(tokens.ids, ids.begin());
    std::ranges::copy(tokens.mask, mask.begin());
    seconds[0] = static_cast<float>(
        std::clamp(sound_.settings.seconds, config_.seconds_min,
                   std::max(config_.seconds_min, config_.seconds_max)));
    AUDIO_TRY(model.Run());
    AUDIO_ASSIGN(const auto context,
                 model.Output("context", (window + 1) * width));
    AUDIO_ASSIGN(const auto global, model.Output("global", width));
    return Condition{{context.begin(), context.end()},
                     {global.begin(), global.end()}};
  }

  DecodeShape Shape() const {
    return {config_.latent_channels, config_.frames, config_.channels,
            config_.hop};
  }

  // latent_ holds noise; afterwards (1 - sigma) init + sigma noise.
  Status MixInit(double sigma) {
    AUDIO_ASSIGN(ModelStage model,
                 ModelStage::Open(config_.files.encoder, "encode",
                                  state_.ForStage(Within(Stage::kEncode))));
    sound_.times.load_ms += clock_.Lap();
    const auto length = static_cast<size_t>(config_.samples());
    const auto channels = static_cast<size_t>(config_.channels);
    std::vector<float> audio(channels * length);
    const size_t given = std::min(length, request_.init.size() / channels);
    for (size_t i = 0; i < given; ++i) {
      for (size_t c = 0; c < channels; ++c) {
        audio[c * length + i] = request_.init[i * channels + c];
      }
    }
    const std::vector<Tile> tiles =
        PlanTiles(config_.frames, config_.frames, config_.encoder_halo,
                  state_.options.tile_frames);
    Start(static_cast<int>(tiles.size()), static_cast<int>(tiles.size()));
    const auto encode = [&](std::span<const float> piece,
                            int n) -> Result<Moments> {
      const int32_t shape[] = {1, config_.channels, n * config_.hop};
      AUDIO_TRY(model.Resize("audio", shape));
      AUDIO_ASSIGN(const auto input, model.Input<float>("audio", piece.size()));
      std::ranges::copy(piece, input.begin());
      AUDIO_TRY(model.Run());
      const size_t size = size_t(config_.latent_channels) * n;
      AUDIO_ASSIGN(const auto mean, model.Output("mean", size));
      AUDIO_ASSIGN(const auto stdev, model.Output("stdev", size));
      Note(model);
      return Moments{mean, stdev};
    };
    AUDIO_ASSIGN(const Latent init,
                 EncodeTiles(audio, Shape(), tiles, encode,
                             [&](int done) { part_ = step_ = done; }));
    std::vector<float> draw(latent_.size());
    normal_.Fill(draw);
    const auto noise_part = static_cast<float>(sigma);
    for (size_t i = 0; i < latent_.size(); ++i) {
      const float start = init.mean[i] + init.stdev[i] * draw[i];
      latent_[i] = start * (1 - noise_part) + latent_[i] * noise_part;
    }
    sound_.times.encode_ms = clock_.Lap();
    Report(Stage::kEncode, 1, steps_, steps_);
    return {};
  }

  Status Diffuse(double sigma) {
    AUDIO_ASSIGN(ModelStage model,
                 ModelStage::Open(config_.files.dit, "velocity",
                                  state_.ForStage(Within(Stage::kDiffuse))));
    sound_.times.load_ms += clock_.Lap();
    const Settings& s = sound_.settings;
    const bool guided = s.cfg != 1;
    Start(s.steps * (guided ? 2 : 1), s.steps);

    const auto run = [&](std::span<const float> x, float t,
                         const std::vector<float>& context,
                         std::span<float> v) -> Status {
      AUDIO_ASSIGN(const auto in_x, model.Input<float>("x", x.size()));
      AUDIO_ASSIGN(const auto in_t, model.Input<float>("t", 1));
      AUDIO_ASSIGN(const auto in_context,
                   model.Input<float>("context", context.size()));
      AUDIO_ASSIGN(const auto in_global,
                   model.Input<float>("global", condition_.global.size()));
      std::ranges::copy(x, in_x.begin());
      in_t[0] = t;
      std::ranges::copy(context, in_context.begin());
      std::ranges::copy(condition_.global, in_global.begin());
      AUDIO_TRY(model.Run());
      AUDIO_ASSIGN(const auto out, model.Output("velocity", x.size()));
      std::ranges::copy(out, v.begin());
      ++part_;
      return {};
    };
    std::vector<float> without_v(guided ? latent_.size() : 0);
    SamplerCalls calls;
    calls.velocity = [&](std::span<const float> x, float t,
                         std::span<float> v) -> Status {
      if (state_.Stopped()) {
        return Fail(ErrorCode::kInterrupted, "interrupted");
      }
      AUDIO_TRY(run(x, t, condition_.context, v));
      if (!guided) return {};
      AUDIO_TRY(run(x, t, without_, without_v));
      const auto cfg = static_cast<float>(s.cfg);
      for (size_t i = 0; i < v.size(); ++i) {
        v[i] = without_v[i] + (v[i] - without_v[i]) * cfg;
      }
      return {};
    };
    calls.noise = [&](std::span<float> values) { normal_.Fill(values); };
    calls.step_done = [&](int done, int steps) {
      step_ = done;
      if (done < steps) {
        Report(Stage::kDiffuse, static_cast<double>(done) / steps, done, steps);
      }
    };
    AUDIO_TRY(Sample(s.sampler, Schedule(s.steps, sigma), latent_, calls));
    Note(model);
    sound_.times.diffuse_ms = clock_.Lap();
    Report(Stage::kDiffuse, 1, s.steps, s.steps);
    return {};
  }

  Status Decode() {
    AUDIO_ASSIGN(ModelStage model,
                 ModelStage::Open(config_.files.decoder, "decode",
                                  state_.ForStage(Within(Stage::kDecode))));
    sound_.times.load_ms += clock_.Lap();
    const int64_t samples = state_.WantedSamples(sound_.settings.seconds);
    const int wanted =
        static_cast<int>((samples + config_.hop - 1) / config_.hop);
    const std::vector<Tile> tiles =
        PlanTiles(config_.frames, wanted, config_.decoder_halo,
                  state_.options.tile_frames);
    Start(static_cast<int>(tiles.size()), static_cast<int>(tiles.size()));
    const auto decode = [&](std::span<const float> piece,
                            int n) -> Result<std::span<const float>> {
      const int32_t shape[] = {1, config_.latent_channels, n};
      AUDIO_TRY(model.Resize("latent", shape));
      AUDIO_ASSIGN(const auto input,
                   model.Input<float>("latent", piece.size()));
      std::ranges::copy(piece, input.begin());
      AUDIO_TRY(model.Run());
      Note(model);
      return model.Output("audio", size_t(config_.channels) * n * config_.hop);
    };
    AUDIO_ASSIGN(sound_.samples,
                 DecodeTiles(latent_, Shape(), tiles, samples, decode,
                             [&](int done) { part_ = step_ = done; }));
    sound_.times.decode_ms = clock_.Lap();
    Report(Stage::kDecode, 1, steps_, steps_);
    return {};
  }

  void Normalize() {
    float peak = 0;
    for (const float x : sound_.samples) {
      if (std::isfinite(x)) peak = std::max(peak, std::abs(x));
    }
    // Silence stays silence.
    if (peak < 1e-6f) return;
    for (float& x : sound_.samples) x /= peak;
  }

  Pipeline::State& state_;
  const PipelineConfig& config_;
  const Request& request_;
  const ProgressFn& progress_;
  TorchNormal normal_;
  Clock clock_;
  Sound sound_;
  TokenWindow tokens_, negative_tokens_;
  Condition condition_;
  std::vector<float> without_;  // Context of the other half of CFG.
  std::vector<float> latent_;
  int part_ = 0, parts_ = 1, step_ = 0, steps_ = 0;
};

Status CheckFile(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return Fail(ErrorCode::kInvalidInput, "{}: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kInvalidInput, "{}: not a regular file", path);
  }
  return {};
}

}  // namespace

Result<std::string> Pipeline::State::Hash() {
  if (!model_hash.empty()) return model_hash;
  std::string all;
  for (const std::string* path :
       {&config.files.conditioner, &config.files.dit, &config.files.decoder,
        &config.files.tokenizer}) {
    AUDIO_ASSIGN(const std::string one, HashFile(*path, options.stop));
    all += one;
  }
  model_hash = HashBytes(std::as_bytes(std::span(all)));
  return model_hash;
}

std::string_view Name(Stage stage) {
  switch (stage) {
    case Stage::kLoad:
      return "load";
    case Stage::kTokenize:
      return "tokenize";
    case Stage::kCondition:
      return "condition";
    case Stage::kEncode:
      return "encode";
    case Stage::kDiffuse:
      return "diffuse";
    case Stage::kDecode:
      return "decode";
  }
  return "";
}

Pipeline::Pipeline(std::unique_ptr<State> state) : state_(std::move(state)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Result<Pipeline> Pipeline::Open(const std::string& folder,
                                const PipelineOptions& options) {
  return Guarded([&]() -> Result<Pipeline> {
    if (options.threads < 0 || options.tile_frames < 0) {
      return Fail(ErrorCode::kUsage,
                  "threads {} and tile_frames {}: must not be negative",
                  options.threads, options.tile_frames);
    }
    auto state = std::make_unique<State>();
    state->options = options;
    AUDIO_ASSIGN(state->config, ReadPipelineConfig(folder));
    const auto& files = state->config.files;
    std::string problems;
    for (const std::string* path :
         {&files.conditioner, &files.dit, &files.decoder, &files.tokenizer}) {
      if (const Status s = CheckFile(*path); !s) {
        problems += (problems.empty() ? "" : "\n") + s.error().message;
      }
    }
    if (!problems.empty()) {
      return Fail(ErrorCode::kInvalidInput, "{}", problems);
    }
    AUDIO_ASSIGN(state->tokenizer,
                 Tokenizer::Open(files.tokenizer, state->config.token_window));
    state->threads = Threads(options.threads);
    return Pipeline(std::move(state));
  });
}

const PipelineConfig& Pipeline::config() const { return state_->config; }
int Pipeline::threads() const { return state_->threads.count(); }

Status Pipeline::Check(const Request& request) const {
  return Guarded([&]() -> Status {
    AUDIO_TRY(state_->CheckSettings(state_->Resolve(request)));
    if (const auto t = state_->tokenizer->Encode(request.prompt); !t) {
      return Fail(t.error().code, "prompt: {}", t.error().message);
    }
    if (request.negative.empty()) return {};
    if (const auto t = state_->tokenizer->Encode(request.negative); !t) {
      return Fail(t.error().code, "negative prompt: {}", t.error().message);
    }
    return {};
  });
}

Result<Sound> Pipeline::Generate(const Request& request,
                                 const ProgressFn& progress) {
  return Guarded([&] { return Generation(*state_, request, progress).Run(); });
}

Result<std::string> Pipeline::ModelHash() {
  return Guarded([&] { return state_->Hash(); });
}

}  // namespace lathe::audio

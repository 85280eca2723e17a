// lathe generate: a prompt to a sound file.

#include <chrono>
#include <cmath>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "apps/audio/audio_file.h"
#include "apps/audio/metadata.h"
#include "apps/audio/output_target.h"
#include "apps/audio/pipeline.h"
#include "apps/audio/spectrogram.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "lathe/machine.hpp"

namespace lathe::cli {
namespace {

struct Options {
  Common common;
  std::string prompt, output, model, negative, init, from, batch, spectrogram;
  std::string seconds, seed, steps, sampler, cfg, strength;
  int bits = 0, count = 1;
  bool normalize = false;
};

// One sound to make.
struct Job {
  audio::Request request;
  audio::OutputTarget target;
  int bits = 16;
};

std::unexpected<Error> Wrong(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

Result<double> Number(const std::string& option, const std::string& text) {
  const auto value = ParseNumber(text);
  if (!value) {
    return Wrong(ErrorCode::kUsage,
                 fmt::format("{} {}: not a number", option, text));
  }
  return *value;
}

Result<uint64_t> Whole(const std::string& option, const std::string& text,
                       uint64_t least, uint64_t most) {
  const auto value = ParseUnsigned(text);
  if (!value || *value < least || *value > most) {
    return Wrong(ErrorCode::kUsage,
                 fmt::format("{} {}: allowed whole numbers {} to {}", option,
                             text, least, most));
  }
  return *value;
}

constexpr uint64_t kMostSeed = 0xFFFFFFFF;  // What PyTorch's generator sees.

uint64_t RandomSeed() { return std::random_device{}() & kMostSeed; }

// What the command line says over what a file's metadata says.
Status ReadOptions(const Options& o, audio::Request& request, int& bits,
                   bool& has_seed) {
  if (!o.prompt.empty()) request.prompt = o.prompt;
  if (!o.negative.empty()) request.negative = o.negative;
  if (!o.seconds.empty()) {
    const auto v = Number("--seconds", o.seconds);
    if (!v) return std::unexpected(v.error());
    request.seconds = *v;
  }
  if (!o.seed.empty()) {
    const auto v = Whole("--seed", o.seed, 0, kMostSeed);
    if (!v) return std::unexpected(v.error());
    request.seed = *v;
    has_seed = true;
  }
  if (!o.steps.empty()) {
    const auto v = Whole("--steps", o.steps, 1, 1000);
    if (!v) return std::unexpected(v.error());
    request.steps = static_cast<int>(*v);
  }
  if (!o.sampler.empty()) request.sampler = o.sampler;
  if (!o.cfg.empty()) {
    const auto v = Number("--cfg", o.cfg);
    if (!v) return std::unexpected(v.error());
    request.cfg = *v;
  }
  if (!o.strength.empty()) {
    const auto v = Number("--strength", o.strength);
    if (!v) return std::unexpected(v.error());
    request.strength = *v;
  }
  if (o.bits != 0) bits = o.bits;
  if (o.normalize) request.normalize = true;
  return {};
}

void TakeSettings(const audio::Metadata& metadata, audio::Request& request) {
  const audio::Settings& s = metadata.settings;
  request.prompt = s.prompt;
  request.negative = s.negative;
  request.seconds = s.seconds;
  request.seed = s.seed;
  request.steps = s.steps;
  request.sampler = s.sampler;
  request.cfg = s.cfg;
  request.normalize = s.normalize;
  request.strength = s.strength;
}

// "kick-1.wav" for the first of several made from "kick.wav".
std::string Numbered(const std::string& path, int index) {
  const size_t dot = path.rfind('.');
  const size_t slash = path.rfind('/');
  const std::string number = fmt::format("-{}", index);
  if (dot == path.npos || (slash != path.npos && dot < slash)) {
    return path + number;
  }
  return path.substr(0, dot) + number + path.substr(dot);
}

Result<std::vector<Job>> OneJobPerCount(const Options& o,
                                        const audio::Request& base, int bits,
                                        bool has_seed) {
  std::vector<Job> jobs;
  const uint64_t seed = has_seed ? base.seed : RandomSeed();
  for (int i = 0; i < o.count; ++i) {
    Job job;
    job.request = base;
    job.request.seed = (seed + static_cast<uint64_t>(i)) & kMostSeed;
    job.bits = bits;
    std::string path = o.output;
    auto existing = audio::Existing::kReplace;
    if (path.empty()) {
      path = audio::UnusedName(base.prompt, job.request.seed, ".wav");
      existing = audio::Existing::kRefuse;
    } else if (o.count > 1 && path != "-") {
      path = Numbered(path, i + 1);
    }
    auto target = audio::CheckTarget(path, existing);
    if (!target) return std::unexpected(target.error());
    job.target = std::move(*target);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// One JSON object a line: prompt, and optionally output, negative, seconds,
// seed, steps, sampler, cfg. What is missing comes from the command line.
Result<std::vector<Job>> JobsOfBatch(const Options& o,
                                     const audio::Request& base, int bits,
                                     bool base_has_seed) {
  std::ifstream in(o.batch);
  if (!in) {
    return Wrong(ErrorCode::kInvalidInput,
                 fmt::format("{}: cannot be read", o.batch));
  }
  std::vector<Job> jobs;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const auto fail = [&](const std::string& what) {
      return Wrong(ErrorCode::kInvalidInput,
                   fmt::format("{} line {}: {}", o.batch, number, what));
    };
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) return fail("not a JSON object");
    Job job;
    job.request = base;
    job.bits = bits;
    bool has_seed = base_has_seed;
    std::string path;
    for (const auto& [key, value] : json.items()) {
      if (key == "prompt" && value.is_string()) {
        job.request.prompt = value.get<std::string>();
      } else if (key == "negative" && value.is_string()) {
        job.request.negative = value.get<std::string>();
      } else if (key == "output" && value.is_string()) {
        path = value.get<std::string>();
      } else if (key == "sampler" && value.is_string()) {
        job.request.sampler = value.get<std::string>();
      } else if (key == "seconds" && value.is_number()) {
        job.request.seconds = value.get<double>();
      } else if (key == "cfg" && value.is_number()) {
        job.request.cfg = value.get<double>();
      } else if (key == "steps" && value.is_number_unsigned() &&
                 value.get<uint64_t>() <= 1000) {
        job.request.steps = value.get<int>();
      } else if (key == "seed" && value.is_number_unsigned() &&
                 value.get<uint64_t>() <= kMostSeed) {
        job.request.seed = value.get<uint64_t>();
        has_seed = true;
      } else {
        return fail(fmt::format(
            "\"{}\": {}: allowed prompt, negative, output, sampler (text), "
            "seconds, cfg (numbers), steps (1 to 1000), seed (0 to {})",
            key, value.dump(), kMostSeed));
      }
    }
    if (!has_seed) job.request.seed = RandomSeed();
    auto existing = audio::Existing::kReplace;
    if (path.empty()) {
      path = audio::UnusedName(job.request.prompt, job.request.seed, ".wav");
      existing = audio::Existing::kRefuse;
    }
    auto target = audio::CheckTarget(path, existing);
    if (!target) return fail(target.error().message);
    job.target = std::move(*target);
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) {
    return Wrong(ErrorCode::kInvalidInput,
                 fmt::format("{}: no line with a prompt", o.batch));
  }
  return jobs;
}

std::string NameOfFolder(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

struct Made {
  Json json;
  std::string text;
};

Result<Made> MakeOne(audio::Pipeline& pipeline, const Job& job,
                     const Options& o, const std::string& model_dir,
                     ProgressLine& progress) {
  const auto start = std::chrono::steady_clock::now();
  auto sound = pipeline.Generate(job.request, [&](const audio::Progress& p) {
    if (p.fraction >= 1) MeasureMemory();
    progress.Show(Name(p.stage),
                  p.steps > 0 ? fmt::format("{}/{}", p.step, p.steps)
                              : fmt::format("{:3.0f} %", 100 * p.fraction));
  });
  if (!sound) return std::unexpected(sound.error());
  const auto write_start = std::chrono::steady_clock::now();
  const MachineInfo machine = DescribeMachine();
  const std::string isa =
      o.common.isa.empty() ? machine.best_isa : o.common.isa;
  audio::Metadata metadata;
  metadata.settings = sound->settings;
  metadata.model = NameOfFolder(model_dir);
  metadata.model_hash = sound->model_hash;
  metadata.isa = isa;
  metadata.version = machine.version;
  metadata.bits = job.bits;
  const audio::SoundView view{sound->samples, sound->sample_rate,
                              sound->channels};
  progress.Show("write", job.target.path);
  auto written = audio::WriteSound(job.target, view, metadata);
  if (!written) return std::unexpected(written.error());
  if (!o.spectrogram.empty()) {
    if (Status s = audio::WriteSpectrogram(o.spectrogram, view); !s) {
      return std::unexpected(s.error());
    }
  }
  progress.Clear();
  for (const auto* list : {&sound->warnings, &written->warnings}) {
    for (const std::string& text : *list) Warn(text);
  }
  const auto now = std::chrono::steady_clock::now();
  const auto ms = [](auto d) {
    return std::chrono::duration<double, std::milli>(d).count();
  };
  const MemoryUse memory = MeasureMemory();
  const audio::Settings& s = sound->settings;
  const audio::StageTimes& t = sound->times;
  Json warnings = Json::array();
  for (const auto* list : {&sound->warnings, &written->warnings}) {
    for (const std::string& text : *list) warnings.push_back(text);
  }
  Made made;
  made.json = {{"prompt", s.prompt},
               {"negative", s.negative},
               {"seed", s.seed},
               {"seconds", s.seconds},
               {"steps", s.steps},
               {"sampler", s.sampler},
               {"cfg", s.cfg},
               {"model", model_dir},
               {"model_hash", sound->model_hash},
               {"precision", "f32"},
               {"isa", isa},
               {"threads", pipeline.threads()},
               {"times_ms",
                {{"load", t.load_ms},
                 {"tokenize", t.tokenize_ms},
                 {"condition", t.condition_ms},
                 {"encode", t.encode_ms},
                 {"diffuse", t.diffuse_ms},
                 {"decode", t.decode_ms},
                 {"write", ms(now - write_start)},
                 {"total", ms(now - start)}}},
               {"peak_rss_bytes", memory.peak_rss_bytes},
               {"peak_private_bytes", memory.peak_private_bytes},
               {"arena_bytes", sound->arena_bytes},
               {"weights_bytes", sound->packed_bytes},
               {"output",
                {{"path", written->path},
                 {"frames", written->frames},
                 {"rate", written->sample_rate},
                 {"channels", written->channels},
                 {"bits", job.bits},
                 {"bytes", written->bytes},
                 {"peak_dbfs", written->loudness.peak_dbfs},
                 {"xxh3", written->xxh3}}},
               {"warnings", warnings}};
  made.text = fmt::format(
      "{}: {:.3f} s, {} Hz, {} channels, peak {:.1f} dBFS\n"
      "prompt \"{}\", seed {}, {} steps of {}, cfg {}\n"
      "load {:.0f} ms, condition {:.0f}, diffuse {:.0f}, decode {:.0f}, total "
      "{:.0f} ms with {} threads ({})\n"
      "memory {} ({} private)\n",
      written->path,
      static_cast<double>(written->frames) / written->sample_rate,
      written->sample_rate, written->channels, written->loudness.peak_dbfs,
      s.prompt.size() > 200 ? s.prompt.substr(0, 200) + " ..." : s.prompt,
      s.seed, s.steps, s.sampler, s.cfg, t.load_ms, t.condition_ms,
      t.diffuse_ms, t.decode_ms, ms(now - start), pipeline.threads(), isa,
      Bytes(memory.peak_rss_bytes), Bytes(memory.peak_private_bytes));
  return made;
}

int Work(Options& o) {
  // The target is looked at before the model, the model before any work.
  audio::Request base;
  int bits = 16;
  bool has_seed = false;
  std::string model_dir = o.model.empty() ? DefaultModel() : o.model;
  std::string expected_hash;
  if (!o.from.empty()) {
    const auto metadata = audio::ReadMetadata(o.from);
    if (!metadata) return Report(metadata.error());
    TakeSettings(*metadata, base);
    bits = metadata->bits;
    has_seed = true;
    expected_hash = metadata->model_hash;
    if (metadata->cut && o.prompt.empty()) {
      return Report({ErrorCode::kInvalidInput,
                     fmt::format("{}: its prompt was stored cut; give the "
                                 "whole prompt again",
                                 o.from)});
    }
    if (!metadata->settings.init_hash.empty() && o.init.empty()) {
      return Report({ErrorCode::kInvalidInput,
                     fmt::format("{}: was made from a sound; name it again "
                                 "with --init",
                                 o.from)});
    }
  }
  if (Status s = ReadOptions(o, base, bits, has_seed); !s) {
    return Report(s.error());
  }
  if (base.prompt.empty() && o.batch.empty() && o.from.empty() &&
      o.prompt.empty()) {
    return Report({ErrorCode::kInvalidInput,
                   "the prompt is empty; say what you want to hear"});
  }
  if (o.count > 1 && o.output == "-") {
    return ReportUsage("--count: standard output takes one sound");
  }
  if (!o.batch.empty() && (!o.output.empty() || o.count > 1)) {
    return ReportUsage("--batch: outputs and counts stand in its lines");
  }
  if (!o.spectrogram.empty()) {
    const auto target =
        audio::CheckTarget(o.spectrogram, ".png", audio::Existing::kReplace);
    if (!target) return Report(target.error());
  }
  auto jobs = o.batch.empty() ? OneJobPerCount(o, base, bits, has_seed)
                              : JobsOfBatch(o, base, bits, has_seed);
  if (!jobs) return Report(jobs.error());
  for (const Job& job : *jobs) {
    if (job.bits == 32 && job.target.container == audio::Container::kFlac) {
      return ReportUsage("--bits 32: FLAC holds 16 or 24 bits");
    }
  }

  audio::PipelineOptions options;
  options.threads = o.common.threads;
  options.isa = o.common.isa;
  options.stop = StopFlag();
  options.memory_limit_bytes = o.common.memory_limit_bytes;
  auto pipeline = audio::Pipeline::Open(model_dir, options);
  if (!pipeline) return Report(pipeline.error());
  if (!o.init.empty()) {
    const audio::PipelineConfig& c = pipeline->config();
    auto init =
        audio::ReadAudio(o.init, c.sample_rate, c.channels, c.samples());
    if (!init) return Report(init.error());
    for (Job& job : *jobs) job.request.init = init->samples;
  }
  for (const Job& job : *jobs) {
    if (Status s = pipeline->Check(job.request); !s) return Report(s.error());
  }
  if (!expected_hash.empty()) {
    const auto hash = pipeline->ModelHash();
    if (!hash) return Report(hash.error());
    if (*hash != expected_hash) {
      Warn(
          fmt::format("{} was made with another model ({}, this is {}); the "
                      "sound will differ",
                      o.from, expected_hash, *hash));
    }
  }
  ProgressLine progress(o.common.quiet);
  Json all = Json::array();
  for (const Job& job : *jobs) {
    const auto made = MakeOne(*pipeline, job, o, model_dir, progress);
    progress.Clear();
    if (!made) return Report(made.error());
    const bool sound_on_stdout =
        job.target.kind == audio::OutputTarget::Kind::kStdout;
    if (o.common.json) {
      all.push_back(made->json);
    } else {
      fmt::print(sound_on_stdout ? stderr : stdout, "{}", made->text);
    }
  }
  if (o.common.json) {
    const bool sound_on_stdout = std::ranges::any_of(*jobs, [](const Job& job) {
      return job.target.kind == audio::OutputTarget::Kind::kStdout;
    });
    FILE* to = sound_on_stdout ? stderr : stdout;
    PrintJson("generate", all.size() == 1 ? all[0] : Json{{"sounds", all}}, to);
  }
  return 0;
}

}  // namespace

int CmdGenerate(std::vector<std::string> args) {
  CLI::App app("Makes a sound from a text prompt.", "lathe generate");
  Options o;
  app.add_option("PROMPT", o.prompt, "What to hear");
  app.add_option("-o,--output", o.output,
                 "File to write, .wav or .flac; - writes WAV to standard "
                 "output (default: a name made of prompt and seed)");
  app.add_option("--model", o.model,
                 "Folder that `lathe convert` wrote (default: nano)");
  app.add_option("--seconds", o.seconds,
                 "Length, above 0 up to the model's (default: the model's)");
  app.add_option("--seed", o.seed,
                 "0 to 4294967295 (default: drawn and printed)");
  app.add_option("--steps", o.steps,
                 "Sampler steps, 1 to 1000 (default: the model's)");
  app.add_option("--sampler", o.sampler,
                 "pingpong, euler or dpmpp-2m (default: the model's)");
  app.add_option("--cfg", o.cfg, "Guidance; 1 is off (default: the model's)");
  app.add_option("--negative", o.negative,
                 "What not to hear; needs --cfg other than 1");
  app.add_option("--init", o.init, "Sound to start from");
  app.add_option("--strength", o.strength,
                 "Noise put on --init, 0.01 to 1 (default 0.7)");
  app.add_option("--count", o.count,
                 "Sounds with seeds one behind the other, 1 to 1000 "
                 "(default 1)")
      ->check(CLI::Range(1, 1000));
  app.add_option("--batch", o.batch,
                 "One JSON object a line: prompt, output, seed, seconds ...");
  app.add_option("--from", o.from,
                 "Take what is not given from a sound made earlier");
  app.add_option("--bits", o.bits, "16, 24 or 32 (float) (default 16)")
      ->check(CLI::IsMember({16, 24, 32}));
  app.add_flag("--normalize", o.normalize, "Scale the peak to 0 dBFS");
  app.add_option("--spectrogram", o.spectrogram,
                 "Also write a picture of the sound, .png");
  SetUp(app,
        "lathe generate \"warm arpeggio\" -o out.wav --seconds 2.5 --seed 7",
        o.common, Runs::kYes);
  if (const auto code = Parse(app, std::move(args), o.common)) return *code;
  return Work(o);
}

}  // namespace lathe::cli

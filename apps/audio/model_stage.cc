// Opens, sizes and runs the model of one stage.

#include "apps/audio/model_stage.h"

#include <algorithm>

#include "apps/audio/errors.h"

namespace lathe::audio {

Result<ModelStage> ModelStage::Open(const std::string& path,
                                    std::string_view signature,
                                    const StageOptions& options) {
  ModelOptions model_options;
  model_options.memory_limit_bytes = options.memory_limit_bytes;
  AUDIO_ASSIGN(const Model model, Model::Open(path, model_options));
  auto steps = std::make_shared<size_t>(1);
  SessionOptions session_options;
  session_options.signature = signature;
  session_options.threads = options.threads;
  session_options.isa = options.isa;
  session_options.stop = options.stop;
  if (options.progress) {
    session_options.on_step = [steps, hear = options.progress](size_t step,
                                                               double) {
      hear(static_cast<double>(step + 1) / static_cast<double>(*steps));
    };
  }
  auto session = Session::Create(model, session_options);
  if (!session) {
    Error error = std::move(session).error();
    // An unknown signature is the file's fault here, not the caller's.
    if (error.code == ErrorCode::kUsage && options.isa.empty()) {
      error.code = ErrorCode::kInvalidInput;
    }
    if (error.message.find(path) == error.message.npos) {
      error.message = path + ": " + error.message;
    }
    return std::unexpected(std::move(error));
  }
  ModelStage stage(path, *std::move(session));
  *steps = std::max<size_t>(1, stage.session_.steps().size());
  stage.steps_ = std::move(steps);
  return stage;
}

Result<std::span<const float>> ModelStage::Output(std::string_view name,
                                                  size_t size) {
  auto values = session_.Output<float>(name);
  if (!values) return std::unexpected(Wrong(name, values.error().message));
  if (values->size() != size) {
    return std::unexpected(WrongSize(name, values->size(), size));
  }
  return *values;
}

Status ModelStage::Resize(std::string_view name,
                          std::span<const int32_t> shape) {
  for (const TensorInfo& input : session_.inputs()) {
    if (input.name == name && std::ranges::equal(input.shape, shape)) return {};
  }
  if (Status s = session_.Resize(name, shape); !s) {
    Error error = Wrong(name, s.error().message);
    error.code = s.error().code;
    return std::unexpected(std::move(error));
  }
  *steps_ = std::max<size_t>(1, session_.steps().size());
  return {};
}

Status ModelStage::Run() {
  Status status = session_.Run();
  if (!status && status.error().code != ErrorCode::kInterrupted) {
    return Fail(status.error().code, "{}: {}", path_, status.error().message);
  }
  return status;
}

Error ModelStage::Wrong(std::string_view name, std::string_view problem) const {
  return {ErrorCode::kInvalidInput,
          fmt::format("{}: \"{}\": {}", path_, name, problem)};
}

Error ModelStage::WrongSize(std::string_view name, size_t found,
                            size_t wanted) const {
  return Wrong(
      name, fmt::format("{} values; pipeline.json asks for {}", found, wanted));
}

}  // namespace lathe::audio

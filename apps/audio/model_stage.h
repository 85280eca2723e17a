// One model file with a session, for as long as its stage of the pipeline
// lasts.

#ifndef LATHE_APPS_AUDIO_MODEL_STAGE_H_
#define LATHE_APPS_AUDIO_MODEL_STAGE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lathe/lathe.hpp"

namespace lathe::audio {

struct StageOptions {
  Threads* threads = nullptr;
  std::string isa;
  const std::atomic<bool>* stop = nullptr;
  uint64_t memory_limit_bytes = 0;
  // Hears how much of one Run is done, 0 to 1; may be empty.
  std::function<void(double fraction)> progress;
};

class ModelStage {
 public:
  // Errors: those of Model::Open and Session::Create, with the path in front.
  static Result<ModelStage> Open(const std::string& path,
                                 std::string_view signature,
                                 const StageOptions& options);

  // Spans of exactly `size` values. Errors (kInvalidInput): another size,
  // naming path and tensor; no such tensor or another type.
  template <typename T>
  Result<std::span<T>> Input(std::string_view name, size_t size) {
    auto values = session_.Input<T>(name);
    if (!values) return std::unexpected(Wrong(name, values.error().message));
    if (values->size() != size) {
      return std::unexpected(WrongSize(name, values->size(), size));
    }
    return *values;
  }
  Result<std::span<const float>> Output(std::string_view name, size_t size);

  // Does nothing when the input has this shape already.
  Status Resize(std::string_view name, std::span<const int32_t> shape);
  Status Run();
  SessionStats stats() const { return session_.stats(); }

 private:
  ModelStage(std::string path, Session session)
      : path_(std::move(path)), session_(std::move(session)) {}
  Error Wrong(std::string_view name, std::string_view problem) const;
  Error WrongSize(std::string_view name, size_t found, size_t wanted) const;

  std::string path_;
  Session session_;
  // Where on_step finds the number of steps; the session may be moved.
  std::shared_ptr<size_t> steps_;
};

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_MODEL_STAGE_H_

// The whole way: a file from memory, a session for each signature, two runs,
// and one more after every dim that may change has changed. The file's size
// chooses the ISA level, so that a finding stays one.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "fuzz/graph_mutator.h"
#include "lathe/lathe.hpp"

namespace {

// Loops of a file may go on for ever; a run is stopped after a second.
class Watch {
 public:
  Watch() : thread_([this] { Look(); }) { thread_.detach(); }
  void Start() {
    stop_ = false;
    until_ = Now() + 1000;
  }
  const std::atomic<bool>* stop() const { return &stop_; }

 private:
  static int64_t Now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  [[noreturn]] void Look() {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (Now() > until_) stop_ = true;
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<int64_t> until_ = INT64_MAX;
  std::thread thread_;
};

constexpr uint64_t kMostFlops = 200'000'000;
constexpr const char* kIsas[] = {"", "", "scalar", "avx2"};

void Fill(lathe::Session& session) {
  uint32_t state = 1;
  for (size_t i = 0; i < session.inputs().size(); ++i) {
    const lathe::TensorInfo& input = session.inputs()[i];
    const std::string name = "#" + std::to_string(i);
    if (input.type == lathe::ElementType::kString) {
      uint64_t count = 1;
      for (const int32_t dim : input.shape) count *= static_cast<uint64_t>(dim);
      if (count < 1000) {
        (void)session.SetStrings(name, std::vector<std::string>(count, "ab"));
      }
      continue;
    }
    auto bytes = session.InputBytes(name);
    if (!bytes) continue;
    if (input.type == lathe::ElementType::kFloat32) {
      for (size_t at = 0; at + 4 <= bytes->size(); at += 4) {
        state = state * 1664525 + 1013904223;
        const float value = static_cast<float>(state >> 8) / (1 << 23) - 1;
        std::memcpy(bytes->data() + at, &value, 4);
      }
    } else {
      for (std::byte& byte : *bytes) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<std::byte>(state >> 29);
      }
    }
  }
}

// Every dim that may change becomes `dim`. False: there is none, or it is
// refused.
bool ResizeAll(lathe::Session& session, int32_t dim) {
  std::vector<lathe::InputShape> shapes;
  for (size_t i = 0; i < session.inputs().size(); ++i) {
    const lathe::TensorInfo& input = session.inputs()[i];
    std::vector<int32_t> shape = input.shape_signature;
    if (std::ranges::find(shape, -1) == shape.end()) continue;
    std::ranges::replace(shape, -1, dim);
    shapes.push_back({"#" + std::to_string(i), shape});
  }
  return !shapes.empty() && session.Resize(shapes).has_value();
}

uint64_t Flops(const lathe::Session& session) {
  uint64_t flops = 0;
  for (const lathe::StepInfo& step : session.steps()) flops += step.flops;
  return flops;
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Mostly as a graph, sometimes as bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned seed) {
  constexpr unsigned kBytesOneIn = 8;
  if (seed % kBytesOneIn != 0) {
    const size_t changed = lathe::fuzz::MutateGraph(data, size, max_size, seed);
    if (changed > 0) return changed;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Watch& watch = *new Watch;
  static lathe::Threads& threads = *new lathe::Threads(1);
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  lathe::ModelOptions options;
  options.memory_limit_bytes = uint64_t{64} << 20;
  const auto model =
      lathe::Model::FromMemory({bytes, bytes + size}, "fuzz", options);
  if (!model) {
    if (model.error().message.empty()) std::abort();
    return 0;
  }
  size_t tried = 0;
  for (const lathe::SignatureInfo& signature : model->signatures()) {
    if (++tried > 3) break;
    lathe::SessionOptions session_options;
    session_options.signature = signature.key;
    session_options.threads = &threads;
    session_options.stop = watch.stop();
    session_options.isa = kIsas[size % std::size(kIsas)];
    watch.Start();
    auto session = lathe::Session::Create(*model, session_options);
    if (!session) continue;
    for (int run = 0; run < 3; ++run) {
      if (run == 2 && !ResizeAll(*session, 3)) break;
      if (Flops(*session) > kMostFlops) break;
      Fill(*session);
      watch.Start();
      if (!session->Run()) break;
      for (const lathe::TensorInfo& output : session->outputs()) {
        (void)session->OutputBytes(output.name);
      }
    }
  }
  return 0;
}

// The C ABI: null checks, structs by size and the thread's last error around
// the C++ API.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lathe/lathe.h"
#include "lathe/lathe.hpp"
#include "lathe/machine.hpp"
#include "src/base/cpu.h"
#include "src/base/result.h"

struct LatheModel {
  lathe::Model model;
};

struct LatheThreads {
  lathe::Threads threads;
};

struct LatheSession {
  std::atomic<bool> stop{false};
  std::optional<lathe::Session> session;
  // What GetStrings gave out.
  std::vector<std::string> strings;
  std::vector<const char*> string_pointers;
  std::vector<size_t> string_lengths;
};

namespace lathe {
namespace {

static_assert(std::atomic<bool>::is_always_lock_free);  // Signal handlers.
static_assert(static_cast<int>(ErrorCode::kUsage) == LATHE_USAGE &&
              static_cast<int>(ErrorCode::kInvalidInput) ==
                  LATHE_INVALID_INPUT &&
              static_cast<int>(ErrorCode::kUnsupported) == LATHE_UNSUPPORTED &&
              static_cast<int>(ErrorCode::kSystem) == LATHE_SYSTEM &&
              static_cast<int>(ErrorCode::kInterrupted) == LATHE_INTERRUPTED);
static_assert(static_cast<int>(ElementType::kUint4) == LATHE_UINT4);

constexpr size_t kTypes = static_cast<size_t>(ElementType::kUint4) + 1;

std::string& LastError() {
  thread_local std::string text;
  return text;
}

LatheStatus Remember(const Error& error) noexcept {
  try {
    LastError() = error.message;
  } catch (...) {  // No memory for the text.
    LastError().clear();
  }
  return static_cast<LatheStatus>(error.code);
}

// Runs the body of a call, which returns a Status.
template <typename F>
LatheStatus Call(F&& body) noexcept {
  try {
    const Status status = body();
    return status ? LATHE_OK : Remember(status.error());
  } catch (const std::bad_alloc&) {  // Both texts fit in a string as it is.
    return Remember({ErrorCode::kSystem, "out of memory"});
  } catch (...) {
    return Remember({ErrorCode::kSystem, "unexpected"});
  }
}

Status NotNull(const char* call, const char* what, const void* pointer) {
  if (pointer != nullptr) return {};
  return Fail(ErrorCode::kUsage, "{}: {} is null", call, what);
}

Status InRange(const char* call, const char* what, size_t index, size_t count) {
  if (index < count) return {};
  return Fail(ErrorCode::kUsage, "{}: {} {}; there are {}", call, what, index,
              count);
}

// Copies what the caller's version of an options struct has.
template <typename T>
Result<T> OptionsOf(const char* call, const T* given) {
  T options = {};
  if (given == nullptr) return options;
  if (given->struct_size < sizeof(size_t) || given->struct_size > 4096) {
    return Fail(ErrorCode::kUsage,
                "{}: struct_size {} of the options; start from LATHE_INIT",
                call, given->struct_size);
  }
  std::memcpy(&options, given, std::min(given->struct_size, sizeof(T)));
  return options;
}

// Gives the caller as much as its version of the struct has.
template <typename T>
Status Give(const char* call, T value, T* to) {
  LATHE_TRY(NotNull(call, "info", to));
  if (to->struct_size < sizeof(size_t) || to->struct_size > 4096) {
    return Fail(ErrorCode::kUsage, "{}: struct_size {}; start from LATHE_INIT",
                call, to->struct_size);
  }
  value.struct_size = to->struct_size;
  std::memcpy(to, &value, std::min(to->struct_size, sizeof(T)));
  return {};
}

LatheTensorInfo Describe(const TensorInfo& tensor) {
  LatheTensorInfo info = {};
  info.name = tensor.name.c_str();
  info.tensor = tensor.tensor.c_str();
  info.index = tensor.index;
  info.type = static_cast<LatheType>(tensor.type);
  info.rank = tensor.shape.size();
  info.dims = tensor.shape.data();
  if (tensor.shape_signature.size() == tensor.shape.size() &&
      !tensor.shape_signature.empty()) {
    info.signature_dims = tensor.shape_signature.data();
  }
  info.scale_count = tensor.quantization.scales.size();
  info.scales = tensor.quantization.scales.data();
  info.zero_point_count = tensor.quantization.zero_points.size();
  info.zero_points = tensor.quantization.zero_points.data();
  info.axis = tensor.quantization.axis;
  info.is_constant = tensor.is_constant;
  return info;
}

Status GiveTensor(const char* call, std::span<const TensorInfo> all,
                  size_t index, LatheTensorInfo* info) {
  LATHE_TRY(InRange(call, "tensor", index, all.size()));
  return Give(call, Describe(all[index]), info);
}

Result<ModelOptions> Convert(const char* call,
                             const LatheModelOptions* options) {
  LATHE_ASSIGN(const LatheModelOptions given, OptionsOf(call, options));
  ModelOptions converted;
  if (given.memory_limit_bytes != 0) {
    converted.memory_limit_bytes = given.memory_limit_bytes;
  }
  if (given.skip_pass_count > 0) {
    LATHE_TRY(NotNull(call, "skip_passes", given.skip_passes));
  }
  for (size_t i = 0; i < given.skip_pass_count; ++i) {
    LATHE_TRY(NotNull(call, "a name of skip_passes", given.skip_passes[i]));
    converted.skip_passes.emplace_back(given.skip_passes[i]);
  }
  return converted;
}

const SignatureInfo* SignatureAt(const LatheModel* model, size_t signature) {
  if (model == nullptr) return nullptr;
  const auto all = model->model.signatures();
  return signature < all.size() ? &all[signature] : nullptr;
}

Result<const SignatureInfo*> Signature(const char* call,
                                       const LatheModel* model,
                                       size_t signature) {
  LATHE_TRY(NotNull(call, "model", model));
  LATHE_TRY(
      InRange(call, "signature", signature, model->model.signatures().size()));
  return SignatureAt(model, signature);
}

// A session and a name, as most calls have them.
Status Check(const char* call, const LatheSession* session, const char* name) {
  LATHE_TRY(NotNull(call, "session", session));
  return NotNull(call, "name", name);
}

Status GiveBytes(const char* call, std::span<const std::byte> found,
                 const void** data, size_t* bytes) {
  LATHE_TRY(NotNull(call, "data", data));
  LATHE_TRY(NotNull(call, "bytes", bytes));
  *data = found.data();
  *bytes = found.size();
  return {};
}

}  // namespace
}  // namespace lathe

using lathe::Call;
using lathe::NotNull;
using lathe::Result;
using lathe::Status;

const char* LatheLastError(void) { return lathe::LastError().c_str(); }

const char* LatheVersion(void) {
  try {
    static const std::string version = lathe::DescribeMachine().version;
    return version.c_str();
  } catch (...) {
    return "";
  }
}

const char* LatheTypeName(int type) {
  const auto number = static_cast<size_t>(type);
  if (number >= lathe::kTypes) return nullptr;
  // The names are literals and end with a zero.
  return lathe::Name(static_cast<lathe::ElementType>(number)).data();
}

namespace {

const std::vector<std::string>& Isas() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> usable;
    for (const lathe::Isa isa : lathe::KnownIsas()) {
      if (lathe::CpuHas(isa)) usable.emplace_back(lathe::Name(isa));
    }
    return usable;
  }();
  return names;
}

}  // namespace

size_t LatheIsaCount(void) {
  try {
    return Isas().size();
  } catch (...) {
    return 0;
  }
}

const char* LatheIsaName(size_t index) {
  return index < LatheIsaCount() ? Isas()[index].c_str() : nullptr;
}

// --- Threads -----------------------------------------------------------------

LatheStatus LatheThreadsCreate(int count, LatheThreads** threads) {
  constexpr const char* kCall = "LatheThreadsCreate";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "threads", threads));
    constexpr int kMost = 4096;
    if (count < 0 || count > kMost) {
      return lathe::Fail(lathe::ErrorCode::kUsage,
                         "{}: {} threads; 0 to {} are allowed", kCall, count,
                         kMost);
    }
    *threads = new LatheThreads{lathe::Threads(count)};
    return {};
  });
}

int LatheThreadsCount(const LatheThreads* threads) {
  return threads == nullptr ? 0 : threads->threads.count();
}

void LatheThreadsFree(LatheThreads* threads) { delete threads; }

// --- Models ------------------------------------------------------------------

LatheStatus LatheModelOpen(const char* path, const LatheModelOptions* options,
                           LatheModel** model) {
  constexpr const char* kCall = "LatheModelOpen";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "path", path));
    LATHE_TRY(NotNull(kCall, "model", model));
    LATHE_ASSIGN(const lathe::ModelOptions given,
                 lathe::Convert(kCall, options));
    LATHE_ASSIGN(lathe::Model opened, lathe::Model::Open(path, given));
    *model = new LatheModel{std::move(opened)};
    return {};
  });
}

LatheStatus LatheModelFromMemory(const void* bytes, size_t size,
                                 const char* name,
                                 const LatheModelOptions* options,
                                 LatheModel** model) {
  constexpr const char* kCall = "LatheModelFromMemory";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "bytes", bytes));
    LATHE_TRY(NotNull(kCall, "model", model));
    LATHE_ASSIGN(const lathe::ModelOptions given,
                 lathe::Convert(kCall, options));
    const auto* first = static_cast<const std::byte*>(bytes);
    LATHE_ASSIGN(
        lathe::Model opened,
        lathe::Model::FromMemory({first, first + size},
                                 name == nullptr ? "model" : name, given));
    *model = new LatheModel{std::move(opened)};
    return {};
  });
}

void LatheModelFree(LatheModel* model) { delete model; }

LatheStatus LatheModelContentHash(const LatheModel* model, uint64_t* hash) {
  constexpr const char* kCall = "LatheModelContentHash";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "model", model));
    LATHE_TRY(NotNull(kCall, "hash", hash));
    LATHE_ASSIGN(*hash, model->model.ContentHash());
    return {};
  });
}

size_t LatheModelSignatureCount(const LatheModel* model) {
  return model == nullptr ? 0 : model->model.signatures().size();
}

const char* LatheModelSignatureKey(const LatheModel* model, size_t signature) {
  const lathe::SignatureInfo* info = lathe::SignatureAt(model, signature);
  return info == nullptr ? nullptr : info->key.c_str();
}

size_t LatheModelInputCount(const LatheModel* model, size_t signature) {
  const lathe::SignatureInfo* info = lathe::SignatureAt(model, signature);
  return info == nullptr ? 0 : info->inputs.size();
}

size_t LatheModelOutputCount(const LatheModel* model, size_t signature) {
  const lathe::SignatureInfo* info = lathe::SignatureAt(model, signature);
  return info == nullptr ? 0 : info->outputs.size();
}

LatheStatus LatheModelInput(const LatheModel* model, size_t signature,
                            size_t index, LatheTensorInfo* info) {
  constexpr const char* kCall = "LatheModelInput";
  return Call([&]() -> Status {
    LATHE_ASSIGN(const lathe::SignatureInfo* of,
                 lathe::Signature(kCall, model, signature));
    return lathe::GiveTensor(kCall, of->inputs, index, info);
  });
}

LatheStatus LatheModelOutput(const LatheModel* model, size_t signature,
                             size_t index, LatheTensorInfo* info) {
  constexpr const char* kCall = "LatheModelOutput";
  return Call([&]() -> Status {
    LATHE_ASSIGN(const lathe::SignatureInfo* of,
                 lathe::Signature(kCall, model, signature));
    return lathe::GiveTensor(kCall, of->outputs, index, info);
  });
}

// --- Sessions ----------------------------------------------------------------

LatheStatus LatheSessionCreate(const LatheModel* model,
                               const LatheSessionOptions* options,
                               LatheSession** session) {
  constexpr const char* kCall = "LatheSessionCreate";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "model", model));
    LATHE_TRY(NotNull(kCall, "session", session));
    LATHE_ASSIGN(const LatheSessionOptions given,
                 lathe::OptionsOf(kCall, options));
    auto made = std::make_unique<LatheSession>();
    lathe::SessionOptions converted;
    if (given.signature != nullptr) converted.signature = given.signature;
    if (given.threads != nullptr) converted.threads = &given.threads->threads;
    if (given.isa != nullptr) converted.isa = given.isa;
    if (given.on_step != nullptr) {
      converted.on_step = [on_step = given.on_step, data = given.on_step_data](
                              size_t step, double milliseconds) {
        on_step(data, step, milliseconds);
      };
    }
    converted.keep_all = given.keep_all != 0;
    converted.stop = &made->stop;
    LATHE_ASSIGN(made->session,
                 lathe::Session::Create(model->model, converted));
    *session = made.release();
    return {};
  });
}

void LatheSessionFree(LatheSession* session) { delete session; }

size_t LatheSessionInputCount(const LatheSession* session) {
  return session == nullptr ? 0 : session->session->inputs().size();
}

size_t LatheSessionOutputCount(const LatheSession* session) {
  return session == nullptr ? 0 : session->session->outputs().size();
}

LatheStatus LatheSessionInput(const LatheSession* session, size_t index,
                              LatheTensorInfo* info) {
  constexpr const char* kCall = "LatheSessionInput";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    return lathe::GiveTensor(kCall, session->session->inputs(), index, info);
  });
}

LatheStatus LatheSessionOutput(const LatheSession* session, size_t index,
                               LatheTensorInfo* info) {
  constexpr const char* kCall = "LatheSessionOutput";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    return lathe::GiveTensor(kCall, session->session->outputs(), index, info);
  });
}

LatheStatus LatheSessionInputData(LatheSession* session, const char* name,
                                  void** data, size_t* bytes) {
  constexpr const char* kCall = "LatheSessionInputData";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    LATHE_TRY(NotNull(kCall, "data", data));
    LATHE_TRY(NotNull(kCall, "bytes", bytes));
    LATHE_ASSIGN(const std::span<std::byte> found,
                 session->session->InputBytes(name));
    *data = found.data();
    *bytes = found.size();
    return {};
  });
}

LatheStatus LatheSessionOutputData(const LatheSession* session,
                                   const char* name, const void** data,
                                   size_t* bytes) {
  constexpr const char* kCall = "LatheSessionOutputData";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    LATHE_ASSIGN(const std::span<const std::byte> found,
                 session->session->OutputBytes(name));
    return lathe::GiveBytes(kCall, found, data, bytes);
  });
}

LatheStatus LatheSessionSetInput(LatheSession* session, const char* name,
                                 const void* data, size_t bytes) {
  constexpr const char* kCall = "LatheSessionSetInput";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    if (bytes > 0) LATHE_TRY(NotNull(kCall, "data", data));
    return session->session->SetInput(
        name, {static_cast<const std::byte*>(data), bytes});
  });
}

LatheStatus LatheSessionSetStrings(LatheSession* session, const char* name,
                                   const char* const* strings,
                                   const size_t* lengths, size_t count) {
  constexpr const char* kCall = "LatheSessionSetStrings";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    if (count > 0) LATHE_TRY(NotNull(kCall, "strings", strings));
    std::vector<std::string> copies;
    for (size_t i = 0; i < count; ++i) {
      const bool empty = lengths != nullptr && lengths[i] == 0;
      if (!empty) LATHE_TRY(NotNull(kCall, "a string", strings[i]));
      copies.push_back(empty ? std::string()
                       : lengths == nullptr
                           ? std::string(strings[i])
                           : std::string(strings[i], lengths[i]));
    }
    return session->session->SetStrings(name, copies);
  });
}

LatheStatus LatheSessionGetStrings(LatheSession* session, const char* name,
                                   const char* const** strings,
                                   const size_t** lengths, size_t* count) {
  constexpr const char* kCall = "LatheSessionGetStrings";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    LATHE_TRY(NotNull(kCall, "strings", strings));
    LATHE_TRY(NotNull(kCall, "count", count));
    LATHE_ASSIGN(session->strings, session->session->Strings(name));
    session->string_pointers.clear();
    session->string_lengths.clear();
    for (const std::string& text : session->strings) {
      session->string_pointers.push_back(text.c_str());
      session->string_lengths.push_back(text.size());
    }
    *strings = session->string_pointers.data();
    if (lengths != nullptr) *lengths = session->string_lengths.data();
    *count = session->strings.size();
    return {};
  });
}

LatheStatus LatheSessionResize(LatheSession* session, const char* name,
                               const int32_t* dims, size_t rank) {
  constexpr const char* kCall = "LatheSessionResize";
  return Call([&]() -> Status {
    LATHE_TRY(lathe::Check(kCall, session, name));
    if (rank > 0) LATHE_TRY(NotNull(kCall, "dims", dims));
    return session->session->Resize(name, {dims, rank});
  });
}

LatheStatus LatheSessionResizeAll(LatheSession* session,
                                  const LatheInputShape* shapes, size_t count) {
  constexpr const char* kCall = "LatheSessionResizeAll";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    if (count > 0) LATHE_TRY(NotNull(kCall, "shapes", shapes));
    std::vector<lathe::InputShape> all;
    for (size_t i = 0; i < count; ++i) {
      const LatheInputShape& each = shapes[i];
      LATHE_TRY(NotNull(kCall, "a name", each.name));
      if (each.rank > 0) LATHE_TRY(NotNull(kCall, "dims", each.dims));
      all.push_back({each.name, {each.dims, each.dims + each.rank}});
    }
    return session->session->Resize(all);
  });
}

LatheStatus LatheSessionRun(LatheSession* session) {
  return Call([&]() -> Status {
    LATHE_TRY(NotNull("LatheSessionRun", "session", session));
    return session->session->Run();
  });
}

LatheStatus LatheSessionStop(LatheSession* session) {
  // Not through Call: a signal handler may allocate nothing.
  if (session == nullptr) return LATHE_USAGE;
  session->stop.store(true);
  return LATHE_OK;
}

LatheStatus LatheSessionClearStop(LatheSession* session) {
  return Call([&]() -> Status {
    LATHE_TRY(NotNull("LatheSessionClearStop", "session", session));
    session->stop.store(false);
    return {};
  });
}

LatheStatus LatheSessionResetState(LatheSession* session) {
  return Call([&]() -> Status {
    LATHE_TRY(NotNull("LatheSessionResetState", "session", session));
    return session->session->ResetState();
  });
}

LatheStatus LatheSessionTensorData(const LatheSession* session, int32_t index,
                                   const void** data, size_t* bytes) {
  constexpr const char* kCall = "LatheSessionTensorData";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    return lathe::GiveBytes(kCall, session->session->Tensor(index), data,
                            bytes);
  });
}

size_t LatheSessionStepCount(const LatheSession* session) {
  return session == nullptr ? 0 : session->session->steps().size();
}

LatheStatus LatheSessionStep(const LatheSession* session, size_t step,
                             LatheStepInfo* info) {
  constexpr const char* kCall = "LatheSessionStep";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    const auto steps = session->session->steps();
    LATHE_TRY(lathe::InRange(kCall, "step", step, steps.size()));
    LatheStepInfo found = {};
    found.name = steps[step].name.c_str();
    found.tensor = steps[step].tensor.c_str();
    found.kernel = steps[step].kernel.c_str();
    found.flops = steps[step].flops;
    return lathe::Give(kCall, found, info);
  });
}

LatheStatus LatheSessionStats(const LatheSession* session, LatheStats* stats) {
  constexpr const char* kCall = "LatheSessionStats";
  return Call([&]() -> Status {
    LATHE_TRY(NotNull(kCall, "session", session));
    const lathe::SessionStats now = session->session->stats();
    LatheStats found = {};
    found.arena_bytes = now.arena_bytes;
    found.packed_bytes = now.packed_bytes;
    found.peak_step = now.peak_step;
    return lathe::Give(kCall, found, stats);
  });
}

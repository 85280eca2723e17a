// The environment and what can be set: accelerators, threads, errors.

#ifndef LATHE_LITERT_OPTIONS_HPP_
#define LATHE_LITERT_OPTIONS_HPP_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lathe/litert/expected.hpp"

namespace lathe::litert {

enum class HwAccelerators : int { kNone = 0, kCpu = 1, kGpu = 2, kNpu = 4 };

struct HwAcceleratorSet {
  int value;
  explicit HwAcceleratorSet(int set) : value(set) {}
  explicit HwAcceleratorSet(HwAccelerators one)
      : value(static_cast<int>(one)) {}
};
inline HwAcceleratorSet operator|(HwAccelerators a, HwAccelerators b) {
  return HwAcceleratorSet(static_cast<int>(a) | static_cast<int>(b));
}
inline HwAcceleratorSet operator|(HwAcceleratorSet a, HwAccelerators b) {
  return HwAcceleratorSet(a.value | static_cast<int>(b));
}
inline int operator&(HwAccelerators a, HwAccelerators b) {
  return static_cast<int>(a) & static_cast<int>(b);
}
inline int operator&(HwAcceleratorSet a, HwAccelerators b) {
  return a.value & static_cast<int>(b);
}
inline HwAcceleratorSet& operator|=(HwAcceleratorSet& a, HwAccelerators b) {
  a.value |= static_cast<int>(b);
  return a;
}

using LiteRtVariant =
    std::variant<std::monostate, bool, int8_t, int16_t, int32_t, int64_t, float,
                 double, const char*, StringView, const void*, void*>;

class EnvironmentOptions {
 public:
  enum class Tag : int {
    kCompilerPluginLibraryDir = 0,
    kDispatchLibraryDir = 1,
    kOpenClDeviceId = 2,
    kOpenClPlatformId = 3,
    kOpenClContext = 4,
    kOpenClCommandQueue = 5,
    kEglDisplay = 6,
    kEglContext = 7,
    kWebGpuDevice = 8,
    kWebGpuQueue = 9,
    kMetalDevice = 10,
    kMetalCommandQueue = 11,
    kVulkanEnvironment = 12,
    kCallbackOnGpuEnvDestroy = 14,
    kCallbackUserDataOnGpuEnvDestroy = 15,
    kMagicNumberConfigs = 16,
    kMagicNumberVerifications = 17,
    kCompilerCacheDir = 18,
    kWebGpuInstance = 19,
    kWebGpuProcs = 20,
    kRuntimeLibraryDir = 22,
    kSystemRuntimeHandle = 23,
    kAutoRegisterAccelerators = 24,
    kMinLoggerSeverity = 25,
    kCompilerCacheMaxConfigsPerModel = 26,
    kCompilerCacheMaxTotalSize = 27,
    kContext = 28,
    kWebGpuFlushCallback = 29,
    kSystemGpuAcceleratorHandle = 30,
  };
  // Keeps its own copy of text.
  struct Option {
    Option(Tag which, LiteRtVariant what) : tag(which), value(what) {
      if (const auto* view = std::get_if<StringView>(&what)) {
        text = std::make_shared<const std::string>(*view);
      } else if (const auto* chars = std::get_if<const char*>(&what)) {
        text = std::make_shared<const std::string>(*chars ? *chars : "");
      }
      if (text) value = text->c_str();
    }
    Tag tag;
    LiteRtVariant value;
    std::shared_ptr<const std::string> text;
  };

  explicit EnvironmentOptions(internal::ListSpan<Option> options)
      : options_(options.begin(), options.end()) {}
  Span<const Option> GetOptions() const { return options_; }
  Expected<LiteRtVariant> GetOption(Tag tag) const {
    for (const Option& option : options_) {
      if (option.tag == tag) return option.value;
    }
    return Unexpected(Status::kErrorNotFound, "the option was not set");
  }

 private:
  std::vector<Option> options_;
};

// Holds the thread pools of its models. Models keep what they need of it, so it
// may go before them. Any thread may use it.
class LATHE_EXPORT Environment {
 public:
  using OptionTag = EnvironmentOptions::Tag;
  using Option = EnvironmentOptions::Option;

  // Options about logging, caches of compiled models and folders of runtime
  // libraries have nothing to set here and are taken. Errors: kErrorUnsupported
  // for those that hand over a GPU, an NPU or a plugin.
  static Expected<Environment> Create(internal::ListSpan<Option> options);
  static Expected<Environment> Create(const EnvironmentOptions& options) {
    return Create(internal::ListSpan<Option>(options.GetOptions()));
  }

  Expected<EnvironmentOptions> GetOptions() const;
  Expected<std::vector<HwAccelerators>> GetAvailableAccelerators() const {
    return std::vector<HwAccelerators>{HwAccelerators::kCpu};
  }
  // Of a GPU.
  bool SupportsClGlInterop() const { return false; }
  bool SupportsAhwbClInterop() const { return false; }
  bool SupportsAhwbGlInterop() const { return false; }
  bool SupportsFP16() const { return false; }

  explicit operator bool() const { return state_ != nullptr; }
  bool operator==(const Environment& other) const = default;

 private:
  friend class CompiledModel;
  struct State;
  explicit Environment(std::shared_ptr<State> state)
      : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

enum LiteRtCpuKernelMode {
  kLiteRtCpuKernelModeDelegate = 0,
  kLiteRtCpuKernelModeXnnpack = kLiteRtCpuKernelModeDelegate,
  kLiteRtCpuKernelModeReference = 1,
  kLiteRtCpuKernelModeBuiltin = 2,
};

class CompiledModel;

class LATHE_EXPORT CpuOptions {
 public:
  static Expected<CpuOptions> Create() { return CpuOptions(); }

  // 0: one per physical core. Errors: kErrorInvalidArgument below 0.
  Expected<void> SetNumThreads(int num_threads);
  Expected<int> GetNumThreads() const { return threads_; }
  // Lathe has one set of kernels; kErrorUnsupported for another than the
  // default. `isa` of lathe.hpp chooses among them.
  Expected<void> SetKernelMode(LiteRtCpuKernelMode mode);
  Expected<LiteRtCpuKernelMode> GetKernelMode() const {
    return kLiteRtCpuKernelModeDelegate;
  }
  // There is no XNNPACK here: kErrorUnsupported for what switches it.
  Expected<void> SetEnableYNNPack(bool enabled);
  Expected<bool> GetEnableYNNPack() const { return false; }
  Expected<void> SetXNNPackFlags(uint32_t flags);
  Expected<uint32_t> GetXNNPackFlags() const { return uint32_t{0}; }
  Expected<void> SetHintFullyDelegatedToSingleDelegate(bool) { return {}; }
  Expected<void> SetXNNPackWeightCachePath(const char* path);
  Expected<StringView> GetXNNPackWeightCachePath() const {
    return StringView();
  }
  Expected<void> SetXNNPackWeightCacheFileDescriptor(int descriptor);
  Expected<int> GetXNNPackWeightCacheFileDescriptor() const { return -1; }

 private:
  friend class CompiledModel;
  int threads_ = 0;
};

enum LiteRtErrorReporterMode {
  kLiteRtErrorReporterModeNone = 0,
  kLiteRtErrorReporterModeStderr = 1,
  kLiteRtErrorReporterModeBuffer = 2,
};

class LATHE_EXPORT RuntimeOptions {
 public:
  static Expected<RuntimeOptions> Create() { return RuntimeOptions(); }

  // kErrorUnsupported for true: profile with SessionOptions::on_step of
  // lathe.hpp or the command `lathe profile`.
  Expected<void> SetEnableProfiling(bool enable);
  Expected<bool> GetEnableProfiling() const { return false; }
  // Lathe never prints, so that the mode on stderr is that of none.
  Expected<void> SetErrorReporterMode(LiteRtErrorReporterMode mode);
  Expected<LiteRtErrorReporterMode> GetErrorReporterMode() const {
    return mode_;
  }
  // About how LiteRT keeps and splits its graph; taken.
  Expected<void> SetCompressQuantizationZeroPoints(bool) { return {}; }
  Expected<bool> GetCompressQuantizationZeroPoints() const { return false; }
  Expected<void> SetDisableDelegateClustering(bool) { return {}; }
  Expected<bool> GetDisableDelegateClustering() const { return false; }
  // A signature is prepared when it is first used, so there is nothing to
  // select; taken.
  Expected<void> SetSelectedSignatures(Span<const StringView>) { return {}; }

 private:
  friend class CompiledModel;
  LiteRtErrorReporterMode mode_ = kLiteRtErrorReporterModeStderr;
};

class LATHE_EXPORT Options {
 public:
  static Expected<Options> Create() { return Options(); }

  // A set must have kCpu in it, which is what runs. Errors, here and when a
  // model is compiled: kErrorUnsupported naming what there is.
  Expected<void> SetHardwareAccelerators(HwAccelerators accelerators) {
    return SetHardwareAccelerators(HwAcceleratorSet(accelerators));
  }
  Expected<void> SetHardwareAccelerators(HwAcceleratorSet accelerators);
  Expected<int> GetHardwareAccelerators() const;

  Expected<CpuOptions&> GetCpuOptions() { return cpu_; }
  Expected<RuntimeOptions&> GetRuntimeOptions() { return runtime_; }

  // Inputs without a copy are what lathe.hpp is for: kErrorUnsupported.
  Expected<void> AddExternalTensorBinding(const std::string& signature_name,
                                          const std::string& tensor_name,
                                          void* data, size_t size_bytes);

 private:
  friend class CompiledModel;
  std::optional<HwAcceleratorSet> accelerators_;
  CpuOptions cpu_;
  RuntimeOptions runtime_;
};

}  // namespace lathe::litert

#endif  // LATHE_LITERT_OPTIONS_HPP_

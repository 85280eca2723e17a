// The LiteRT twin: environment and options.

#include "src/api/litert_state.h"

namespace lathe::litert {

Expected<Environment> Environment::Create(internal::ListSpan<Option> options) {
  return Caught([&]() -> Expected<Environment> {
    auto state = std::make_shared<State>();
    for (const Option& option : options) {
      switch (option.tag) {
        case OptionTag::kCompilerCacheDir:
        case OptionTag::kCompilerCacheMaxConfigsPerModel:
        case OptionTag::kCompilerCacheMaxTotalSize:
        case OptionTag::kRuntimeLibraryDir:
        case OptionTag::kAutoRegisterAccelerators:
        case OptionTag::kMinLoggerSeverity:
          break;
        default:
          return Wrong(Status::kErrorUnsupported,
                       "environment option {}: Lathe runs on the CPU only",
                       static_cast<int>(option.tag));
      }
      state->options.push_back(option);
    }
    return Environment(std::move(state));
  });
}

Expected<EnvironmentOptions> Environment::GetOptions() const {
  if (state_ == nullptr) {
    return Unexpected(Status::kErrorInvalidArgument, "an empty Environment");
  }
  return Caught([&]() -> Expected<EnvironmentOptions> {
    return EnvironmentOptions(internal::ListSpan<Option>(state_->options));
  });
}

Expected<void> CpuOptions::SetNumThreads(int num_threads) {
  constexpr int kMost = 4096;
  if (num_threads < 0 || num_threads > kMost) {
    return Wrong(Status::kErrorInvalidArgument,
                 "{} threads; 0 to {} are allowed", num_threads, kMost);
  }
  threads_ = num_threads;
  return {};
}

Expected<void> CpuOptions::SetKernelMode(LiteRtCpuKernelMode mode) {
  if (mode == kLiteRtCpuKernelModeDelegate) return {};
  return Wrong(Status::kErrorUnsupported,
               "kernel mode {}: Lathe has one set of kernels",
               static_cast<int>(mode));
}

namespace {

Unexpected NoXnnpack(const char* what) {
  return Wrong(Status::kErrorUnsupported, "{}: there is no XNNPACK in Lathe",
               what);
}

}  // namespace

Expected<void> CpuOptions::SetEnableYNNPack(bool enabled) {
  if (!enabled) return {};
  return NoXnnpack("SetEnableYNNPack");
}

Expected<void> CpuOptions::SetXNNPackFlags(uint32_t flags) {
  if (flags == 0) return {};
  return NoXnnpack("SetXNNPackFlags");
}

Expected<void> CpuOptions::SetXNNPackWeightCachePath(const char* path) {
  if (path == nullptr || *path == '\0') return {};
  return NoXnnpack("SetXNNPackWeightCachePath");
}

Expected<void> CpuOptions::SetXNNPackWeightCacheFileDescriptor(int) {
  return NoXnnpack("SetXNNPackWeightCacheFileDescriptor");
}

Expected<void> RuntimeOptions::SetEnableProfiling(bool enable) {
  if (!enable) return {};
  return Unexpected(Status::kErrorUnsupported,
                    "profiling: use SessionOptions::on_step of lathe.hpp or "
                    "the command `lathe profile`");
}

Expected<void> RuntimeOptions::SetErrorReporterMode(
    LiteRtErrorReporterMode mode) {
  if (mode < kLiteRtErrorReporterModeNone ||
      mode > kLiteRtErrorReporterModeBuffer) {
    return Wrong(Status::kErrorInvalidArgument, "error reporter mode {}",
                 static_cast<int>(mode));
  }
  mode_ = mode;
  return {};
}

Expected<void> CheckAccelerators(HwAcceleratorSet set) {
  if ((set & HwAccelerators::kCpu) != 0) return {};
  return Wrong(Status::kErrorUnsupported,
               "hardware accelerators {}: there is kCpu ({}) only", set.value,
               static_cast<int>(HwAccelerators::kCpu));
}

Expected<void> Options::SetHardwareAccelerators(HwAcceleratorSet set) {
  accelerators_ = set;
  return CheckAccelerators(set);
}

Expected<int> Options::GetHardwareAccelerators() const {
  if (!accelerators_) {
    return Unexpected(Status::kErrorInvalidArgument,
                      "hardware accelerators were not set");
  }
  return accelerators_->value;
}

Expected<void> Options::AddExternalTensorBinding(const std::string&,
                                                 const std::string& tensor_name,
                                                 void*, size_t) {
  return Wrong(Status::kErrorUnsupported,
               "tensor \"{}\": binding memory to a tensor; Session::Input of "
               "lathe.hpp gives its memory",
               tensor_name);
}

}  // namespace lathe::litert

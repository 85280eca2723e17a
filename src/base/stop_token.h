// A flag that asks long work to end early (Ctrl-C, a caller's cancel).

#ifndef LATHE_BASE_STOP_TOKEN_H_
#define LATHE_BASE_STOP_TOKEN_H_

#include <atomic>

namespace lathe {

// Borrowed; null means "never stops". Safe to set from a signal handler.
using StopToken = const std::atomic<bool>*;

inline bool Stopped(StopToken stop) {
  return stop != nullptr && stop->load(std::memory_order_relaxed);
}

}  // namespace lathe

#endif  // LATHE_BASE_STOP_TOKEN_H_

// What stands behind the handles of the public API.

#ifndef LATHE_API_STATE_H_
#define LATHE_API_STATE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/lathe.hpp"
#include "src/base/cpu.h"
#include "src/base/mapped_file.h"
#include "src/base/thread_pool.h"
#include "src/graph/graph.h"
#include "src/plan/packed_cache.h"
#include "src/run/executor.h"

namespace lathe {

struct Threads::State {
  explicit State(int threads) : pool(threads) {}
  ThreadPool pool;
};

struct Model::State {
  std::string name;  // Path, or what FromMemory was told.
  std::shared_ptr<const void> owner;
  std::span<const std::byte> file;
  bool mapped = false;
  // Other files that hold constants, by their names' order.
  std::vector<std::shared_ptr<const MappedFile>> external;
  ModelOptions options;
  graph::Graph graph;  // Passes have run.
  std::vector<SignatureInfo> signatures;
  plan::PackedCache packed;
  std::mutex hash_mutex;
  std::optional<uint64_t> hash;
};

// What a session runs, for reports about it.
struct SessionView {
  const graph::Graph* graph = nullptr;
  size_t subgraph = 0;
  const run::Executor* executor = nullptr;
  Isa isa = Isa::kScalar;
  size_t threads = 1;
};
SessionView ViewOf(const Session& session);

// `name` empty: the tensor's own.
TensorInfo DescribeTensor(const graph::Graph& graph,
                          const graph::Subgraph& subgraph, int32_t index,
                          const std::string& name);

// The signatures of a graph; subgraph 0 under the empty key where it has none.
std::vector<SignatureInfo> DescribeSignatures(const graph::Graph& graph);

// The format's packed strings: their number, that number + 1 offsets from the
// start, text. Errors: kInvalidInput beyond 2 GiB; for bytes that are not so.
Result<std::vector<std::byte>> PackStrings(
    std::span<const std::string> strings);
Result<std::vector<std::string>> UnpackStrings(
    std::span<const std::byte> packed);

// The level called `name`, or the best; refuses what this CPU lacks.
Result<Isa> ChooseIsa(const std::string& name);

// Catches what the standard library and others throw, at the API's edge.
template <typename F>
auto Guarded(F&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return std::unexpected(Error{ErrorCode::kSystem, "out of memory"});
  } catch (const std::exception& e) {
    return std::unexpected(
        Error{ErrorCode::kSystem, std::string("unexpected: ") + e.what()});
  }
}

}  // namespace lathe

#endif  // LATHE_API_STATE_H_

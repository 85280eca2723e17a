// The tensors a model is authored from: what is expected, what is there, and
// constants that read them when the file is written.

#ifndef LATHE_IMPORT_WEIGHTS_H_
#define LATHE_IMPORT_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/format/checkpoint.h"
#include "src/graph/builder.h"

namespace lathe::importer {

// One tensor somewhere; `read` gives elements [first, first + out.size()) as
// float32, `done` lets its pages go.
struct SourceTensor {
  std::vector<int64_t> shape;
  std::string unusable;  // Its type, where that is not a floating one.
  bool missing = false;  // A stand-in; reading it is an error.
  std::function<Status(uint64_t first, std::span<float> out)> read;
  std::function<void()> done = [] {};
};
using TensorSource = std::map<std::string, SourceTensor, std::less<>>;

// The checkpoint's tensors under their normal names; keeps it alive.
TensorSource SourceOf(std::shared_ptr<const format::Checkpoint> checkpoint);

// Fills `out`, row-major float32 of the constant's shape.
using Fill = std::function<Status(std::span<float> out)>;

// Collects every problem before anything is written. Not thread-safe. Need not
// outlive the constants made from it: they keep what they read.
class Weights {
 public:
  // `what` names the file in errors.
  Weights(TensorSource source, std::string what)
      : source_(std::move(source)), what_(std::move(what)) {}

  // The tensor `name`, which must have this shape; an empty stand-in, with the
  // problem noted, when it has not. The same name may be asked for again.
  SourceTensor Need(const std::string& name, std::vector<int64_t> shape);
  // Whether it is there at all (for tensors that may be left out).
  bool Has(const std::string& name) const { return source_.contains(name); }
  // Tensors that are known and not used.
  void Ignore(const std::string& name) { used_.insert(name); }

  // All values of a small tensor now; zeros when a problem was noted.
  Result<std::vector<float>> Values(const std::string& name,
                                    std::vector<int64_t> shape);

  // Every missing, misshapen and unexpected tensor, or nothing. Names below one
  // of the `ignored` prefixes are not looked at.
  Status Check(std::initializer_list<std::string_view> ignored = {}) const;

 private:
  TensorSource source_;
  std::string what_;
  std::set<std::string> used_;
  std::vector<std::string> missing_, misshapen_;
};

// A float32 constant whose bytes are made by `fill` when the file is written.
graph::TensorId AddConstant(graph::Builder& builder, std::string name,
                            graph::Shape shape, Fill fill);
// A constant that is one tensor as it stands.
graph::TensorId AddPlain(graph::Builder& builder, std::string name,
                         graph::Shape shape, SourceTensor tensor);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_WEIGHTS_H_

// The operator that is being treated, and what is wrong with it.
//
// Comes before: grids.h

#ifndef LATHE_QUANT_SITE_H_
#define LATHE_QUANT_SITE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/graph/graph.h"
#include "src/quant/ops.h"
#include "src/quant/recipe.h"
#include "src/quant/records.h"

namespace lathe::quant {

inline bool IsFloat(const graph::Tensor& tensor) {
  return tensor.type == graph::Type::kFloat32;
}
inline bool HasScale(const graph::Tensor& tensor) {
  return tensor.quantization && !tensor.quantization->scale.empty();
}

// An operator, or the virtual one of a boundary.
struct Site {
  const graph::Graph* graph = nullptr;
  size_t subgraph = 0;
  int32_t op = kBoundary;
  Target target = Target::kAll;
  const Rule* rule = nullptr;
  const graph::Op* real = nullptr;  // Null for a boundary.
  std::span<const int32_t> inputs, outputs;

  const OpConfig& config() const { return rule->config; }
  const graph::Tensor& TensorAt(int32_t t) const {
    return graph->subgraphs[subgraph].tensors[static_cast<size_t>(t)];
  }
  // Null where it is left out.
  const graph::Tensor* InputOf(int32_t i) const;
  bool IsConstant(const graph::Tensor& tensor) const {
    return graph->IsConstant(tensor);
  }
  bool IsRotating() const;
  // Whether the rule leaves a weight of so few elements alone.
  bool IsSmall(const graph::Tensor& weight) const;
  // In words.
  std::string Where() const;
};

// What cannot be quantized as its rule says.
class Problems {
 public:
  // Of the operator, or of its `tensor` if that is not null.
  void Add(const Site& site, const graph::Tensor* tensor,
           const std::string& message);
  // Whether the operator has failed already.
  bool Has(const Site& site) const;
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
};

}  // namespace lathe::quant

#endif  // LATHE_QUANT_SITE_H_

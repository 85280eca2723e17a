// The bench on which nodes become steps: what a preparer reads and writes.

#ifndef LATHE_PLAN_LOWERING_H_
#define LATHE_PLAN_LOWERING_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/graph.h"
#include "src/graph/shapes.h"
#include "src/plan/node.h"
#include "src/plan/op_table.h"
#include "src/plan/packed_cache.h"
#include "src/plan/plan.h"

namespace lathe::plan {

class Lowering {
 public:
  Lowering(const graph::Graph& graph, const graph::Subgraph& subgraph,
           const std::vector<graph::KnownTensor>& known,
           const PlanOptions& options, PackedCache& cache, OpRange range = {});

  const PlanOptions& options() const { return options_; }
  const graph::Shape& ShapeOf(int32_t tensor) const;
  graph::Type TypeOf(int32_t tensor) const;
  size_t Elements(int32_t tensor) const;
  std::string NameOf(int32_t tensor) const;

  // Whether the value is there when the plan is made.
  bool IsConstant(int32_t tensor) const;
  // Bytes of a constant, not aligned.
  std::span<const std::byte> ConstantBytes(int32_t tensor) const;
  // Values of a small integer tensor. An error, to be passed on, where they are
  // only known when the model runs: planning then goes on from there, later.
  Result<std::vector<int64_t>> Ints(int32_t tensor) const;
  // Whether an error of Ints was the reason that a preparer gave up.
  bool waits() const { return waits_; }

  // A packing of the constant `tensor`. `pack` gets the constant's float32
  // values and writes `floats` floats. The source's pages are given back.
  Result<Packed> Pack(int32_t tensor, std::string_view layout, size_t floats,
                      const std::function<void(const float*, float*)>& pack);

  // A packing of any constants into `bytes` bytes, under a key that says what
  // it is made of (operators with the same key share it); the reader of the
  // pages gives them back itself where they lie in options().mapping.
  Result<Packed> PackBytes(
      const std::string& key, uint64_t bytes,
      const std::function<void(std::span<std::byte>)>& pack);

  // Of all packings asked for so far.
  uint64_t packed_bytes() const { return packed_bytes_; }

  // How the tensor's integers stand for reals; null when it is not quantized.
  const graph::Quantization* QuantizationOf(int32_t tensor) const;
  // Of a tensor with one scale. Errors: kInvalidInput when it has none.
  struct Affine {
    float scale = 1;
    int32_t zero_point = 0;
  };
  Result<Affine> AffineOf(int32_t tensor) const;

  // The graph's own record: buffer index, sparsity, is_variable.
  const graph::Tensor& TensorOf(int32_t tensor) const {
    return subgraph_.tensors[tensor];
  }
  const graph::Graph& graph() const { return graph_; }

  // Appends a step. The inputs and outputs are tensors it touches.
  void Add(Step step);
  // Says that `output` is `input`'s memory from byte `offset` on.
  void Alias(int32_t output, int32_t input, uint64_t offset = 0);

  Plan& plan() { return plan_; }
  // Places everything in the arena; call last.
  Result<Plan> Finish();

 private:
  void ReuseMemory();
  Status PlaceTensors();

  const graph::Graph& graph_;
  const graph::Subgraph& subgraph_;
  const std::vector<graph::KnownTensor>& known_;
  const PlanOptions& options_;
  PackedCache& cache_;
  Plan plan_;
  mutable bool waits_ = false;
  uint64_t packed_bytes_ = 0;
};

#define LATHE_PREPARE(name) Status name(Lowering& lowering, const Node& node);
LATHE_PREPARE(PrepareConv2d)
LATHE_PREPARE(PrepareTransposeConv)
LATHE_PREPARE(PrepareFullyConnected)
LATHE_PREPARE(PrepareBatchMatmul)
LATHE_PREPARE(PrepareUnary)
LATHE_PREPARE(PrepareBinary)
LATHE_PREPARE(PrepareSoftmax)
LATHE_PREPARE(PrepareReduce)
LATHE_PREPARE(PrepareCast)
LATHE_PREPARE(PrepareReshape)
LATHE_PREPARE(PrepareTranspose)
LATHE_PREPARE(PrepareSlice)
LATHE_PREPARE(PrepareStridedSlice)
LATHE_PREPARE(PrepareConcatenation)
LATHE_PREPARE(PreparePack)
LATHE_PREPARE(PrepareSplit)
LATHE_PREPARE(PrepareUnpack)
LATHE_PREPARE(PreparePad)
LATHE_PREPARE(PrepareBroadcastTo)
LATHE_PREPARE(PrepareTile)
LATHE_PREPARE(PrepareGather)
LATHE_PREPARE(PrepareSnake)
LATHE_PREPARE(PrepareLayerNorm)
LATHE_PREPARE(PrepareRmsNorm)
LATHE_PREPARE(PrepareAttention)
LATHE_PREPARE(PrepareRotary)
LATHE_PREPARE(PrepareGatedSilu)
LATHE_PREPARE(PrepareSilu)
#undef LATHE_PREPARE

}  // namespace lathe::plan

#endif  // LATHE_PLAN_LOWERING_H_

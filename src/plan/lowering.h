// The bench on which nodes become steps: what a preparer reads and writes.

#ifndef LATHE_PLAN_LOWERING_H_
#define LATHE_PLAN_LOWERING_H_

#include <cstdint>
#include <functional>
#include <map>
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
  // Bytes of a constant, not aligned. A sparse constant is dense here.
  std::span<const std::byte> ConstantBytes(int32_t tensor) const;
  // What a constant is made of, in words: equal keys have equal bytes.
  std::string KeyOf(int32_t tensor) const;
  // Values of a small integer tensor. An error, to be passed on, where they are
  // only known when the model runs: planning then goes on from there, later.
  Result<std::vector<int64_t>> Ints(int32_t tensor) const;
  // Whether an error of Ints was the reason that a preparer gave up.
  bool waits() const { return waits_; }

  // A packing of the constant `tensor`. `pack` gets the constant's float32
  // values and writes `floats` floats. The source's pages are given back.
  Result<Packed> Pack(int32_t tensor, std::string_view layout, size_t floats,
                      const std::function<void(const float*, float*)>& pack);

  // The same of a constant of any type; `pack` gets its bytes, not aligned.
  Result<Packed> PackConstant(
      int32_t tensor, std::string_view layout, uint64_t bytes,
      const std::function<void(std::span<const std::byte> from,
                               std::span<std::byte> to)>& pack);

  // A packing of any constants into `bytes` bytes, under a key that says what
  // it is made of (operators with the same key share it); the reader of the
  // pages gives them back itself where they lie in options().mapping.
  Result<Packed> PackBytes(
      const std::string& key, uint64_t bytes,
      const std::function<void(std::span<std::byte>)>& pack);

  // Gives a constant's pages back to the system where they are mapped.
  void GiveBack(std::span<const std::byte> source) const;

  // Makes `output` a constant that is worked out from the constant `source`:
  // `make` turns the source's bytes into the output's, whose memory is zero
  // before. That happens once for a model, under a key that says `how`, when
  // the bytes are first asked for; not at all where every reader packs them.
  using Make = std::function<void(std::span<const std::byte> from,
                                  std::span<std::byte> to)>;
  void MakeConstant(int32_t output, int32_t source, std::string_view how,
                    Make make);

  // Whether a float32 constant is made from float16, so that its values fit
  // into that.
  bool IsWidenedHalf(int32_t tensor) const;

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
  const graph::Subgraph& subgraph() const { return subgraph_; }

  // Operators of the range that read the tensor.
  std::span<const uint32_t> ReadersOf(int32_t tensor) const;

  // Memory that the steps which ask for it under one key have in common
  // (Step::shared); the first of them fills it.
  struct Share {
    int32_t index = -1;
    bool first = false;
  };
  Share ShareSpace(const std::string& key, uint64_t bytes);

  // MakePlan calls this before each node.
  void NextNode() { ++node_; }

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

  // A constant that is worked out from another one.
  struct Derived {
    int32_t source = graph::kNoTensor;  // kNoTensor: `stored`.
    std::span<const std::byte> stored;
    Make make;
    size_t packed_by = 0;  // Nodes that packed it.
    size_t last_node = 0;
  };
  void DensifyConstant(int32_t tensor);
  // The bytes of a constant, if need be made in `space` for the moment.
  std::span<const std::byte> BytesOf(int32_t tensor,
                                     std::vector<std::byte>& space) const;
  // The stored bytes that a constant comes from.
  std::span<const std::byte> RootOf(int32_t tensor) const;
  // Counts this node among those that need no bytes at run time.
  void CountPacked(int32_t tensor);
  void FinishConstants();

  const graph::Graph& graph_;
  const graph::Subgraph& subgraph_;
  const std::vector<graph::KnownTensor>& known_;
  const PlanOptions& options_;
  PackedCache& cache_;
  mutable bool waits_ = false;
  // Constants are worked out when they are asked for.
  mutable Plan plan_;
  std::map<int32_t, Derived> derived_;
  std::map<int32_t, std::string> keys_;  // Where the buffer does not say it.
  size_t node_ = 0;
  uint64_t packed_bytes_ = 0;
  std::vector<std::vector<uint32_t>> readers_;  // By tensor.
  std::map<std::string, int32_t> shares_;
};

#define LATHE_PREPARE(name) Status name(Lowering& lowering, const Node& node);
LATHE_PREPARE(PrepareConv2d)
LATHE_PREPARE(PrepareTransposeConv)
LATHE_PREPARE(PrepareDepthwiseConv2d)
LATHE_PREPARE(PrepareFullyConnected)
LATHE_PREPARE(PrepareBatchMatmul)
LATHE_PREPARE(PrepareUnary)
LATHE_PREPARE(PrepareBinary)
LATHE_PREPARE(PrepareSoftmax)
LATHE_PREPARE(PrepareReduce)
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

// Marks softmax(scale q k^T + bias) v.
//
// Exporters merge the leading dims (batch and heads) in front of each matrix
// product and split them again behind it. Such reshapes change no order, so
// they belong to the region, and so do a scalar factor on q or k and the
// TRANSPOSE of the last two axes of k. An operand is taken as far up as
// broadcasting still gives each matrix of the result the same matrices of the
// operands, which is checked matrix by matrix.

#include <algorithm>
#include <optional>
#include <vector>

#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;
using graph::Shape;

// Batch times heads. The check below walks them.
constexpr uint64_t kMostMatrices = 65536;
constexpr size_t kMostBiases = 2;
constexpr int kMostHops = 6;

Shape Leading(const Shape& shape) {
  return shape.size() < 2 ? Shape() : Shape(shape.begin(), shape.end() - 2);
}

// For each index of `over`, row-major, the index of the matrix that an operand
// with the leading dims `dims` gives by broadcasting. Empty: it does not fit.
std::vector<uint32_t> Broadcast(const Shape& dims, const Shape& over) {
  std::vector<uint32_t> picked;
  if (dims.size() > over.size()) {
    // Leading ones that `over` lacks change nothing.
    const size_t extra = dims.size() - over.size();
    for (size_t i = 0; i < extra; ++i) {
      if (dims[i] != 1) return picked;
    }
    return Broadcast(
        Shape(dims.begin() + static_cast<ptrdiff_t>(extra), dims.end()), over);
  }
  const size_t count = graph::ElementCount(over);
  for (size_t index = 0; index < count; ++index) {
    size_t rest = index, at = 0, run = 1;
    for (size_t from_right = 1; from_right <= dims.size(); ++from_right) {
      const auto extent = static_cast<size_t>(over[over.size() - from_right]);
      const auto dim = static_cast<size_t>(dims[dims.size() - from_right]);
      if (dim != 1 && dim != extent) return {};
      if (dim != 1) at += rest % extent * run;
      rest /= extent;
      run *= dim;
    }
    picked.push_back(static_cast<uint32_t>(at));
  }
  return picked;
}

// An operand of a product, somewhere up its chain of makers.
struct Operand {
  Draft draft;
  int32_t tensor = kNoTensor;
  float scale = 1;
  bool transposed = false;
};

struct Attention {
  explicit Attention(const Matcher& matcher) : draft(matcher) {}

  Draft draft;
  float scale = 1;
  std::vector<int32_t> biases;
  std::vector<Shape> bias_over;  // Leading dims of the sum with each bias.
  const Op* scores = nullptr;    // The product q k^T.
};

class AttentionMatch {
 public:
  explicit AttentionMatch(Matcher& matcher) : m_(matcher) {}

  void Try(uint32_t root) {
    if (m_.op(root).outputs.empty()) return;
    const int32_t product = m_.op(root).outputs[0];
    Attention a(m_);
    const Op* values = TakeProduct(a.draft, product);
    if (values == nullptr || values->options.Bool("adj_y")) return;
    const int32_t weights = SkipMerges(a.draft, values->inputs[0]);
    const Op* softmax = a.draft.Take(weights, OpCode::kSoftmax);
    if (softmax == nullptr || !TakeScores(a, softmax->inputs[0], false)) return;
    const double beta = softmax->options.Float("beta");
    // softmax(beta (s + bias)) would scale the bias, too.
    if (beta != 1 && !a.biases.empty()) return;
    a.scale *= static_cast<float>(beta);

    // With the reshape behind the product first: it lets operands go further.
    if (const auto user = m_.OnlyUser(product)) {
      const Op& behind = m_.op(*user);
      Attention with = a;
      if (!behind.outputs.empty() &&
          SkipMerge(with.draft, behind.outputs[0]) == product &&
          Finish(with, *values, product, behind.outputs[0])) {
        return;
      }
    }
    Finish(a, *values, product, product);
  }

 private:
  const Op* TakeProduct(Draft& draft, int32_t tensor) const {
    const Op* op = draft.Take(tensor, OpCode::kBatchMatmul, 2);
    if (op == nullptr || op->options.Bool("adj_x")) return nullptr;
    if (m_.RankOf(op->inputs[0]) < 2 || m_.RankOf(op->inputs[1]) < 2) {
      return nullptr;
    }
    return op;
  }

  // Takes a RESHAPE that keeps the last two axes and returns its input, or
  // `tensor` itself.
  int32_t SkipMerge(Draft& draft, int32_t tensor) const {
    if (!m_.fixed_shapes()) return tensor;
    const Draft before = draft;
    if (const Op* op = draft.Take(tensor, OpCode::kReshape)) {
      const Shape& from = m_.ShapeOf(op->inputs[0]);
      const Shape& to = m_.ShapeOf(tensor);
      if (from.size() >= 2 && to.size() >= 2 &&
          std::equal(from.end() - 2, from.end(), to.end() - 2)) {
        return op->inputs[0];
      }
    }
    draft = before;
    return tensor;
  }

  int32_t SkipMerges(Draft& draft, int32_t tensor) const {
    for (int hops = 0; hops < kMostHops; ++hops) {
      const int32_t from = SkipMerge(draft, tensor);
      if (from == tensor) break;
      tensor = from;
    }
    return tensor;
  }

  // tensor = v factor or v / divisor for a scalar constant. Returns v.
  int32_t TakeScaled(Draft& draft, int32_t tensor, float& scale) const {
    const Draft before = draft;
    if (const Op* mul = draft.Take(tensor, OpCode::kMul, 2)) {
      for (const size_t side : {size_t{1}, size_t{0}}) {
        const auto factor = m_.ScalarOf(mul->inputs[side]);
        if (!factor || m_.RankOf(mul->inputs[side]) > m_.RankOf(tensor)) {
          continue;
        }
        if (m_.ShapeOf(mul->inputs[1 - side]) != m_.ShapeOf(tensor)) continue;
        scale *= *factor;
        return mul->inputs[1 - side];
      }
    }
    draft = before;
    if (const Op* div = draft.Take(tensor, OpCode::kDiv, 2)) {
      const auto divisor = m_.ScalarOf(div->inputs[1]);
      if (divisor && *divisor != 0 &&
          m_.ShapeOf(div->inputs[0]) == m_.ShapeOf(tensor)) {
        scale /= *divisor;
        return div->inputs[0];
      }
    }
    draft = before;
    return kNoTensor;
  }

  // From what softmax reads back to q k^T: at most two biases, then a factor.
  bool TakeScores(Attention& a, int32_t tensor, bool scaled) const {
    tensor = SkipMerges(a.draft, tensor);
    const Attention before = a;
    if (const Op* product = TakeProduct(a.draft, tensor)) {
      a.scores = product;
      return true;
    }
    a = before;
    if (!scaled && a.biases.size() < kMostBiases) {
      const Op* add = a.draft.Take(tensor, OpCode::kAdd, 2);
      if (add != nullptr &&
          EitherOrder(a, *add, [&](int32_t scores, int32_t bias) {
            if (!FitsScores(bias, scores, tensor)) return false;
            a.biases.push_back(bias);
            a.bias_over.push_back(Leading(m_.ShapeOf(tensor)));
            return TakeScores(a, scores, false);
          })) {
        return true;
      }
      a = before;
    }
    if (!scaled) {
      const int32_t inner = TakeScaled(a.draft, tensor, a.scale);
      if (inner != kNoTensor) return TakeScores(a, inner, true);
    }
    return false;
  }

  // Adding the bias may add leading ones to the scores' shape, no more.
  bool FitsScores(int32_t bias, int32_t scores, int32_t sum) const {
    const Shape& from = m_.ShapeOf(scores);
    const Shape& to = m_.ShapeOf(sum);
    return m_.IsFloat(bias) && m_.CountOf(sum) == m_.CountOf(scores) &&
           from.size() >= 2 && to.size() >= 2 &&
           std::equal(from.end() - 2, from.end(), to.end() - 2);
  }

  // The operand itself, then each tensor up its chain that may stand for it.
  std::vector<Operand> Chain(int32_t tensor, bool is_k,
                             bool takes_scale) const {
    std::vector<Operand> chain = {{Draft(m_), tensor}};
    for (int hops = 0; hops < kMostHops; ++hops) {
      Operand next = chain.back();
      const int32_t at = next.tensor;
      next.tensor = SkipMerge(next.draft, at);
      if (next.tensor == at && takes_scale) {
        next.tensor = TakeScaled(next.draft, at, next.scale);
      }
      if ((next.tensor == at || next.tensor == kNoTensor) && is_k) {
        next.tensor = TakeSwap(next.draft, at);
        next.transposed = !next.transposed;
      }
      if (next.tensor == at || next.tensor == kNoTensor) break;
      // What others use as well would be computed twice.
      if (!m_.OnlyUser(at)) break;
      chain.push_back(std::move(next));
    }
    return chain;
  }

  // A TRANSPOSE that swaps the last two axes.
  int32_t TakeSwap(Draft& draft, int32_t tensor) const {
    const Draft before = draft;
    if (const Op* op = draft.Take(tensor, OpCode::kTranspose, 2)) {
      const auto order = m_.IntsOf(op->inputs[1]);
      const size_t rank = m_.RankOf(tensor);
      bool swaps = order && order->size() == rank && rank >= 2;
      for (size_t i = 0; swaps && i < rank; ++i) {
        const size_t from = i + 2 < rank ? i : 2 * rank - 3 - i;
        swaps = (*order)[i] == static_cast<int64_t>(from);
      }
      if (swaps) return op->inputs[0];
    }
    draft = before;
    return kNoTensor;
  }

  // The furthest operand that gives the matrices of `wanted` over `over`.
  std::optional<Operand> Furthest(const std::vector<Operand>& chain,
                                  const std::vector<uint32_t>& wanted,
                                  const Shape& over) const {
    if (wanted.empty()) return std::nullopt;
    for (size_t i = chain.size(); i-- > 0;) {
      const Shape dims = Leading(m_.ShapeOf(chain[i].tensor));
      if (Broadcast(dims, over) == wanted) return chain[i];
    }
    return std::nullopt;
  }

  // y is `product`, or the same with its leading dims split.
  bool Finish(Attention& a, const Op& values, int32_t product, int32_t y) {
    const int32_t q = a.scores->inputs[0], k = a.scores->inputs[1],
                  v = values.inputs[1];
    const Shape merged = Leading(m_.ShapeOf(product));
    const Shape scores = Leading(m_.ShapeOf(a.scores->outputs[0]));
    const Shape over = Leading(m_.ShapeOf(y));
    const uint64_t count = graph::ElementCount(over);
    if (count == 0 || count > kMostMatrices ||
        count != graph::ElementCount(merged) ||
        count != graph::ElementCount(scores)) {
      return false;
    }
    const bool split_k = a.scores->options.Bool("adj_y");
    const auto pick = [&](int32_t operand, const Shape& by, bool is_k,
                          bool takes_scale) {
      return Furthest(Chain(operand, is_k, takes_scale),
                      Broadcast(Leading(m_.ShapeOf(operand)), by), over);
    };
    const auto from_q = pick(q, scores, false, true);
    const auto from_k = pick(k, scores, true, true);
    const auto from_v = pick(v, merged, false, false);
    if (!from_q || !from_k || !from_v) return false;
    for (size_t i = 0; i < a.biases.size(); ++i) {
      const Shape dims = Leading(m_.ShapeOf(a.biases[i]));
      const auto wanted = Broadcast(dims, a.bias_over[i]);
      if (wanted.empty() || Broadcast(dims, over) != wanted) return false;
    }
    graph::Region region;
    region.kind = graph::RegionKind::kAttention;
    region.inputs = {from_q->tensor, from_k->tensor, from_v->tensor};
    region.inputs.insert(region.inputs.end(), a.biases.begin(), a.biases.end());
    region.outputs = {y};
    region.scale = a.scale * from_q->scale * from_k->scale;
    region.transposed_k = split_k == from_k->transposed;
    for (const auto* operand : {&*from_q, &*from_k, &*from_v}) {
      for (const uint32_t op : operand->draft.ops()) a.draft.Add(op);
    }
    return m_.Mark(a.draft, std::move(region)) != nullptr;
  }

  Matcher& m_;
};

}  // namespace

Status MarkAttention(graph::Graph& graph, const PassOptions&) {
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    AttentionMatch match(matcher);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) match.Try(i);
  }
  return {};
}

}  // namespace lathe::passes

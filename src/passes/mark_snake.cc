// Marks x + sin^2(x a) b, with one a and one b for each index of the last axis.

#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;

// All divisors of a graph that are turned into factors. Tensors may share one
// buffer, so that a small file could ask for any amount.
constexpr uint64_t kMostInverses = uint64_t{1} << 22;

class SnakeMatch {
 public:
  // At most `values_left` divisors are inverted; it counts down.
  SnakeMatch(Matcher& matcher, uint64_t& values_left)
      : m_(matcher), values_left_(values_left) {}

  void Try(uint32_t root) {
    const int32_t y =
        m_.op(root).outputs.empty() ? kNoTensor : m_.op(root).outputs[0];
    Draft draft(m_);
    const Op* add = draft.Take(y, OpCode::kAdd, 2);
    if (add == nullptr) return;
    EitherOrder(draft, *add, [&](int32_t x, int32_t bump) {
      int32_t b = kNoTensor, divisor = kNoTensor;
      const int32_t square = TakeFactor(draft, bump, x, b, divisor);
      if (square == kNoTensor) return false;
      const Op* sin = draft.Take(TakeSquare(m_, draft, square), OpCode::kSin);
      if (sin == nullptr) return false;
      const Op* angle = draft.Take(sin->inputs[0], OpCode::kMul, 2);
      if (angle == nullptr) return false;
      const int32_t a =
          angle->inputs[0] == x ? angle->inputs[1] : angle->inputs[0];
      if (a == x || (angle->inputs[0] != x && angle->inputs[1] != x)) {
        return false;
      }
      if (!IsPerChannel(a, x)) return false;
      return Finish(draft, x, a, b, divisor, y);
    });
  }

 private:
  bool IsPerChannel(int32_t tensor, int32_t x) const {
    return m_.IsFixed(tensor) && m_.FitsLastAxis(tensor, x) &&
           m_.CountOf(tensor) == static_cast<uint64_t>(m_.ShapeOf(x).back());
  }

  // bump = square b, or square / divisor. Returns square.
  int32_t TakeFactor(Draft& draft, int32_t bump, int32_t x, int32_t& b,
                     int32_t& divisor) const {
    const Draft before = draft;
    if (const Op* mul = draft.Take(bump, OpCode::kMul, 2)) {
      for (const size_t side : {size_t{1}, size_t{0}}) {
        if (!IsPerChannel(mul->inputs[side], x)) continue;
        b = mul->inputs[side];
        return mul->inputs[1 - side];
      }
    }
    draft = before;
    if (const Op* div = draft.Take(bump, OpCode::kDiv, 2)) {
      if (IsPerChannel(div->inputs[1], x)) {
        divisor = div->inputs[1];
        return div->inputs[0];
      }
    }
    return kNoTensor;
  }

  bool Finish(const Draft& draft, int32_t x, int32_t a, int32_t b,
              int32_t divisor, int32_t y) {
    graph::Region region;
    region.kind = graph::RegionKind::kSnake;
    region.outputs = {y};
    if (divisor == kNoTensor) {
      region.inputs = {x, a, b};
      return m_.Mark(draft, std::move(region)) != nullptr;
    }
    auto values = m_.FloatsOf(divisor, values_left_);
    if (!values) return false;
    // A constant that is added for nothing would stay in the graph: the divisor
    // stands in for b until the region is known to be one.
    region.inputs = {x, a, divisor};
    graph::Region* marked = m_.Mark(draft, std::move(region));
    if (marked == nullptr) return false;
    values_left_ -= values->size();
    for (float& value : *values) value = 1.0f / value;
    const graph::Shape shape = m_.ShapeOf(divisor);
    marked->inputs[2] =
        m_.AddFloats(m_.NameOf(divisor) + "/inverse", shape, *values);
    return true;
  }

  Matcher& m_;
  uint64_t& values_left_;
};

}  // namespace

Status MarkSnake(graph::Graph& graph, const PassOptions&) {
  uint64_t values_left = kMostInverses;
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    SnakeMatch match(matcher, values_left);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) match.Try(i);
  }
  return {};
}

}  // namespace lathe::passes

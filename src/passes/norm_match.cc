// Finds norms over the last axis, from their last operator backwards.
//
// Forms, where r = 1 / sqrt(mean(u^2) + epsilon) has one value per row, c is x
// minus its mean and u is c (layer) or x (RMS):
//   u * r,  u / sqrt(..),  u * (r * gamma)                     both kinds
//   x * r + (-(mean * r)),  x * r - mean * r                    layer
//   x * (r * gamma) + (beta - mean * (r * gamma))               layer
// and behind them, when nobody else uses the result, * gamma and + beta.
// Exporters put values per row into any shape and RESHAPE them where they meet
// x, so reshapes between are part of the norm.

#include "src/passes/norm_match.h"

namespace lathe::passes {
namespace {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;

struct Norm {
  Draft draft;
  int32_t x = kNoTensor, gamma = kNoTensor, beta = kNoTensor;
  float epsilon = 0;
};

class NormMatch {
 public:
  NormMatch(Matcher& matcher, NormKind kind) : m_(matcher), kind_(kind) {}

  void Try(uint32_t root) {
    if (m_.op(root).outputs.empty()) return;
    int32_t y = m_.op(root).outputs[0];
    Norm norm{Draft(m_)};
    if (!TakeProduct(norm, y) && !TakeQuotient(norm, y) &&
        !(kind_ == NormKind::kLayer && TakeSum(norm, y))) {
      return;
    }
    if (m_.ShapeOf(y) != m_.ShapeOf(norm.x)) return;
    if (norm.gamma == kNoTensor && norm.beta == kNoTensor) {
      norm.gamma = TakeNext(norm, OpCode::kMul, y);
    }
    if (norm.beta == kNoTensor && kind_ == NormKind::kLayer) {
      norm.beta = TakeNext(norm, OpCode::kAdd, y);
    }
    graph::Region region;
    region.kind = kind_ == NormKind::kLayer ? graph::RegionKind::kLayerNorm
                                            : graph::RegionKind::kRmsNorm;
    region.inputs = {norm.x, norm.gamma};
    if (kind_ == NormKind::kLayer) region.inputs.push_back(norm.beta);
    region.outputs = {y};
    region.epsilon = norm.epsilon;
    m_.Mark(norm.draft, std::move(region));
  }

 private:
  bool IsWeight(int32_t tensor, int32_t x) const {
    return m_.IsFixed(tensor) && m_.FitsLastAxis(tensor, x);
  }

  // y = u * r [gamma]
  bool TakeProduct(Norm& norm, int32_t y) const {
    const Norm before = norm;
    const Op* mul = norm.draft.Take(y, OpCode::kMul, 2);
    if (mul != nullptr &&
        EitherOrder(norm, *mul, [&](int32_t u, int32_t scale) {
          return TakeCentred(norm, u) && TakeScale(norm, scale);
        })) {
      return true;
    }
    norm = before;
    return false;
  }

  // y = u / sqrt(mean(u^2) + epsilon)
  bool TakeQuotient(Norm& norm, int32_t y) const {
    const Norm before = norm;
    const Op* div = norm.draft.Take(y, OpCode::kDiv, 2);
    if (div != nullptr && TakeCentred(norm, div->inputs[0]) &&
        BroadcastsOverRows(m_, div->inputs[1], norm.x)) {
      const int32_t root = norm.draft.SkipReshapes(div->inputs[1]);
      const Op* sqrt = norm.draft.Take(root, OpCode::kSqrt);
      if (sqrt != nullptr && TakeVariance(norm, sqrt->inputs[0])) return true;
    }
    norm = before;
    return false;
  }

  // y = x * r + shift, or x * r - mean * r
  bool TakeSum(Norm& norm, int32_t y) const {
    const Norm before = norm;
    const Op* add = norm.draft.Take(y, OpCode::kAdd, 2);
    if (add != nullptr &&
        EitherOrder(norm, *add, [&](int32_t scaled, int32_t shift) {
          return TakeScaled(norm, scaled) && TakeShift(norm, shift);
        })) {
      return true;
    }
    norm = before;
    const Op* sub = norm.draft.Take(y, OpCode::kSub, 2);
    if (sub != nullptr && TakeScaled(norm, sub->inputs[0]) &&
        norm.gamma == kNoTensor &&
        BroadcastsOverRows(m_, sub->inputs[1], norm.x) &&
        TakeMeanTimesScale(norm, sub->inputs[1])) {
      return true;
    }
    norm = before;
    return false;
  }

  // u: x itself, or x minus the mean of its rows. Sets norm.x.
  bool TakeCentred(Norm& norm, int32_t u) const {
    if (kind_ == NormKind::kRms) {
      norm.x = u;
      return m_.RankOf(u) > 0;
    }
    const Op* sub = norm.draft.Take(u, OpCode::kSub, 2);
    if (sub == nullptr) return false;
    norm.x = sub->inputs[0];
    return IsMean(norm, sub->inputs[1]) &&
           BroadcastsOverRows(m_, sub->inputs[1], norm.x);
  }

  bool IsMean(Norm& norm, int32_t tensor) const {
    return TakeRowMeans(m_, norm.draft, tensor) == norm.x;
  }

  // scaled = x * r [gamma], for x not known yet.
  bool TakeScaled(Norm& norm, int32_t scaled) const {
    const Op* mul = norm.draft.Take(scaled, OpCode::kMul, 2);
    return mul != nullptr &&
           EitherOrder(norm, *mul, [&](int32_t x, int32_t scale) {
             norm.x = x;
             return m_.RankOf(x) > 0 && TakeScale(norm, scale);
           });
  }

  // scale = r, or r * gamma. Sets norm.gamma in the second case.
  bool TakeScale(Norm& norm, int32_t scale) const {
    const Norm before = norm;
    if (BroadcastsOverRows(m_, scale, norm.x) && TakeInverse(norm, scale)) {
      return true;
    }
    norm = before;
    const Op* mul = norm.draft.Take(scale, OpCode::kMul, 2);
    return mul != nullptr &&
           EitherOrder(norm, *mul, [&](int32_t r, int32_t gamma) {
             if (!IsWeight(gamma, norm.x)) return false;
             norm.gamma = gamma;
             return BroadcastsOverRows(m_, r, norm.x) && TakeInverse(norm, r);
           });
  }

  // rows = 1 / sqrt(mean(u^2) + epsilon) in whatever shape.
  bool TakeInverse(Norm& norm, int32_t rows) const {
    rows = norm.draft.SkipReshapes(rows);
    return TakeVariance(norm, TakeInverseRoot(m_, norm.draft, rows));
  }

  // rows = mean(u^2) + epsilon in whatever shape.
  bool TakeVariance(Norm& norm, int32_t rows) const {
    rows = norm.draft.SkipReshapes(rows);
    float epsilon = 0;
    rows = TakePlusEpsilon(m_, norm.draft, rows, epsilon);
    if (rows == kNoTensor) return false;
    norm.epsilon = epsilon;
    const Norm before = norm;
    const int32_t squares = TakeRowMeans(m_, norm.draft, rows);
    if (squares != kNoTensor && TakeSquares(norm, squares)) return true;
    norm = before;
    return kind_ == NormKind::kLayer && TakeDifferenceOfMeans(norm, rows);
  }

  // squares = u^2
  bool TakeSquares(Norm& norm, int32_t squares) const {
    if (kind_ == NormKind::kRms) {
      return TakeSquare(m_, norm.draft, squares) == norm.x;
    }
    if (const Op* difference =
            norm.draft.Take(squares, OpCode::kSquaredDifference, 2)) {
      return EitherOrder(norm, *difference, [&](int32_t x, int32_t mean) {
        return x == norm.x && BroadcastsOverRows(m_, mean, x) &&
               IsMean(norm, mean);
      });
    }
    const int32_t centred = TakeSquare(m_, norm.draft, squares);
    const int32_t x = norm.x;
    return centred != kNoTensor && TakeCentred(norm, centred) && norm.x == x;
  }

  // rows = mean(x^2) - mean(x)^2
  bool TakeDifferenceOfMeans(Norm& norm, int32_t rows) const {
    rows = norm.draft.SkipReshapes(rows);
    const Op* sub = norm.draft.Take(rows, OpCode::kSub, 2);
    if (sub == nullptr || !SameCount(rows, sub->inputs[0], sub->inputs[1])) {
      return false;
    }
    const int32_t squares = TakeRowMeans(m_, norm.draft, sub->inputs[0]);
    if (squares == kNoTensor || TakeSquare(m_, norm.draft, squares) != norm.x) {
      return false;
    }
    const int32_t square = norm.draft.SkipReshapes(sub->inputs[1]);
    return IsMean(norm, TakeSquare(m_, norm.draft, square));
  }

  // shift = -(mean * r), or beta - mean * (r * gamma).
  bool TakeShift(Norm& norm, int32_t shift) const {
    if (norm.gamma == kNoTensor) {
      if (!BroadcastsOverRows(m_, shift, norm.x)) return false;
      const int32_t rows = norm.draft.SkipReshapes(shift);
      return TakeMeanTimesScale(norm, TakeNegated(m_, norm.draft, rows));
    }
    const Op* sub = norm.draft.Take(shift, OpCode::kSub, 2);
    if (sub == nullptr || !IsWeight(sub->inputs[0], norm.x)) return false;
    norm.beta = sub->inputs[0];
    return TakeMeanTimesScale(norm, sub->inputs[1]);
  }

  // product = mean * r [gamma]
  bool TakeMeanTimesScale(Norm& norm, int32_t product) const {
    const bool has_gamma = norm.gamma != kNoTensor;
    if (!has_gamma) product = norm.draft.SkipReshapes(product);
    const Op* mul = norm.draft.Take(product, OpCode::kMul, 2);
    if (mul == nullptr) return false;
    return EitherOrder(norm, *mul, [&](int32_t mean, int32_t scale) {
      const int32_t gamma = norm.gamma;
      if (!IsMean(norm, mean)) return false;
      if (has_gamma) {
        return BroadcastsOverRows(m_, mean, norm.x) && TakeScale(norm, scale) &&
               norm.gamma == gamma;
      }
      // Values per row, in equal counts: no outer product.
      return SameCount(product, mean, scale) && TakeInverse(norm, scale);
    });
  }

  bool SameCount(int32_t a, int32_t b, int32_t c) const {
    return m_.CountOf(a) == m_.CountOf(b) && m_.CountOf(a) == m_.CountOf(c);
  }

  // Takes y * weight or y + weight, if that is the only use of y, and moves y
  // on. Returns the weight or kNoTensor.
  int32_t TakeNext(Norm& norm, OpCode code, int32_t& y) const {
    const auto user = m_.OnlyUser(y);
    if (!user || m_.op(*user).outputs.size() != 1) return kNoTensor;
    const int32_t next = m_.op(*user).outputs[0];
    const Draft before = norm.draft;
    const Op* op = norm.draft.Take(next, code, 2);
    if (op != nullptr && m_.ShapeOf(next) == m_.ShapeOf(norm.x)) {
      const int32_t weight = op->inputs[0] == y ? op->inputs[1] : op->inputs[0];
      if (IsWeight(weight, norm.x)) {
        y = next;
        return weight;
      }
    }
    norm.draft = before;
    return kNoTensor;
  }

  Matcher& m_;
  NormKind kind_;
};

}  // namespace

void MarkNorms(graph::Graph& graph, NormKind kind) {
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    NormMatch match(matcher, kind);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) match.Try(i);
  }
}

}  // namespace lathe::passes

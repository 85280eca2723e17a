// Marks half-split rotary embeddings.
//
// With a, b the first two halves of the rotated channels of x and rest what
// follows them, the forms are
//   concat(a cos - b sin, b cos + a sin, rest)
//   concat(v, rest) or v alone, where v = w COS + concat(-b, a) SIN,
//     w = (a, b), and COS, SIN are constants whose two halves are equal.

#include <algorithm>
#include <map>
#include <vector>

#include "src/passes/last_axis.h"
#include "src/passes/match.h"
#include "src/passes/passes.h"

namespace lathe::passes {
namespace {

using graph::kNoTensor;
using graph::Op;
using graph::OpCode;

// All tables of a graph that are halved. 2^24 floats are 64 MiB: 131,072
// positions of 128 channels. Tensors may share one buffer, so that a small file
// could ask for any amount.
constexpr uint64_t kMostTableValues = uint64_t{1} << 24;

// y is the rotation of x by cos and sin, each [.., half].
struct Rotation {
  Draft draft;
  int32_t x = kNoTensor, cos = kNoTensor, sin = kNoTensor;
  int32_t half = 0;
  bool whole_tables = false;  // cos and sin are [.., 2 half].
};

class RotaryMatch {
 public:
  // At most `values_left` values of tables are halved; it counts down.
  RotaryMatch(Matcher& matcher, uint64_t& values_left)
      : m_(matcher), values_left_(values_left) {}

  // Rotations that end in a concatenation come first: the sum inside one of
  // the second form would be taken for a rotation of its own.
  void TryConcatenation(uint32_t root) {
    if (m_.op(root).outputs.empty()) return;
    const int32_t y = m_.op(root).outputs[0];
    Rotation rotation{Draft(m_)};
    if (TakeParts(rotation, y) || TakeWithRest(rotation, y)) {
      Finish(rotation, y);
    }
  }
  void TrySum(uint32_t root) {
    if (m_.op(root).outputs.empty()) return;
    const int32_t y = m_.op(root).outputs[0];
    Rotation rotation{Draft(m_)};
    if (TakeWhole(rotation, y)) Finish(rotation, y);
  }

 private:
  // The inputs of a concatenation along the last axis.
  const Op* TakeConcatenation(Draft& draft, int32_t y, size_t parts) const {
    const Op* op = draft.Take(y, OpCode::kConcatenation, 2);
    if (op == nullptr || op->inputs.size() != parts) return nullptr;
    const auto rank = static_cast<int64_t>(m_.RankOf(y));
    const int64_t axis = op->options.Int("axis");
    return axis == rank - 1 || axis == -1 ? op : nullptr;
  }

  // y = concat(a cos - b sin, b cos + a sin [, rest])
  bool TakeParts(Rotation& r, int32_t y) const {
    const Rotation before = r;
    const Op* concat = TakeConcatenation(r.draft, y, 2);
    if (concat == nullptr) {
      r = before;
      concat = TakeConcatenation(r.draft, y, 3);
    }
    if (concat != nullptr &&
        TakeTurned(r, concat->inputs[0], concat->inputs[1]) &&
        (concat->inputs.size() == 3 ? IsRest(r, concat->inputs[2])
                                    : m_.ShapeOf(r.x).back() == 2 * r.half)) {
      return true;
    }
    r = before;
    return false;
  }

  // first = a cos - b sin, second = b cos + a sin
  bool TakeTurned(Rotation& r, int32_t first, int32_t second) const {
    const Op* sub = r.draft.Take(first, OpCode::kSub, 2);
    const Op* add = r.draft.Take(second, OpCode::kAdd, 2);
    if (sub == nullptr || add == nullptr) return false;
    const Op* a_cos = r.draft.Take(sub->inputs[0], OpCode::kMul, 2);
    const Op* b_sin = r.draft.Take(sub->inputs[1], OpCode::kMul, 2);
    if (a_cos == nullptr || b_sin == nullptr) return false;
    return EitherOrder(r, *a_cos, [&](int32_t a, int32_t cos) {
      return EitherOrder(r, *b_sin, [&](int32_t b, int32_t sin) {
        r.cos = cos;
        r.sin = sin;
        return TakeHalves(r, a, b) &&
               EitherOrder(r, *add, [&](int32_t b_cos, int32_t a_sin) {
                 return IsProduct(r.draft, b_cos, b, cos) &&
                        IsProduct(r.draft, a_sin, a, sin);
               });
      });
    });
  }

  bool IsProduct(Draft& draft, int32_t y, int32_t u, int32_t v) const {
    const Op* mul = draft.Take(y, OpCode::kMul, 2);
    return mul != nullptr && ((mul->inputs[0] == u && mul->inputs[1] == v) ||
                              (mul->inputs[0] == v && mul->inputs[1] == u));
  }

  // a and b are the first two ranges of one tensor, of equal size.
  bool TakeHalves(Rotation& r, int32_t a, int32_t b) const {
    const LastAxisRange first = TakeLastAxisRange(m_, r.draft, a);
    const LastAxisRange second = TakeLastAxisRange(m_, r.draft, b);
    r.x = first.base;
    r.half = first.size;
    return first.base != kNoTensor && second.base == first.base &&
           first.first == 0 && second.first == first.size &&
           second.size == first.size;
  }

  // rest is what follows the rotated channels of x.
  bool IsRest(Rotation& r, int32_t rest) const {
    const LastAxisRange range = TakeLastAxisRange(m_, r.draft, rest);
    return range.base == r.x && range.first == 2 * r.half &&
           range.first + range.size == m_.ShapeOf(r.x).back();
  }

  // y = concat(v, rest), v a rotation of the first channels of x.
  bool TakeWithRest(Rotation& r, int32_t y) const {
    const Op* concat = TakeConcatenation(r.draft, y, 2);
    if (concat == nullptr) return false;
    const int32_t v = concat->inputs[0];
    if (!TakeWhole(r, v) && !TakeParts(r, v)) return false;
    const LastAxisRange range = TakeLastAxisRange(m_, r.draft, r.x);
    if (range.base == kNoTensor || range.first != 0) return false;
    r.x = range.base;
    return IsRest(r, concat->inputs[1]);
  }

  // v = w COS + concat(-b, a) SIN, with w = (a, b).
  bool TakeWhole(Rotation& r, int32_t v) const {
    const Rotation before = r;
    const Op* add = r.draft.Take(v, OpCode::kAdd, 2);
    if (add != nullptr &&
        EitherOrder(r, *add, [&](int32_t straight, int32_t crossed) {
          return TakeWholeTerms(r, straight, crossed);
        })) {
      return true;
    }
    r = before;
    return false;
  }

  bool TakeWholeTerms(Rotation& r, int32_t straight, int32_t crossed) const {
    const Op* w_cos = r.draft.Take(straight, OpCode::kMul, 2);
    const Op* swapped_sin = r.draft.Take(crossed, OpCode::kMul, 2);
    if (w_cos == nullptr || swapped_sin == nullptr) return false;
    return EitherOrder(r, *swapped_sin, [&](int32_t swapped, int32_t sin) {
      const Op* concat = TakeConcatenation(r.draft, swapped, 2);
      if (concat == nullptr) return false;
      const int32_t b = TakeNegated(m_, r.draft, concat->inputs[0]);
      if (!TakeHalves(r, concat->inputs[1], b)) return false;
      r.sin = sin;
      r.cos = w_cos->inputs[0] == r.x ? w_cos->inputs[1] : w_cos->inputs[0];
      r.whole_tables = true;
      return (w_cos->inputs[0] == r.x || w_cos->inputs[1] == r.x) &&
             m_.ShapeOf(r.x).back() == 2 * r.half;
    });
  }

  // The table's dims are 1 or those of x; its last is `columns`.
  bool IsTable(int32_t table, int32_t x, int32_t columns) const {
    const graph::Shape& shape = m_.ShapeOf(table);
    const graph::Shape& large = m_.ShapeOf(x);
    if (shape.empty() || shape.size() > large.size()) return false;
    if (shape.back() != columns) return false;
    for (size_t i = 1; i < shape.size(); ++i) {
      const int32_t dim = shape[shape.size() - 1 - i];
      if (dim != 1 && dim != large[large.size() - 1 - i]) return false;
    }
    return true;
  }

  void Finish(const Rotation& r, int32_t y) {
    const int32_t columns = r.whole_tables ? 2 * r.half : r.half;
    if (!IsTable(r.cos, r.x, columns) ||
        m_.ShapeOf(r.cos) != m_.ShapeOf(r.sin) ||
        m_.ShapeOf(r.x) != m_.ShapeOf(y)) {
      return;
    }
    graph::Region region;
    region.kind = graph::RegionKind::kRotary;
    region.inputs = {r.x, r.cos, r.sin};
    region.outputs = {y};
    if (!r.whole_tables) {
      m_.Mark(r.draft, std::move(region));
      return;
    }
    if (Halve(r.cos).empty() || Halve(r.sin).empty()) return;
    graph::Region* marked = m_.Mark(r.draft, std::move(region));
    if (marked == nullptr) return;
    marked->inputs[1] = HalfTable(r.cos);
    marked->inputs[2] = HalfTable(r.sin);
  }

  // The first half of each row, if the second is equal to it; else empty.
  const std::vector<float>& Halve(int32_t table) {
    const auto [entry, is_new] = tables_.try_emplace(table);
    std::vector<float>& half = entry->second.half;
    const auto values =
        is_new ? m_.FloatsOf(table, values_left_) : std::nullopt;
    if (!values) return half;
    values_left_ -= values->size();
    const auto columns = static_cast<ptrdiff_t>(m_.ShapeOf(table).back());
    half.reserve(values->size() / 2);
    for (auto row = values->begin(); row != values->end(); row += columns) {
      const auto middle = row + columns / 2;
      if (!std::equal(row, middle, middle)) {
        half.clear();
        break;
      }
      half.insert(half.end(), row, middle);
    }
    return half;
  }

  // The constant with those values.
  int32_t HalfTable(int32_t table) {
    Table& entry = tables_[table];
    if (entry.tensor == kNoTensor) {
      graph::Shape shape = m_.ShapeOf(table);
      shape.back() /= 2;
      entry.tensor = m_.AddFloats(m_.NameOf(table) + "/first_half",
                                  std::move(shape), entry.half);
    }
    return entry.tensor;
  }

  // Layers share their tables, so each is halved once.
  struct Table {
    std::vector<float> half;
    int32_t tensor = kNoTensor;
  };

  Matcher& m_;
  uint64_t& values_left_;
  std::map<int32_t, Table> tables_;  // Those looked at so far.
};

}  // namespace

Status MarkRotary(graph::Graph& graph, const PassOptions&) {
  uint64_t values_left = kMostTableValues;
  for (graph::Subgraph& subgraph : graph.subgraphs) {
    Matcher matcher(graph, subgraph);
    RotaryMatch match(matcher, values_left);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) match.TryConcatenation(i);
    for (uint32_t i = 0; i < matcher.op_count(); ++i) match.TrySum(i);
  }
  return {};
}

}  // namespace lathe::passes

#include "src/quant/records.h"

namespace lathe::quant {
namespace {

// Bytes depend on the source and the grid, and for some algorithms on more.
bool SameData(const std::shared_ptr<const Encoding>& a,
              const std::shared_ptr<const Encoding>& b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr) return false;
  const auto algorithm = [](const Encoding& e) {
    return e.weights ? e.weights->algorithm : Algorithm::kMinMax;
  };
  // What is told apart by the Hadamard size and the multiplier is told apart
  // by the grid.
  const bool a_gptq = algorithm(*a) == Algorithm::kGptq;
  const bool b_gptq = algorithm(*b) == Algorithm::kGptq;
  if (a_gptq != b_gptq || (a_gptq && a->statistics != b->statistics)) {
    return false;
  }
  return a->source.buffer.bytes.data() == b->source.buffer.bytes.data() &&
         a->source.buffer.size() == b->source.buffer.size();
}

}  // namespace

bool SameKind(const Grid& a, const Grid& b) {
  return a.bits == b.bits && a.is_signed == b.is_signed &&
         a.is_float16 == b.is_float16 && a.symmetric == b.symmetric &&
         a.axis == b.axis && a.block == b.block &&
         a.hadamard_size == b.hadamard_size && a.multiplies == b.multiplies &&
         a.multiplier == b.multiplier && SameData(a.data, b.data);
}

bool SameGrid(const GridPtr& a, const GridPtr& b, Behaviour behaviour) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr) return false;
  return SameKind(*a, *b) && a->scale == b->scale &&
         a->zero_point == b->zero_point &&
         (behaviour == Behaviour::kCorrect || a->rank == b->rank);
}

}  // namespace lathe::quant

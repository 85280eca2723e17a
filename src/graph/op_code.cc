// The table of operators, made from op_code.inc.

#include "src/graph/op_code.h"

#include <algorithm>
#include <iterator>

namespace lathe::graph {
namespace {

constexpr OpFacts kOps[] = {
#define LATHE_OP(number, name, constant, options, version) \
  {OpCode::constant, name, options, version},
#include "src/graph/op_code.inc"
#undef LATHE_OP
};

// The numbers have no gaps, so a number is its own place in the table.
constexpr bool NumbersAreDense() {
  for (size_t i = 0; i < std::size(kOps); ++i) {
    if (static_cast<size_t>(kOps[i].code) != i) return false;
  }
  return true;
}
static_assert(NumbersAreDense());

}  // namespace

std::span<const OpFacts> AllOps() { return kOps; }

const OpFacts* FactsOf(int32_t number) {
  if (number < 0 || static_cast<size_t>(number) >= std::size(kOps)) {
    return nullptr;
  }
  return &kOps[number];
}

std::optional<OpCode> OpCodeNamed(std::string_view name) {
  const auto found = std::ranges::find(kOps, name, &OpFacts::name);
  if (found == std::end(kOps)) return std::nullopt;
  return found->code;
}

}  // namespace lathe::graph

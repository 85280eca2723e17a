// lathe_operators: the page docs/operators.md, from the table that planning
// reads.

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "src/graph/op_code.h"
#include "src/plan/op_table.h"

namespace {

using lathe::graph::Type;

struct Column {
  const char* name;
  std::vector<Type> types;
};
const Column kColumns[] = {
    {"f32", {Type::kFloat32}},
    {"f16, bf16", {Type::kFloat16, Type::kBfloat16}},
    {"i8", {Type::kInt8}},
    {"u8", {Type::kUint8}},
    {"i16", {Type::kInt16}},
    {"i32", {Type::kInt32}},
    {"i64", {Type::kInt64}},
    {"bool", {Type::kBool}},
    {"string", {Type::kString}},
    {"complex", {Type::kComplex64}},
};

struct Facts {
  uint32_t types = 0;
  bool any = false;  // Types do not count.
  std::set<std::string> notes;
};

}  // namespace

int main() {
  std::map<std::pair<int, std::string>, Facts> rows;
  for (const lathe::plan::OpRow& row : lathe::plan::OpTable()) {
    Facts& facts =
        rows[{static_cast<int>(row.code), std::string(row.custom)}];
    facts.types |= row.types;
    facts.any = facts.any || row.data == lathe::plan::OpRow::kNone;
    if (!row.note.empty()) facts.notes.emplace(row.note);
  }
  fmt::print(
      "# Operators\n\n"
      "Made by `build/release/src/plan/lathe_operators` from the table that "
      "planning reads\n(`src/plan/op_table.h`); a test compares. A cell says "
      "that the operator runs on data of\nthat type (of its output or its "
      "first input). Integers of 8 and 16 bits are quantized where the\nfile "
      "says so. Weights may be narrower than the data: float16 behind "
      "DEQUANTIZE, int8, int4 and\nint2 where the notes name them. What has "
      "no cell is refused when the file is opened.\n\n| operator |");
  for (const Column& column : kColumns) fmt::print(" {} |", column.name);
  fmt::print(" asks for |\n|---|");
  for (size_t i = 0; i < std::size(kColumns); ++i) fmt::print("---|");
  fmt::print("---|\n");
  size_t served = 0;
  for (const auto& [key, facts] : rows) {
    const auto* op = lathe::graph::FactsOf(key.first);
    fmt::print("| {} |", key.second.empty()
                             ? std::string(op->name)
                             : fmt::format("custom {}", key.second));
    for (const Column& column : kColumns) {
      const bool has =
          facts.any || std::ranges::any_of(column.types, [&](Type type) {
            return (facts.types >> static_cast<int>(type) & 1) != 0;
          });
      fmt::print(" {} |", has ? "yes" : "");
    }
    fmt::print(" {} |\n", fmt::join(facts.notes, "; "));
    ++served;
  }
  std::vector<std::string> missing;
  for (const auto& op : lathe::graph::AllOps()) {
    const auto number = static_cast<int>(op.code);
    const bool has = std::ranges::any_of(
        rows, [&](const auto& row) { return row.first.first == number; });
    if (!has) missing.emplace_back(op.name);
  }
  fmt::print(
      "\n{} operators run. Not here: {}.\n\nMost of these have no kernel in "
      "the format's own runtime either; hash tables, LSH, skip-grams and\n"
      "random numbers are left out on purpose.\n",
      served, fmt::join(missing, ", "));
  return 0;
}

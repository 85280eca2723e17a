// All groups of rows, and how an operator finds its row.

#include <algorithm>
#include <vector>

#include "src/plan/lowering.h"
#include "src/plan/op_table.h"

namespace lathe::plan {

std::span<const OpRow> OpTable() {
  static const std::vector<OpRow> table = [] {
    std::vector<OpRow> rows;
    for (const std::span<const OpRow> group : {
             ControlRows(),
             ConvRows(),
             MatmulRows(),
             ElementwiseRows(),
             MovementRows(),
             TypedRows(),
             ScanRows(),
             IndexingRows(),
             ScatterRows(),
             FillingRows(),
             StringRows(),
         }) {
      rows.insert(rows.end(), group.begin(), group.end());
    }
    return rows;
  }();
  return table;
}

const OpRow* RowFor(const OpTypes& types) {
  for (const OpRow& row : OpTable()) {
    if (row.code != types.op.code || row.custom != types.op.custom_name) {
      continue;
    }
    if (row.data != OpRow::kNone) {
      const bool of_output = row.data == OpRow::kOutput;
      const size_t input = of_output ? 0 : static_cast<size_t>(row.data);
      if (of_output ? types.op.outputs.empty() : !types.Has(input)) continue;
      const graph::Type type =
          of_output ? types.Out(0).type : types.In(input).type;
      if ((row.types >> static_cast<int>(type) & 1) == 0) continue;
    }
    if (row.also == nullptr || row.also(types)) return &row;
  }
  return nullptr;
}

Prepare PreparerOf(graph::RegionKind kind) {
  switch (kind) {
    case graph::RegionKind::kSnake:
      return PrepareSnake;
    case graph::RegionKind::kLayerNorm:
      return PrepareLayerNorm;
    case graph::RegionKind::kRmsNorm:
      return PrepareRmsNorm;
    case graph::RegionKind::kAttention:
      return PrepareAttention;
    case graph::RegionKind::kRotary:
      return PrepareRotary;
    case graph::RegionKind::kGatedSilu:
      return PrepareGatedSilu;
    case graph::RegionKind::kSilu:
      return PrepareSilu;
  }
  return nullptr;
}

}  // namespace lathe::plan

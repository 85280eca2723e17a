// Which preparer serves which operator or region: the contents page.

#include <algorithm>
#include <array>

#include "src/plan/lowering.h"

namespace lathe::plan {
namespace {

using graph::OpCode;

constexpr std::array kTable = {
    OpRow{OpCode::kConv2d, PrepareConv2d, Takes::kFloat},
    OpRow{OpCode::kTransposeConv, PrepareTransposeConv, Takes::kFloat},
    OpRow{OpCode::kFullyConnected, PrepareFullyConnected, Takes::kFloat},
    OpRow{OpCode::kBatchMatmul, PrepareBatchMatmul, Takes::kFloat},
    OpRow{OpCode::kAbs, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kNeg, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kSqrt, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kRsqrt, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kSquare, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kExp, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kLog, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kSin, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kCos, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kTanh, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kLogistic, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kRelu, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kRelu6, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kReluN1To1, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kRelu0To1, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kElu, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kHardSwish, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kLeakyRelu, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kGelu, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kFloor, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kCeil, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kRound, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kSign, PrepareUnary, Takes::kFloat},
    OpRow{OpCode::kAdd, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kSub, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kMul, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kDiv, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kMaximum, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kMinimum, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kSquaredDifference, PrepareBinary, Takes::kFloat},
    OpRow{OpCode::kSoftmax, PrepareSoftmax, Takes::kFloat},
    OpRow{OpCode::kSum, PrepareReduce, Takes::kFloat},
    OpRow{OpCode::kMean, PrepareReduce, Takes::kFloat},
    OpRow{OpCode::kReduceProd, PrepareReduce, Takes::kFloat},
    OpRow{OpCode::kReduceMax, PrepareReduce, Takes::kFloat},
    OpRow{OpCode::kReduceMin, PrepareReduce, Takes::kFloat},
    OpRow{OpCode::kCast, PrepareCast, Takes::kOwn},
    OpRow{OpCode::kReshape, PrepareReshape, Takes::kMoves},
    OpRow{OpCode::kExpandDims, PrepareReshape, Takes::kMoves},
    OpRow{OpCode::kSqueeze, PrepareReshape, Takes::kMoves},
    OpRow{OpCode::kTranspose, PrepareTranspose, Takes::kMoves},
    OpRow{OpCode::kSlice, PrepareSlice, Takes::kMoves},
    OpRow{OpCode::kStridedSlice, PrepareStridedSlice, Takes::kMoves},
    OpRow{OpCode::kConcatenation, PrepareConcatenation, Takes::kMoves},
    OpRow{OpCode::kPack, PreparePack, Takes::kMoves},
    OpRow{OpCode::kSplit, PrepareSplit, Takes::kMoves},
    OpRow{OpCode::kSplitV, PrepareSplit, Takes::kMoves},
    OpRow{OpCode::kUnpack, PrepareUnpack, Takes::kMoves},
    OpRow{OpCode::kPad, PreparePad, Takes::kMoves},
    OpRow{OpCode::kBroadcastTo, PrepareBroadcastTo, Takes::kMoves},
    OpRow{OpCode::kTile, PrepareTile, Takes::kMoves},
    OpRow{OpCode::kGather, PrepareGather, Takes::kMoves},
    OpRow{OpCode::kEmbeddingLookup, PrepareGather, Takes::kMoves},
    OpRow{OpCode::kShape, PrepareFolded, Takes::kFolds},
    OpRow{OpCode::kRank, PrepareFolded, Takes::kFolds},
};

}  // namespace

std::span<const OpRow> OpTable() { return kTable; }

const OpRow* RowOf(graph::OpCode code) {
  const auto row = std::ranges::find(kTable, code, &OpRow::code);
  return row == kTable.end() ? nullptr : &*row;
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

Status PrepareFolded(Lowering&, const Node& node) {
  return Unsupported("its value is not known before the model runs");
}

}  // namespace lathe::plan

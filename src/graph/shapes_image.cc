// Shape rules of pools, resizing and moves between space, depth and batch.

#include "src/graph/shape_rule.h"

namespace lathe::graph {
namespace {

Status Pool(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  const Shape& x = call.ShapeOf(0);
  const Options& options = call.op.options;
  const bool valid = options.Int("padding") == 1;
  LATHE_ASSIGN(const int64_t height,
               WindowedSize(x[1], {options.Int("filter_height"),
                                   options.Int("stride_h"), 1, valid}));
  LATHE_ASSIGN(const int64_t width,
               WindowedSize(x[2], {options.Int("filter_width"),
                                   options.Int("stride_w"), 1, valid}));
  return call.Give(0, call.In(0).type, Dims{x[0], height, width, x[3]});
}

Status Resize(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_ASSIGN(const std::vector<int64_t> size, call.Values(1));
  if (size.size() != 2 || size[0] < 1 || size[1] < 1) {
    return Invalid("input 1 must hold a height and a width of at least 1");
  }
  const Options& options = call.op.options;
  if (options.Bool("align_corners") && options.Bool("half_pixel_centers")) {
    return Invalid("align_corners and half_pixel_centers exclude each other");
  }
  const Shape& x = call.ShapeOf(0);
  return call.Give(0, call.In(0).type, Dims{x[0], size[0], size[1], x[3]});
}

// Its square times a dim stays below 2^63.
constexpr int64_t kLargestBlock = 32767;

Result<int64_t> BlockSize(const RuleCall& call) {
  const int64_t block = call.op.options.Int("block_size");
  if (block < 1 || block > kLargestBlock) {
    return Invalid("block size {}; allowed: 1 to {}", block, kLargestBlock);
  }
  return block;
}

Status SpaceToDepth(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_ASSIGN(const int64_t block, BlockSize(call));
  const Shape& x = call.ShapeOf(0);
  if (x[1] % block != 0 || x[2] % block != 0) {
    return Invalid("{} by {} does not split into blocks of {}", x[1], x[2],
                   block);
  }
  return call.Give(
      0, call.In(0).type,
      Dims{x[0], x[1] / block, x[2] / block, x[3] * (block * block)});
}

Status DepthToSpace(RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 4, 4));
  LATHE_ASSIGN(const int64_t block, BlockSize(call));
  const Shape& x = call.ShapeOf(0);
  if (x[3] % (block * block) != 0) {
    return Invalid("{} channels do not split into {} by {} blocks", x[3], block,
                   block);
  }
  return call.Give(
      0, call.In(0).type,
      Dims{x[0], x[1] * block, x[2] * block, x[3] / (block * block)});
}

// Checks block_shape (input 1) and paddings or crops (input 2).
struct Blocks {
  std::vector<int64_t> block, edges;
};
Result<Blocks> BlocksOf(const RuleCall& call) {
  LATHE_TRY(call.RequireRank(0, 3, 4));
  LATHE_ASSIGN(std::vector<int64_t> block, call.Values(1));
  LATHE_ASSIGN(std::vector<int64_t> edges, call.Values(2));
  if (block.size() != call.ShapeOf(0).size() - 2 ||
      edges.size() != 2 * block.size()) {
    return Invalid("{} block sizes and {} edges for input {}", block.size(),
                   edges.size(), ToString(call.ShapeOf(0)));
  }
  for (const int64_t size : block) {
    if (size < 1 || size > INT32_MAX) return Invalid("block size {}", size);
  }
  for (const int64_t edge : edges) {
    if (edge < 0 || edge > INT32_MAX) {
      return Invalid("padding or crop {}; must not be negative", edge);
    }
  }
  return Blocks{std::move(block), std::move(edges)};
}

Status SpaceToBatch(RuleCall& call) {
  LATHE_ASSIGN(const Blocks blocks, BlocksOf(call));
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  for (size_t i = 0; i < blocks.block.size(); ++i) {
    const int64_t size =
        out[i + 1] + blocks.edges[2 * i] + blocks.edges[2 * i + 1];
    if (size % blocks.block[i] != 0) {
      return Invalid("padded size {} does not split into blocks of {}", size,
                     blocks.block[i]);
    }
    out[i + 1] = size / blocks.block[i];
    out[0] *= blocks.block[i];
    if (out[0] > INT32_MAX) return Invalid("the batch would be {}", out[0]);
  }
  return call.Give(0, call.In(0).type, out);
}

Status BatchToSpace(RuleCall& call) {
  LATHE_ASSIGN(const Blocks blocks, BlocksOf(call));
  Dims out(call.ShapeOf(0).begin(), call.ShapeOf(0).end());
  for (size_t i = 0; i < blocks.block.size(); ++i) {
    if (out[0] % blocks.block[i] != 0) {
      return Invalid("a batch of {} does not split into blocks of {}", out[0],
                     blocks.block[i]);
    }
    out[0] /= blocks.block[i];
    out[i + 1] = out[i + 1] * blocks.block[i] - blocks.edges[2 * i] -
                 blocks.edges[2 * i + 1];
  }
  return call.Give(0, call.In(0).type, out);
}

constexpr RuleRow kRules[] = {
    {OpCode::kAveragePool2d, 1, 1, 1, Pool},
    {OpCode::kMaxPool2d, 1, 1, 1, Pool},
    {OpCode::kL2Pool2d, 1, 1, 1, Pool},
    {OpCode::kResizeBilinear, 2, 2, 1, Resize},
    {OpCode::kResizeNearestNeighbor, 2, 2, 1, Resize},
    {OpCode::kSpaceToDepth, 1, 1, 1, SpaceToDepth},
    {OpCode::kDepthToSpace, 1, 1, 1, DepthToSpace},
    {OpCode::kSpaceToBatchNd, 3, 3, 1, SpaceToBatch},
    {OpCode::kBatchToSpaceNd, 3, 3, 1, BatchToSpace},
};

}  // namespace

std::span<const RuleRow> ImageRules() { return kRules; }

}  // namespace lathe::graph

// What the variants of convolution share: tile sizes and the row copy.

#ifndef LATHE_KERNELS_CONV_PARTS_H_
#define LATHE_KERNELS_CONV_PARTS_H_

#include <cstddef>

#include "src/kernels/conv/conv.h"

namespace lathe::kernels {

// Floats between rows of a tile buffer. One line (16 floats) more than the
// channels keeps the six rows of a register tile out of one cache set.
size_t TileRowStride(size_t channels);

// Input positions that `tile` outputs of a height-1 convolution read.
size_t TileInputs(const ConvShape& shape, size_t tile);

// Outputs of one job: at most `most`, a multiple of 6, and such that the jobs
// are even over the threads where there is work for several.
size_t EvenTile(size_t outputs, size_t most, size_t threads);

// `most` for EvenTile, of a convolution with rows of `channels` channels.
size_t MostTileRows(const ConvShape& shape, size_t row_stride);

inline size_t TilesFor(size_t outputs, size_t tile) {
  return (outputs + tile - 1) / tile;
}

// Copies positions [first, first + count) of the row `x` [in_w, in_c] into the
// buffer, snake applied, zeros outside.
void CopyRows(const ConvPlan& plan, const ConvArgs& args, const float* x,
              ptrdiff_t first, size_t count, float* buffer);

// The packed matrix of one group.
PanelShape GroupPanels(const ConvPlan& plan);

void RunRows(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
             float* scratch, StopToken stop);
void RunTapsAsColumns(const ConvPlan& plan, const ConvArgs& args,
                      ThreadPool& pool, float* scratch, StopToken stop);
void RunGather(const ConvPlan& plan, const ConvArgs& args, ThreadPool& pool,
               float* scratch, StopToken stop);

}  // namespace lathe::kernels

#endif  // LATHE_KERNELS_CONV_PARTS_H_

#include "src/kernels/quantized/table.h"

namespace lathe::kernels {
namespace {

constexpr size_t kPiece = 16384;

}  // namespace

void RunByteTable(const ByteTable& table, size_t n, const uint8_t* x,
                  uint8_t* y, ThreadPool& pool) {
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t end = std::min(n, (job + 1) * kPiece);
    for (size_t i = job * kPiece; i < end; ++i) y[i] = table[x[i]];
  });
}

void RunWordTable(const WordTable& table, size_t n, const int16_t* x,
                  int16_t* y, ThreadPool& pool) {
  pool.Run((n + kPiece - 1) / kPiece, [&](size_t job, size_t) {
    const size_t end = std::min(n, (job + 1) * kPiece);
    for (size_t i = job * kPiece; i < end; ++i) y[i] = WordTableAt(table, x[i]);
  });
}

}  // namespace lathe::kernels

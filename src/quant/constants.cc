#include "src/quant/constants.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "src/base/mapped_file.h"

namespace lathe::quant {
namespace {

// What an algorithm reads of the activation, kept alive while it runs.
struct Held {
  std::vector<float> hessian;
  std::span<const double> mu2;
  InputStatistics view(uint64_t rows = 0) const { return {hessian, mu2, rows}; }
};

Result<Held> Hold(const WeightConfig& config, const graph::Shape& shape,
                  const TensorStatistics* statistics) {
  Held held;
  if (statistics == nullptr || shape.empty()) return held;
  if (config.algorithm == Algorithm::kOscar) held.mu2 = statistics->mu2;
  if (config.algorithm == Algorithm::kGptq && statistics->has_hessian()) {
    LATHE_ASSIGN(held.hessian, ReadHessian(*statistics, shape.back()));
  }
  return held;
}

int64_t QuantizeSingle(float value, float scale, int64_t zero_point,
                       IntegerRange range) {
  const float at = std::rint(value / scale + static_cast<float>(zero_point));
  if (std::isnan(at)) return 0;
  return static_cast<int64_t>(std::clamp(static_cast<double>(at),
                                         static_cast<double>(range.low),
                                         static_cast<double>(range.high)));
}

Status EncodePlain(const PlainEncoding& plain, std::span<const float> values,
                   std::span<std::byte> bytes) {
  const size_t size = plain.bits / 8;
  if (bytes.size() != values.size() * size) {
    return Invalid("{} values for {} bytes", values.size(), bytes.size());
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const double scale =
        plain.scale.size() == 1 ? plain.scale[0] : plain.scale[i];
    const int64_t q =
        plain.single
            ? QuantizeSingle(values[i], static_cast<float>(scale),
                             plain.zero_point, plain.range)
            : Quantize(values[i], {scale, plain.zero_point}, plain.range);
    // Little-endian, two's complement: the low bytes are the number.
    std::memcpy(bytes.data() + i * size, &q, size);
  }
  return {};
}

Status Make(const Encoding& encoding, ThreadPool* pool,
            std::span<std::byte> bytes) {
  LATHE_ASSIGN(const Floats floats, Floats::Of(encoding.source));
  if (!encoding.weights) {
    return EncodePlain(encoding.plain, floats.values(), bytes);
  }
  LATHE_ASSIGN(const Held held, Hold(*encoding.weights, encoding.source.shape,
                                     encoding.statistics));
  return Encode(*encoding.weights, encoding.params, floats.values(),
                encoding.source.shape, held.view(encoding.rows), pool, bytes);
}

}  // namespace

Floats::Floats(Floats&& other) noexcept
    : mapped_(std::exchange(other.mapped_, {})),
      copy_(std::move(other.copy_)),
      values_(std::exchange(other.values_, {})) {}

Result<Floats> Floats::Of(const Source& source) {
  const graph::Buffer& buffer = source.buffer;
  Floats floats;
  if (source.in_mapping) floats.mapped_ = buffer.bytes;
  const size_t count = buffer.size() / sizeof(float);
  const auto address = reinterpret_cast<uintptr_t>(buffer.bytes.data());
  if (!buffer.produce && address % alignof(float) == 0) {
    floats.values_ = {reinterpret_cast<const float*>(buffer.bytes.data()),
                      count};
    return floats;
  }
  floats.copy_.resize(count);
  const auto bytes = std::as_writable_bytes(std::span(floats.copy_));
  if (buffer.produce) {
    LATHE_TRY(buffer.produce(bytes));
  } else if (count > 0) {
    std::memcpy(bytes.data(), buffer.bytes.data(), bytes.size());
  }
  floats.values_ = floats.copy_;
  return floats;
}

Floats::~Floats() { GiveBackPages(mapped_); }

uint64_t Encoding::bytes() const {
  if (weights) return EncodedBytes(*weights, source.shape);
  return graph::ElementCount(source.shape) *
         static_cast<uint64_t>(plain.bits / 8);
}

Result<WeightParams> FindParams(const WeightConfig& config,
                                const Source& source,
                                const TensorStatistics* statistics,
                                ThreadPool* pool) {
  LATHE_ASSIGN(const Floats floats, Floats::Of(source));
  LATHE_ASSIGN(const Held held, Hold(config, source.shape, statistics));
  return FindParams(config, floats.values(), source.shape, held.view(), pool);
}

graph::Buffer Produced(std::shared_ptr<const Encoding> encoding,
                       ThreadPool* pool) {
  graph::Buffer buffer;
  buffer.produced_bytes = encoding->bytes();
  buffer.produce = [encoding = std::move(encoding),
                    pool](std::span<std::byte> bytes) {
    return Make(*encoding, pool, bytes);
  };
  return buffer;
}

}  // namespace lathe::quant

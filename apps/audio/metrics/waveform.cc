#include "apps/audio/metrics/waveform.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lathe::audio {
namespace {

constexpr double kMostDb = 200;

double Energy(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) {
    sum += static_cast<double>(v) * static_cast<double>(v);
  }
  return sum;
}

}  // namespace

double PowerDb(double part, double whole) {
  if (!(part > 0)) return -kMostDb;
  if (!(whole > 0)) return kMostDb;
  return std::clamp(10 * std::log10(part / whole), -kMostDb, kMostDb);
}

double SnrDb(std::span<const float> reference, std::span<const float> other) {
  return -NullDb(reference, other, 1);
}

double NullDb(std::span<const float> reference, std::span<const float> other,
              double gain) {
  double rest = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double e = static_cast<double>(reference[i]) -
                     gain * static_cast<double>(other[i]);
    rest += e * e;
  }
  return PowerDb(rest, Energy(reference));
}

double SiSdrDb(std::span<const float> reference, std::span<const float> other) {
  double product = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    product +=
        static_cast<double>(reference[i]) * static_cast<double>(other[i]);
  }
  const double energy = Energy(reference);
  if (energy == 0) return Energy(other) == 0 ? kMostDb : -kMostDb;
  const double scale = product / energy;
  double rest = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double e = scale * static_cast<double>(reference[i]) -
                     static_cast<double>(other[i]);
    rest += e * e;
  }
  return PowerDb(scale * scale * energy, rest);
}

double Cosine(double ab, double aa, double bb) {
  if (aa == 0 && bb == 0) return 1;
  if (aa == 0 || bb == 0) return 0;
  return std::clamp(ab / std::sqrt(aa) / std::sqrt(bb), -1.0, 1.0);
}

double EnvelopeCosine(std::span<const float> reference,
                      std::span<const float> other, int channels) {
  constexpr size_t kWindow = 2048, kHop = 512;
  const size_t window = kWindow * static_cast<size_t>(channels);
  const size_t hop = kHop * static_cast<size_t>(channels);
  double ab = 0, aa = 0, bb = 0;
  for (size_t start = 0; start < reference.size(); start += hop) {
    const size_t n = std::min(window, reference.size() - start);
    const double a2 = Energy(reference.subspan(start, n));
    const double b2 = Energy(other.subspan(start, n));
    ab += std::sqrt(a2) * std::sqrt(b2);
    aa += a2;
    bb += b2;
  }
  return Cosine(ab, aa, bb);
}

}  // namespace lathe::audio

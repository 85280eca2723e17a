// The three samplers, each one function and one row of kSamplers.

#include "apps/audio/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "apps/audio/errors.h"

namespace lathe::audio {
namespace {

using Times = std::span<const float>;

Status PingPong(Times times, std::span<float> x, const SamplerCalls& calls) {
  const size_t n = x.size();
  std::vector<float> v(n), noise(n);
  const int steps = static_cast<int>(times.size()) - 1;
  for (int i = 0; i < steps; ++i) {
    const float t = times[i], next = times[i + 1];
    AUDIO_TRY(calls.velocity(x, t, v));
    calls.noise(noise);
    for (size_t k = 0; k < n; ++k) {
      x[k] = (1 - next) * (x[k] - t * v[k]) + next * noise[k];
    }
    if (calls.step_done) calls.step_done(i + 1, steps);
  }
  return {};
}

Status Euler(Times times, std::span<float> x, const SamplerCalls& calls) {
  std::vector<float> v(x.size());
  const int steps = static_cast<int>(times.size()) - 1;
  for (int i = 0; i < steps; ++i) {
    AUDIO_TRY(calls.velocity(x, times[i], v));
    const float dt = times[i + 1] - times[i];
    for (size_t k = 0; k < x.size(); ++k) x[k] += dt * v[k];
    if (calls.step_done) calls.step_done(i + 1, steps);
  }
  return {};
}

double LogSnr(double t) { return std::log((1 - t) / t); }

Status DpmPp2M(Times times, std::span<float> x, const SamplerCalls& calls) {
  const size_t n = x.size();
  std::vector<float> v(n), previous(n);
  const int steps = static_cast<int>(times.size()) - 1;
  double previous_h = INFINITY;
  for (int i = 0; i < steps; ++i) {
    const double t = times[i], next = times[i + 1];
    AUDIO_TRY(calls.velocity(x, times[i], v));
    const bool last = next <= 0;
    // t = 1 gives h = infinity, and so does next = 0: e^-h is 0 in both.
    const double h = t >= 1 || last ? INFINITY : LogSnr(next) - LogSnr(t);
    const double decay = std::isinf(h) ? 0 : std::exp(-h);
    const double half_inverse_r =
        i == 0 || last || std::isinf(previous_h) ? 0 : 0.5 * h / previous_h;
    const float keep = static_cast<float>(next / t);
    const float gain = static_cast<float>((1 - next) * (1 - decay));
    const float now = static_cast<float>(1 + half_inverse_r);
    const float before = static_cast<float>(half_inverse_r);
    for (size_t k = 0; k < n; ++k) {
      const float d = x[k] - static_cast<float>(t) * v[k];
      x[k] = keep * x[k] + gain * (now * d - before * previous[k]);
      previous[k] = d;
    }
    previous_h = h;
    if (calls.step_done) calls.step_done(i + 1, steps);
  }
  return {};
}

struct Row {
  std::string_view name;
  Status (*run)(Times, std::span<float>, const SamplerCalls&);
};
constexpr std::array kSamplers = {
    Row{"pingpong", PingPong},
    Row{"euler", Euler},
    Row{"dpmpp-2m", DpmPp2M},
};
constexpr std::array kNames = {kSamplers[0].name, kSamplers[1].name,
                               kSamplers[2].name};
static_assert(kNames.size() == kSamplers.size());

}  // namespace

std::vector<float> Schedule(int steps, double sigma_max) {
  const double first =
      sigma_max >= 1 ? -6 : std::log((1 - sigma_max) / sigma_max + 1e-6);
  std::vector<float> times(static_cast<size_t>(steps) + 1);
  for (int i = 0; i <= steps; ++i) {
    const double log_snr = first + (2 - first) * i / steps;
    times[i] = static_cast<float>(1 / (1 + std::exp(log_snr)));
  }
  times.front() = static_cast<float>(sigma_max);
  times.back() = 0;
  return times;
}

Status Sample(std::string_view sampler, Times times, std::span<float> x,
              const SamplerCalls& calls) {
  AUDIO_TRY(CheckSampler(sampler));
  const auto row = std::ranges::find(kSamplers, sampler, &Row::name);
  return row->run(times, x, calls);
}

std::span<const std::string_view> SamplerNames() { return kNames; }

Status CheckSampler(std::string_view name) {
  if (std::ranges::find(kNames, name) != kNames.end()) return {};
  return Fail(ErrorCode::kUsage, "sampler \"{}\": allowed {}", name,
              fmt::join(kNames, ", "));
}

}  // namespace lathe::audio

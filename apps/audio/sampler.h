// From noise to a latent: time schedule and samplers for rectified flow.

#ifndef LATHE_APPS_AUDIO_SAMPLER_H_
#define LATHE_APPS_AUDIO_SAMPLER_H_

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/result.h"

namespace lathe::audio {

// steps + 1 times from sigma_max down to 0, evenly spaced in log-SNR:
//   l0 = -6 if sigma_max >= 1, else ln((1 - sigma_max) / sigma_max + 1e-6)
//   t[i] = 1 / (1 + exp(l0 + (2 - l0) i / steps)), t[0] = sigma_max, last = 0
// steps >= 1, 0 < sigma_max <= 1.
std::vector<float> Schedule(int steps, double sigma_max);

// Computes v = model(x, t); x and v have the same size.
using VelocityFn = std::function<Status(std::span<const float> x, float t,
                                        std::span<float> v)>;
using NoiseFn = std::function<void(std::span<float> values)>;

struct SamplerCalls {
  VelocityFn velocity;
  NoiseFn noise;  // Fresh normal values; only ping-pong asks.
  // After each step, with how many are done; may be empty.
  std::function<void(int done, int steps)> step_done;
};

// Moves x from times.front() to 0 in times.size() - 1 steps, in place. With
// d = x - t v, the denoised estimate, and u the next time:
//   pingpong   x = (1 - u) d + u noise; draws once a step, the last included
//   euler      x = x + (u - t) v
//   dpmpp-2m   x = (u / t) x - (1 - u)(e^-h - 1) D, with l(t) = ln((1 - t) /
//   t),
//              h = l(u) - l(t), r = previous h / h,
//              D = (1 + 1/(2r)) d - 1/(2r) previous d; D = d on the first and
//              the last step and after an infinite h
// Errors: kUsage for an unknown name, listing those there are; those of
// `velocity`, at once.
Status Sample(std::string_view sampler, std::span<const float> times,
              std::span<float> x, const SamplerCalls& calls);

// "pingpong", "euler", "dpmpp-2m".
std::span<const std::string_view> SamplerNames();
// kUsage if there is no such sampler, with the names.
Status CheckSampler(std::string_view name);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_SAMPLER_H_

// Distances of samples, in time. Every channel counts alike: the samples of all
// channels are one vector r (reference) or o (other).

#ifndef LATHE_APPS_AUDIO_METRICS_WAVEFORM_H_
#define LATHE_APPS_AUDIO_METRICS_WAVEFORM_H_

#include <span>

namespace lathe::audio {

// 10 log10(part / whole) within +-200; 0 / 0 is -200.
double PowerDb(double part, double whole);

// 10 log10(|r|^2 / |r - o|^2); 200 for equal sounds, silent ones too.
double SnrDb(std::span<const float> reference, std::span<const float> other);

// Scale-invariant: 10 log10(|a r|^2 / |a r - o|^2), a = (o r) / (r r), without
// removing means (Le Roux et al., arXiv 1811.02508). 200 for o = a r, a > 0 or
// a < 0; two silent sounds are equal; one silent sound gives -200.
double SiSdrDb(std::span<const float> reference, std::span<const float> other);

// What is left when `other` times `gain` is taken away: 10 log10(|r - gain o|^2
// / |r|^2). -200 for nothing; 200 beside a silent reference.
double NullDb(std::span<const float> reference, std::span<const float> other,
              double gain);

// Cosine of the angle between the two envelopes: root mean squares of 2048
// frames every 512, all channels of a frame together. 1 when both are silent, 0
// when one is.
double EnvelopeCosine(std::span<const float> reference,
                      std::span<const float> other, int channels);

// a b / (|a| |b|) of sums: 1 when both are 0, 0 when one is.
double Cosine(double ab, double aa, double bb);

}  // namespace lathe::audio

#endif  // LATHE_APPS_AUDIO_METRICS_WAVEFORM_H_

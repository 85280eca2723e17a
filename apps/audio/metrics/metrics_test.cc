#include "apps/audio/metrics/metrics.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "apps/audio/metrics/test_sounds.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::audio {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const StoredSound& reference, const StoredSound& other) {
  const auto result = CompareSounds(reference.view(), other.view());
  return result ? "" : result.error().message;
}

TEST(CompareSounds, EqualSoundsHaveTheNumbersThatTheTableSays) {
  for (const StoredSound& sound :
       {Noise(0.1, 0.5, 1), Noise(0.1, 0.5, 1, 44100, 2), Noise(0, 0.5, 1),
        Sine(440, 0.5, 0.01)}) {
    const auto d = CompareSounds(sound.view(), sound.view());
    ASSERT_TRUE(d) << d.error().message;
    for (const Metric& metric : Metrics()) {
      const std::string says(metric.says);
      const double want = std::stod(says.substr(says.rfind("; ") + 2));
      EXPECT_NEAR(*d.*metric.value, want, 1e-9) << metric.name;
    }
  }
}

TEST(CompareSounds, AHalvedSoundIsOnlyQuieter) {
  const StoredSound noise = Noise(0.1, 1, 5, 44100, 2);
  const auto d = CompareSounds(noise.view(), Times(noise, 0.5f).view());
  ASSERT_TRUE(d);
  EXPECT_NEAR(d->snr_db, 20 * std::log10(2), 1e-6);
  EXPECT_EQ(d->si_sdr_db, 200);
  EXPECT_LT(d->null_db, -100);
  EXPECT_NEAR(d->loudness_difference_lu, -20 * std::log10(2), 1e-6);
  EXPECT_NEAR(d->true_peak_difference_db, -20 * std::log10(2), 1e-4);
  EXPECT_NEAR(d->spectral_convergence, 0.5, 1e-4);
  EXPECT_NEAR(d->envelope_cosine, 1, 1e-9);
}

TEST(CompareSounds, NamesBothOfWhatDiffers) {
  const StoredSound a = Noise(0.1, 0.5, 1);
  EXPECT_THAT(ErrorOf(a, Noise(0.1, 0.5, 1, 44100)),
              HasSubstr("reference has 48000 Hz, the other 44100 Hz"));
  EXPECT_THAT(ErrorOf(a, Noise(0.1, 0.5, 1, 48000, 2)),
              HasSubstr("reference has 1 channels, the other 2"));
  EXPECT_THAT(ErrorOf(a, Noise(0.1, 0.25, 1)),
              HasSubstr("reference has 24000 frames, the other 12000"));
}

TEST(CompareSounds, NamesWhatIsNotFiniteOrNotThere) {
  const StoredSound a = Noise(0.1, 0.5, 1, 48000, 2);
  StoredSound bad = a;
  bad.samples[201] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ErrorOf(a, bad), HasSubstr("the other: frame 100, channel 1 is"));
  EXPECT_THAT(ErrorOf(bad, a), HasSubstr("the reference: frame 100"));
  EXPECT_THAT(ErrorOf(a, Noise(0.1, 0, 1)), HasSubstr("holds no sound"));
}

TEST(Metrics, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Metric& metric : Metrics()) names.insert(metric.name);
  EXPECT_EQ(names.size(), Metrics().size());
}

}  // namespace
}  // namespace lathe::audio

// Sounds, settings and pictures to files and back; targets that are refused.

#include "apps/audio/audio_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "apps/audio/spectrogram.h"

namespace lathe::audio {
namespace {

namespace fs = std::filesystem;

class AudioFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) / ("audio-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    for (size_t i = 0; i < samples_.size(); ++i) {
      samples_[i] =
          0.5f * std::sin(0.05f * static_cast<float>(i / 2) * (i % 2 ? 1 : 2));
    }
    metadata_.settings.prompt = "warm \"arpeggio\" \xC3\xA9";
    metadata_.settings.negative = "noise";
    metadata_.settings.seconds = 0.1234567890123;
    metadata_.settings.seed = 18446744073709551615u;
    metadata_.settings.steps = 8;
    metadata_.settings.sampler = "pingpong";
    metadata_.settings.cfg = 2.5;
    metadata_.model = "nano";
    metadata_.model_hash = "0123456789abcdef";
    metadata_.version = "0.1.0";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const char* name) { return (folder_ / name).string(); }
  SoundView View() const { return {samples_, 44100, 2}; }
  std::string Bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path folder_;
  std::vector<float> samples_ = std::vector<float>(2 * 4410);
  Metadata metadata_;
};

TEST_F(AudioFile, KeepsSamplesAndSettingsInEveryFormat) {
  for (const char* name : {"a.wav", "a.flac", "B.WAV"}) {
    for (const int bits : {16, 24, 32}) {
      const auto target = CheckTarget(Path(name));
      ASSERT_TRUE(target) << target.error().message;
      if (bits == 32 && target->container == Container::kFlac) continue;
      metadata_.bits = bits;
      const auto written = WriteSound(*target, View(), metadata_);
      ASSERT_TRUE(written) << written.error().message;
      EXPECT_EQ(written->frames, 4410);
      EXPECT_NEAR(written->loudness.peak_dbfs, -6.02, 0.1);
      const auto read = ReadAudio(Path(name), 44100, 2, 1 << 20);
      ASSERT_TRUE(read) << read.error().message;
      ASSERT_EQ(read->samples.size(), samples_.size());
      const double step = bits == 32 ? 0 : std::ldexp(1.0, 1 - bits);
      for (size_t i = 0; i < samples_.size(); ++i) {
        ASSERT_NEAR(read->samples[i], samples_[i], step) << name << bits;
      }
      const auto back = ReadMetadata(Path(name));
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->settings.prompt, metadata_.settings.prompt);
      EXPECT_EQ(back->settings.negative, "noise");
      EXPECT_EQ(back->settings.seconds, metadata_.settings.seconds);
      EXPECT_EQ(back->settings.seed, metadata_.settings.seed);
      EXPECT_EQ(back->settings.steps, 8);
      EXPECT_EQ(back->settings.sampler, "pingpong");
      EXPECT_EQ(back->settings.cfg, 2.5);
      EXPECT_EQ(back->bits, bits);
      EXPECT_FALSE(back->cut);
    }
  }
}

TEST_F(AudioFile, GivesEqualBytesAtAnotherTimeAndPath) {
  for (const char* ending : {".wav", ".flac"}) {
    const std::string a = Path("a") + ending, b = Path("b") + ending;
    const auto first = WriteSound(*CheckTarget(a), View(), metadata_);
    ::usleep(1100 * 1000);
    const auto second = WriteSound(*CheckTarget(b), View(), metadata_);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->xxh3, second->xxh3);
    EXPECT_EQ(Bytes(a), Bytes(b));
  }
}

TEST_F(AudioFile, RoundsAndClipsAndCountsWhatIsBeyondOne) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  samples_ = {1.5f, -1.5f, nan, 0.0f, 1.0f, -1.0f, 0.5f / 32767, 0.4f / 32767};
  const auto target = CheckTarget(Path("a.wav"));
  const auto written = WriteSound(*target, View(), metadata_);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->loudness.over, 2);
  EXPECT_EQ(written->loudness.not_finite, 1);
  EXPECT_EQ(written->warnings.size(), 2u);
  const auto read = ReadAudio(Path("a.wav"), 44100, 2, 100);
  ASSERT_TRUE(read);
  const float expected[] = {32767, -32768, 0, 0, 32767, -32767, 0, 0};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(read->samples[i] * 32768, expected[i]) << i;
  }
}

TEST_F(AudioFile, StoresVeryLongPromptsCutAndSaysSo) {
  metadata_.settings.prompt.assign(100000, 'a');
  metadata_.settings.negative.assign(100000, '\n');
  for (const char* name : {"a.wav", "a.flac"}) {
    const auto written =
        WriteSound(*CheckTarget(Path(name)), View(), metadata_);
    ASSERT_TRUE(written);
    EXPECT_EQ(written->warnings.size(), 1u);
    const auto back = ReadMetadata(Path(name));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(back->cut);
    EXPECT_GE(back->settings.prompt.size(), size_t{15} << 10);
  }
}

TEST_F(AudioFile, RefusesBadTargetsBeforeAnyWork) {
  const auto code = [](const std::string& path) {
    const auto target = CheckTarget(path);
    return target ? ErrorCode{} : target.error().code;
  };
  EXPECT_EQ(code(""), ErrorCode::kUsage);
  EXPECT_EQ(code(Path("a.mp3")), ErrorCode::kUsage);
  EXPECT_EQ(code(Path("wav")), ErrorCode::kUsage);
  EXPECT_EQ(code(folder_.string()), ErrorCode::kInvalidInput);
  EXPECT_EQ(code(Path("none/a.wav")), ErrorCode::kInvalidInput);
  EXPECT_EQ(code("/proc/a.wav") == ErrorCode::kSystem ||
                code("/proc/a.wav") == ErrorCode{},
            true);
  EXPECT_EQ(CheckTarget("-")->kind, OutputTarget::Kind::kStdout);
  EXPECT_EQ(CheckTarget("/dev/null")->kind, OutputTarget::Kind::kDirect);
  std::ofstream(Path("old.wav")) << "old";
  EXPECT_TRUE(CheckTarget(Path("old.wav")));
  EXPECT_FALSE(CheckTarget(Path("old.wav"), Existing::kRefuse));
}

TEST_F(AudioFile, LeavesNothingWhenWritingFails) {
  const auto full = CheckTarget("/dev/full");
  ASSERT_TRUE(full);
  const auto written = WriteSound(*full, View(), metadata_);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kSystem);
  auto target = CheckTarget(Path("a.wav"));
  ASSERT_TRUE(target);
  // Meanwhile somebody makes a folder of that name: the rename fails.
  fs::create_directories(folder_ / "a.wav" / "x");
  EXPECT_FALSE(WriteSound(*target, View(), metadata_));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(AudioFile, ResamplesAndSpreadsMono) {
  std::vector<float> mono(48000);
  for (size_t i = 0; i < mono.size(); ++i) {
    mono[i] = 0.5f * std::sin(2 * 3.14159265f * 440 * i / 48000);
  }
  metadata_.bits = 32;
  ASSERT_TRUE(WriteSound(*CheckTarget(Path("m.wav")), SoundView{mono, 48000, 1},
                         metadata_));
  const auto read = ReadAudio(Path("m.wav"), 44100, 2, 1 << 20);
  ASSERT_TRUE(read);
  EXPECT_NEAR(static_cast<double>(read->frames), 44100, 1);
  for (int i = 2000; i < 42000; ++i) {
    const float expected = 0.5f * std::sin(2 * 3.14159265 * 440 * i / 44100);
    ASSERT_NEAR(read->samples[2 * i], expected, 1e-3) << i;
    ASSERT_EQ(read->samples[2 * i], read->samples[2 * i + 1]);
  }
  EXPECT_EQ(ReadAudio(Path("m.wav"), 44100, 2, 1000)->frames, 1000);
}

TEST_F(AudioFile, RefusesWhatIsNoSoundOrNotOurs) {
  std::ofstream(Path("x.wav")) << "nothing";
  EXPECT_EQ(ReadAudio(Path("x.wav"), 44100, 2, 10).error().code,
            ErrorCode::kInvalidInput);
  EXPECT_EQ(ReadAudio(Path("none"), 44100, 2, 10).error().code,
            ErrorCode::kInvalidInput);
  EXPECT_EQ(ReadAudio(folder_.string(), 44100, 2, 10).error().code,
            ErrorCode::kInvalidInput);
  const auto plain = EncodeSound(View(), Container::kWav, 16, "");
  ASSERT_TRUE(plain);
  ASSERT_TRUE(WriteTarget(*CheckTarget(Path("p.wav")), *plain));
  const auto metadata = ReadMetadata(Path("p.wav"));
  ASSERT_FALSE(metadata);
  EXPECT_EQ(metadata.error().code, ErrorCode::kInvalidInput);
  EXPECT_FALSE(FromJson(R"({"schema":"lathe.sound/1","steps":1e9})", "x"));
}

TEST_F(AudioFile, DrawsASpectrogramOfEqualBytes) {
  const auto a = SpectrogramPng(View(), {.width = 64, .height = 32});
  const auto b = SpectrogramPng(View(), {.width = 64, .height = 32});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, *b);
  EXPECT_EQ((*a)[1], std::byte{'P'});
  EXPECT_EQ(WriteSpectrogram(Path("a.jpg"), View()).error().code,
            ErrorCode::kUsage);
  EXPECT_TRUE(
      WriteSpectrogram(Path("a.png"), View(), {.width = 64, .height = 32}));
  EXPECT_FALSE(SpectrogramPng(View(), {.width = 0}));
}

}  // namespace
}  // namespace lathe::audio

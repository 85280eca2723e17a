// Sound to bytes and back; libsndfile works on memory only when writing.

#include "apps/audio/audio_file.h"

#include <fcntl.h>
#include <sndfile.h>
#include <soxr.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "apps/audio/errors.h"

namespace lathe::audio {
namespace {

// A file in memory, for libsndfile's virtual input and output.
struct Memory {
  std::vector<std::byte> bytes;
  sf_count_t at = 0;
  bool full = false;  // An allocation failed; exceptions may not pass C.
};

sf_count_t Length(void* user) {
  return static_cast<sf_count_t>(static_cast<Memory*>(user)->bytes.size());
}
sf_count_t Seek(sf_count_t offset, int whence, void* user) {
  auto& m = *static_cast<Memory*>(user);
  const sf_count_t base = whence == SEEK_SET   ? 0
                          : whence == SEEK_CUR ? m.at
                                               : Length(user);
  if (base + offset < 0) return -1;
  return m.at = base + offset;
}
sf_count_t Read(void* to, sf_count_t count, void* user) {
  auto& m = *static_cast<Memory*>(user);
  const sf_count_t n = std::clamp<sf_count_t>(Length(user) - m.at, 0, count);
  if (n > 0) std::memcpy(to, m.bytes.data() + m.at, static_cast<size_t>(n));
  m.at += n;
  return n;
}
sf_count_t Write(const void* from, sf_count_t count, void* user) {
  auto& m = *static_cast<Memory*>(user);
  const auto end = static_cast<size_t>(m.at + count);
  try {
    if (end > m.bytes.size()) m.bytes.resize(end);
  } catch (const std::exception&) {
    m.full = true;
    return 0;
  }
  std::memcpy(m.bytes.data() + m.at, from, static_cast<size_t>(count));
  m.at += count;
  return count;
}
sf_count_t Tell(void* user) { return static_cast<Memory*>(user)->at; }

// Rounded here: libsndfile's own conversion with clipping cuts off instead.
int ToInt(float x, int bits) {
  if (!std::isfinite(x)) return 0;
  const double most = (1 << (bits - 1)) - 1;
  const double value = std::nearbyint(
      std::clamp(static_cast<double>(x) * most, -most - 1, most));
  // libsndfile takes the upper bits of an int.
  return static_cast<int>(value) * (1 << (32 - bits));
}

class SoundFile {
 public:
  explicit SoundFile(SNDFILE* file) : file_(file) {}
  ~SoundFile() { Close(); }
  SoundFile(const SoundFile&) = delete;
  SoundFile& operator=(const SoundFile&) = delete;
  int Close() {
    const int error = file_ ? ::sf_close(file_) : 0;
    file_ = nullptr;
    return error;
  }
  SNDFILE* get() const { return file_; }

 private:
  SNDFILE* file_;
};

constexpr sf_count_t kChunkFrames = 1 << 14;

bool WriteSamples(SNDFILE* file, const SoundView& sound, int bits) {
  const auto channels = static_cast<size_t>(sound.channels);
  const size_t chunk = kChunkFrames * channels;
  std::vector<int> ints(chunk);
  for (size_t i = 0; i < sound.samples.size(); i += chunk) {
    const auto part =
        sound.samples.subspan(i, std::min(chunk, sound.samples.size() - i));
    const auto frames = static_cast<sf_count_t>(part.size() / channels);
    if (bits == 32) {
      if (::sf_writef_float(file, part.data(), frames) != frames) return false;
      continue;
    }
    std::ranges::transform(part, ints.begin(),
                           [&](float x) { return ToInt(x, bits); });
    if (::sf_writef_int(file, ints.data(), frames) != frames) return false;
  }
  return true;
}

// Interleaved frames of `from` channels to `to` channels.
std::vector<float> ToChannels(std::vector<float> samples, int from, int to) {
  if (from == to) return samples;
  const size_t frames = samples.size() / from;
  std::vector<float> result(frames * to);
  for (size_t i = 0; i < frames; ++i) {
    for (int c = 0; c < to; ++c) {
      result[i * to + c] = samples[i * from + std::min(c, from - 1)];
    }
  }
  return result;
}

Result<std::vector<float>> Resample(std::vector<float> samples, int channels,
                                    int from_rate, int to_rate,
                                    int64_t most_frames) {
  const size_t frames = samples.size() / channels;
  if (from_rate == to_rate) {
    samples.resize(std::min<size_t>(frames, most_frames) * channels);
    return samples;
  }
  const double ratio = static_cast<double>(to_rate) / from_rate;
  const size_t room = std::min<size_t>(
      most_frames, static_cast<size_t>(std::ceil(frames * ratio)));
  std::vector<float> result(std::max<size_t>(room, 1) * channels);
  const soxr_quality_spec_t quality = ::soxr_quality_spec(SOXR_HQ, 0);
  const soxr_runtime_spec_t one_thread = ::soxr_runtime_spec(1);
  size_t done = 0;
  const soxr_error_t error =
      ::soxr_oneshot(from_rate, to_rate, channels, samples.data(), frames,
                     nullptr, result.data(), result.size() / channels, &done,
                     nullptr, &quality, &one_thread);
  if (error != nullptr) {
    return Fail(ErrorCode::kSystem, "resampling {} to {} Hz: {}", from_rate,
                to_rate, error);
  }
  result.resize(done * channels);
  return result;
}

}  // namespace

Loudness MeasureLoudness(std::span<const float> samples) {
  Loudness result;
  for (const float x : samples) {
    if (!std::isfinite(x)) {
      ++result.not_finite;
      continue;
    }
    const double size = std::abs(static_cast<double>(x));
    result.peak = std::max(result.peak, size);
    result.over += size > 1;
  }
  result.peak_dbfs =
      result.peak > 1e-10 ? 20 * std::log10(result.peak) : -200.0;
  return result;
}

Result<std::vector<std::byte>> EncodeSound(const SoundView& sound,
                                           Container container, int bits,
                                           const std::string& comment) {
  return Guarded([&]() -> Result<std::vector<std::byte>> {
    const bool flac = container == Container::kFlac;
    if (bits != 16 && bits != 24 && (bits != 32 || flac)) {
      return Fail(ErrorCode::kUsage, "{} bits: allowed 16, 24{}", bits,
                  flac ? " (FLAC)" : ", 32");
    }
    if (sound.channels < 1 || sound.channels > 8 || sound.samples.empty() ||
        sound.samples.size() % sound.channels != 0) {
      return Fail(ErrorCode::kInvalidInput,
                  "a sound of {} samples in {} channels cannot be stored",
                  sound.samples.size(), sound.channels);
    }
    // Sizes of a WAV are 32 bits; 1 MiB is more than all headers.
    if (sound.samples.size() > ((uint64_t{1} << 32) - (1 << 20)) / (bits / 8)) {
      return Fail(ErrorCode::kInvalidInput,
                  "a sound of {} samples passes the 4 GiB of a WAV",
                  sound.samples.size());
    }
    SF_INFO info = {};
    info.samplerate = sound.sample_rate;
    info.channels = sound.channels;
    info.format = (flac ? SF_FORMAT_FLAC : SF_FORMAT_WAV) |
                  (bits == 16   ? SF_FORMAT_PCM_16
                   : bits == 24 ? SF_FORMAT_PCM_24
                                : SF_FORMAT_FLOAT);
    Memory memory;
    SF_VIRTUAL_IO io = {Length, Seek, Read, Write, Tell};
    SoundFile file(::sf_open_virtual(&io, SFM_WRITE, &info, &memory));
    if (file.get() == nullptr) {
      return Fail(ErrorCode::kInvalidInput, "the sound cannot be stored: {}",
                  ::sf_strerror(nullptr));
    }
    // The PEAK chunk holds the clock time.
    ::sf_command(file.get(), SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);
    if (!comment.empty()) {
      ::sf_set_string(file.get(), SF_STR_COMMENT, comment.c_str());
    }
    bool good = WriteSamples(file.get(), sound, bits);
    good &= file.Close() == 0;
    if (memory.full) return Fail(ErrorCode::kSystem, "out of memory");
    if (!good) {
      return Fail(ErrorCode::kSystem, "the sound cannot be encoded");
    }
    return std::move(memory.bytes);
  });
}

Result<WrittenSound> WriteSound(const OutputTarget& target,
                                const SoundView& sound,
                                const Metadata& metadata) {
  return Guarded([&]() -> Result<WrittenSound> {
    const MetadataText text = ToJson(metadata);
    AUDIO_ASSIGN(
        const std::vector<std::byte> bytes,
        EncodeSound(sound, target.container, metadata.bits, text.json));
    AUDIO_TRY(WriteTarget(target, bytes));
    WrittenSound result;
    result.path = target.path;
    result.frames = static_cast<int64_t>(sound.samples.size()) / sound.channels;
    result.sample_rate = sound.sample_rate;
    result.channels = sound.channels;
    result.bytes = bytes.size();
    result.xxh3 =
        fmt::format("{:016x}", ::XXH3_64bits(bytes.data(), bytes.size()));
    result.loudness = MeasureLoudness(sound.samples);
    const Loudness& l = result.loudness;
    if (l.over > 0 && metadata.bits < 32) {
      result.warnings.push_back(fmt::format(
          "{} samples clipped (peak {:+.1f} dBFS)", l.over, l.peak_dbfs));
    }
    if (l.not_finite > 0) {
      result.warnings.push_back(
          fmt::format("{} samples are not finite", l.not_finite));
    }
    if (text.cut) {
      result.warnings.push_back(
          "the prompt is too long for the file's comment and is stored cut");
    }
    return result;
  });
}

namespace {

// As stored, of the start at least the frames that needed(rate) asks for.
template <typename Needed>
Result<StoredSound> ReadStored(const std::string& path, const Needed& needed) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    return Fail(errno == ENOENT || errno == ENOTDIR ? ErrorCode::kInvalidInput
                                                    : ErrorCode::kSystem,
                "{}: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kInvalidInput, "{}: not a regular file", path);
  }
  if (::access(path.c_str(), R_OK) != 0) {
    return Fail(ErrorCode::kSystem, "{}: {}", path, std::strerror(errno));
  }
  SF_INFO info = {};
  SoundFile file(::sf_open(path.c_str(), SFM_READ, &info));
  if (file.get() == nullptr) {
    return Fail(ErrorCode::kInvalidInput, "{}: not a sound file: {}", path,
                ::sf_strerror(nullptr));
  }
  if (info.channels < 1 || info.channels > 64 || info.samplerate < 100 ||
      info.samplerate > 1536000) {
    return Fail(ErrorCode::kInvalidInput,
                "{}: {} channels at {} Hz; allowed 1 to 64 at 100 to 1536000",
                path, info.channels, info.samplerate);
  }
  StoredSound sound;
  sound.sample_rate = info.samplerate;
  sound.channels = info.channels;
  // In pieces, as the header's length need not be true.
  const double frames = needed(info.samplerate);
  std::vector<float>& samples = sound.samples;
  std::vector<float> chunk(kChunkFrames * info.channels);
  while (static_cast<double>(samples.size()) / info.channels < frames) {
    const sf_count_t n =
        ::sf_readf_float(file.get(), chunk.data(), kChunkFrames);
    if (n <= 0) break;
    samples.insert(samples.end(), chunk.begin(),
                   chunk.begin() + n * info.channels);
  }
  if (samples.empty()) {
    return Fail(ErrorCode::kInvalidInput, "{}: holds no sound", path);
  }
  const auto bad = std::ranges::find_if_not(
      samples, [](float x) { return std::isfinite(x); });
  if (bad != samples.end()) {
    return Fail(ErrorCode::kInvalidInput, "{}: frame {} is not finite", path,
                (bad - samples.begin()) / info.channels);
  }
  sound.frames = static_cast<int64_t>(samples.size()) / info.channels;
  return sound;
}

}  // namespace

Result<StoredSound> ReadSound(const std::string& path) {
  return Guarded([&]() -> Result<StoredSound> {
    constexpr size_t kMostSamples = size_t{1} << 28;
    AUDIO_ASSIGN(StoredSound sound,
                 ReadStored(path, [](int) { return double{kMostSamples}; }));
    if (sound.samples.size() > kMostSamples) {
      return Fail(ErrorCode::kInvalidInput, "{}: more than {} samples", path,
                  kMostSamples);
    }
    return sound;
  });
}

Result<AudioData> ReadAudio(const std::string& path, int sample_rate,
                            int channels, int64_t max_frames) {
  return Guarded([&]() -> Result<AudioData> {
    // Some more than needed, so that the resampler's window sees true sound.
    AUDIO_ASSIGN(StoredSound sound, ReadStored(path, [&](int rate) {
                   return static_cast<double>(max_frames) * rate / sample_rate +
                          4096;
                 }));
    AudioData result;
    result.source_rate = sound.sample_rate;
    result.source_channels = sound.channels;
    std::vector<float> samples =
        ToChannels(std::move(sound.samples), sound.channels, channels);
    AUDIO_ASSIGN(result.samples,
                 Resample(std::move(samples), channels, sound.sample_rate,
                          sample_rate, max_frames));
    result.frames = static_cast<int64_t>(result.samples.size()) / channels;
    return result;
  });
}

}  // namespace lathe::audio

#include "cli/media.h"

#include <png.h>

#include <cstring>
#include <utility>

#include "apps/audio/audio_file.h"
#include "cli/npy.h"
#include "cli/problem.h"
#include "fmt/ranges.h"

namespace lathe::cli {
namespace {

uint64_t Elements(const std::vector<int32_t>& shape) {
  return ByteCount(ElementType::kUint8, shape);
}

std::string Words(const TensorInfo& input) {
  const bool resizable = !input.shape_signature.empty();
  return fmt::format(
      "{} [{}]", Name(input.type),
      fmt::join(resizable ? input.shape_signature : input.shape, ","));
}

// [frames][channels] to [channels][frames].
std::vector<float> Planar(const std::vector<float>& samples, size_t channels) {
  const size_t frames = samples.size() / channels;
  std::vector<float> out(samples.size());
  for (size_t f = 0; f < frames; ++f) {
    for (size_t c = 0; c < channels; ++c) {
      out[c * frames + f] = samples[f * channels + c];
    }
  }
  return out;
}

}  // namespace

bool IsFree(const TensorInfo& input, size_t dim) {
  if (input.is_constant) return false;
  return input.shape_signature.empty() || input.shape_signature[dim] == -1;
}

std::vector<int32_t> ShapeFor(const TensorInfo& input, uint64_t elements) {
  std::vector<int32_t> shape = input.shape;
  if (Elements(shape) == elements) return shape;
  // Without a signature the file does not say what is meant to change.
  if (input.shape_signature.empty() && shape.size() != 1) return {};
  for (size_t d = shape.size(); d-- > 0;) {
    if (!IsFree(input, d)) continue;
    uint64_t others = 1;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i != d) others *= static_cast<uint64_t>(shape[i]);
    }
    if (others == 0 || elements % others != 0 ||
        elements / others > INT32_MAX) {
      continue;
    }
    shape[d] = static_cast<int32_t>(elements / others);
    return shape;
  }
  return {};
}

Result<MediaValues> ReadWav(const std::string& path, const TensorInfo& input) {
  if (input.type != ElementType::kFloat32) {
    return Wrong("{}: a sound is float32, input \"{}\" is {}", path, input.name,
                 Words(input));
  }
  // The first look tells rate and channels.
  const auto head = audio::ReadAudio(path, 44100, 1, 1);
  if (!head) return std::unexpected(head.error());
  auto sound = audio::ReadAudio(path, head->source_rate, head->source_channels,
                                int64_t{1} << 40);
  if (!sound) return std::unexpected(sound.error());
  const auto channels = static_cast<size_t>(sound->source_channels);
  MediaValues values;
  values.shape = ShapeFor(input, sound->samples.size());
  const size_t rank = values.shape.size();
  const bool fits = Elements(values.shape) == sound->samples.size() &&
                    (rank > 0 || input.shape.empty());
  const bool interleaved =
      fits &&
      (channels == 1 ||
       (rank > 0 && values.shape[rank - 1] == static_cast<int32_t>(channels)));
  const bool planar = fits && !interleaved && rank > 1 &&
                      values.shape[rank - 2] == static_cast<int32_t>(channels);
  if (!interleaved && !planar) {
    return Wrong("{}: {} frames of {} channels do not fit input \"{}\" {}",
                 path, sound->frames, channels, input.name, Words(input));
  }
  if (planar) sound->samples = Planar(sound->samples, channels);
  values.bytes.resize(sound->samples.size() * sizeof(float));
  std::memcpy(values.bytes.data(), sound->samples.data(), values.bytes.size());
  return values;
}

Result<MediaValues> ReadPng(const std::string& path, const TensorInfo& input) {
  const bool floats = input.type == ElementType::kFloat32;
  if ((!floats && input.type != ElementType::kUint8) ||
      input.shape.size() != 4) {
    return Wrong(
        "{}: a picture is uint8 or float32 [1,height,width,channels], input "
        "\"{}\" is {}",
        path, input.name, Words(input));
  }
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) {
    return Wrong("{}: not a readable .png file: {}", path, image.message);
  }
  if ((image.format & PNG_FORMAT_FLAG_LINEAR) != 0) {
    png_image_free(&image);
    return Wrong("{}: 16 bits for each channel; allowed 8", path);
  }
  image.format &= PNG_FORMAT_FLAG_ALPHA | PNG_FORMAT_FLAG_COLOR;
  MediaValues values;
  values.shape = {1, static_cast<int32_t>(image.height),
                  static_cast<int32_t>(image.width),
                  static_cast<int32_t>(PNG_IMAGE_PIXEL_CHANNELS(image.format))};
  bool fits = true;
  for (size_t d = 0; d < 4; ++d) {
    fits = fits && (values.shape[d] == input.shape[d] ||
                    (IsFree(input, d) && !input.shape_signature.empty()));
  }
  if (!fits) {
    png_image_free(&image);
    return Wrong(
        "{}: {} high, {} wide, {} channels does not fit input \"{}\" {}", path,
        values.shape[1], values.shape[2], values.shape[3], input.name,
        Words(input));
  }
  std::vector<std::byte> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 0) {
    const std::string why = image.message;
    png_image_free(&image);
    return Wrong("{}: not a readable .png file: {}", path, why);
  }
  if (floats) {
    values.bytes.resize(pixels.size() * sizeof(float));
    for (size_t i = 0; i < pixels.size(); ++i) {
      const float value =
          static_cast<float>(std::to_integer<int>(pixels[i])) / 255.0f;
      std::memcpy(values.bytes.data() + i * sizeof(float), &value,
                  sizeof(float));
    }
  } else {
    values.bytes = std::move(pixels);
  }
  return values;
}

}  // namespace lathe::cli

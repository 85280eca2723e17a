// Authors the Oobleck decoder and encoder.

#include "src/import/models/oobleck.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "src/import/models/blocks.h"

namespace lathe::importer {
namespace {

using graph::OpCode;
using graph::Shape;
using graph::Type;

constexpr int32_t kDilations[] = {1, 3, 9};

double Norm(std::span<const float> v) {
  double sum = 0;
  for (const float x : v) sum += double{x} * x;
  return std::sqrt(sum);
}

// g v / |v| for one index of axis 0 of `name`.
Status NormRow(const std::string& name, const SourceTensor& v,
               const SourceTensor& g, uint64_t index, std::vector<float>& row) {
  LATHE_TRY(v.read(index * row.size(), row));
  float gain = 0;
  LATHE_TRY(g.read(index, {&gain, 1}));
  const double norm = Norm(row);
  if (!(norm > 0 && std::isfinite(norm))) {
    return Invalid(
        "{}.weight_v: row {} has length {}, expected above 0 and finite (its "
        "direction is the weight)",
        name, index, norm);
  }
  const double scale = double{gain} / norm;
  for (float& x : row) x = static_cast<float>(x * scale);
  return {};
}

class Author {
 public:
  Author(Weights& weights, graph::Graph& graph, std::string name,
         std::string prefix)
      : b(graph, std::move(name)), w_(weights), prefix_(std::move(prefix)) {}

  Builder b;

  std::string Key(const std::string& name) const { return prefix_ + name; }

  // A weight-normed Conv1d [out, in, k] as a CONV_2D filter [out, 1, k, in].
  TensorId Filter(const std::string& name, int32_t out, int32_t in, int32_t k) {
    SourceTensor v = w_.Need(Key(name + ".weight_v"), {out, in, k});
    SourceTensor g = w_.Need(Key(name + ".weight_g"), {out, 1, 1});
    return AddConstant(b, name + ".weight", {out, 1, k, in},
                       [=, key = Key(name)](std::span<float> to) -> Status {
                         const size_t n = static_cast<size_t>(in),
                                      taps = static_cast<size_t>(k);
                         std::vector<float> row(n * taps);
                         for (size_t o = 0; o < static_cast<size_t>(out); ++o) {
                           LATHE_TRY(NormRow(key, v, g, o, row));
                           float* at = to.data() + o * n * taps;
                           for (size_t i = 0; i < n; ++i) {
                             for (size_t tap = 0; tap < taps; ++tap) {
                               at[tap * n + i] = row[i * taps + tap];
                             }
                           }
                         }
                         v.done();
                         return {};
                       });
  }

  // A weight-normed ConvTranspose1d [in, out, 2 s] as a filter of width 2 with
  // s * out outputs: see Upsample.
  TensorId UpsampleFilter(const std::string& name, int32_t in, int32_t out,
                          int32_t s) {
    SourceTensor v = w_.Need(Key(name + ".weight_v"), {in, out, 2 * s});
    SourceTensor g = w_.Need(Key(name + ".weight_g"), {in, 1, 1});
    return AddConstant(b, name + ".weight", {s * out, 1, 2, in},
                       [=, key = Key(name)](std::span<float> to) -> Status {
                         const size_t outs = static_cast<size_t>(out),
                                      step = static_cast<size_t>(s),
                                      ins = static_cast<size_t>(in);
                         std::vector<float> row(outs * 2 * step);
                         for (size_t i = 0; i < ins; ++i) {
                           LATHE_TRY(NormRow(key, v, g, i, row));
                           for (size_t f = 0; f < step; ++f) {
                             for (size_t o = 0; o < outs; ++o) {
                               float* at =
                                   to.data() + (f * outs + o) * 2 * ins + i;
                               at[0] = row[o * 2 * step + step + f];
                               at[ins] = row[o * 2 * step + f];
                             }
                           }
                         }
                         v.done();
                         return {};
                       });
  }

  TensorId Bias(const std::string& name, int32_t out, int32_t repeats = 1) {
    SourceTensor bias = w_.Need(Key(name + ".bias"), {out});
    return AddConstant(b, name + ".bias", {out * repeats},
                       [=](std::span<float> to) -> Status {
                         const size_t n = static_cast<size_t>(out);
                         for (size_t at = 0; at < to.size(); at += n) {
                           LATHE_TRY(bias.read(0, to.subspan(at, n)));
                         }
                         return {};
                       });
  }

  TensorId SnakeOf(const std::string& name, TensorId x, int32_t channels) {
    SourceTensor alpha = w_.Need(Key(name + ".alpha"), {channels});
    SourceTensor beta = w_.Need(Key(name + ".beta"), {channels});
    const TensorId a = AddConstant(
        b, name + ".a", {channels}, [alpha](std::span<float> to) -> Status {
          LATHE_TRY(alpha.read(0, to));
          for (float& x : to) {
            x = static_cast<float>(std::exp(double{x}));
          }
          return {};
        });
    const TensorId inverse_b = AddConstant(
        b, name + ".inverse_b", {channels},
        [beta](std::span<float> to) -> Status {
          LATHE_TRY(beta.read(0, to));
          for (float& x : to) {
            x = static_cast<float>(1.0 / (std::exp(double{x}) + 1e-9));
          }
          return {};
        });
    return Snake(b, x, a, inverse_b);
  }

  // SAME padding is the reference's: 3 d on both sides of a width-7 kernel, s/2
  // on both sides of a width-2s kernel with stride s where s divides the input.
  TensorId Conv(const std::string& name, TensorId x, int32_t out, int32_t in,
                int32_t k, int32_t stride, int32_t dilation, bool bias) {
    // The format lets a bias be left out; LiteRT's CONV_2D does not.
    const std::vector<float> zeros(static_cast<size_t>(out));
    const TensorId filter = Filter(name, out, in, k);
    const TensorId add =
        bias ? Bias(name, out) : b.Floats(name + ".no_bias", {out}, zeros);
    return b.Op(OpCode::kConv2d, {x, filter, add},
                {{"padding", int64_t{0}},
                 {"stride_w", int64_t{stride}},
                 {"stride_h", int64_t{1}},
                 {"dilation_w_factor", int64_t{dilation}}});
  }

  TensorId Residual(const std::string& name, TensorId x, int32_t channels,
                    int32_t dilation) {
    const std::string layers = name + ".layers.";
    TensorId y = SnakeOf(layers + "0", x, channels);
    y = Conv(layers + "1", y, channels, channels, 7, 1, dilation, true);
    y = SnakeOf(layers + "2", y, channels);
    y = Conv(layers + "3", y, channels, channels, 1, 1, 1, true);
    return b.Op(OpCode::kAdd, {x, y});
  }

  // The transposed convolution (kernel 2 s, stride s, padding s / 2) written as
  // a convolution, because TRANSPOSE_CONV takes its output's size as a tensor,
  // which a resizable time axis turns into a value that is computed while the
  // model runs; runtimes then leave their fast path.
  //
  // Each output sample has two taps. Row i of a convolution of width 2 over the
  // input with one zero row on each side sees inputs i - 1 and i, and its s
  // groups of columns are output samples (i - 1) s + s / 2 + f for f < s: tap
  // s + f of input i - 1 and tap f of input i. The rows one behind the other
  // are the output with s / 2 samples too many on each side.
  TensorId Upsample(const std::string& name, TensorId x, int32_t in,
                    int32_t out, int32_t s) {
    const int32_t pads[] = {0, 0, 0, 0, 1, 1, 0, 0};
    const TensorId padded =
        b.Op(OpCode::kPad, {x, b.Ints("pads", {4, 2}, pads)});
    const TensorId filter = UpsampleFilter(name, in, out, s);
    const TensorId rows =
        b.Op(OpCode::kConv2d, {padded, filter, Bias(name, out, s)},
             {{"padding", int64_t{1}},
              {"stride_w", int64_t{1}},
              {"stride_h", int64_t{1}}});
    const TensorId samples = Reshape(b, rows, {1, 1, -1, out});
    const int32_t begin[] = {0, 0, s / 2, 0}, end[] = {1, 1, -s / 2, out};
    const int32_t step[] = {1, 1, 1, 1};
    return b.Op(OpCode::kStridedSlice,
                {samples, b.Ints("begin", {4}, begin), b.Ints("end", {4}, end),
                 b.Ints("step", {4}, step)});
  }

  // [1, C, T] to [1, 1, T, C] and back.
  TensorId ToRows(TensorId x, int32_t channels) {
    const int32_t swap[] = {0, 2, 1};
    return Reshape(b, Transpose(b, x, swap), {1, 1, -1, channels});
  }
  TensorId FromRows(TensorId x, int32_t channels) {
    const int32_t swap[] = {0, 2, 1};
    return Transpose(b, Reshape(b, x, {1, -1, channels}), swap);
  }

 private:
  Weights& w_;
  std::string prefix_;
};

// Channels at each resolution, the finest first.
std::vector<int32_t> ChannelsOf(const OobleckConfig& config) {
  std::vector<int32_t> channels = {config.channels};
  for (const int32_t m : config.multipliers) {
    channels.push_back(config.channels * m);
  }
  return channels;
}

}  // namespace

Status AuthorDecoder(const StableAudioConfig& config, Weights& weights,
                     graph::Graph& graph) {
  const OobleckConfig& c = config.decoder;
  const std::vector<int32_t> channels = ChannelsOf(c);
  const size_t blocks = c.strides.size();
  Author a(weights, graph, "decoder", "pretransform.model.decoder.");
  const TensorId latent =
      a.b.Input("latent", Type::kFloat32, {1, c.latent_dim, config.frames()},
                {1, c.latent_dim, -1});
  TensorId x = a.Conv("layers.0", a.ToRows(latent, c.latent_dim),
                      channels[blocks], c.latent_dim, 7, 1, 1, true);
  for (size_t i = 0; i < blocks; ++i) {
    const std::string block = fmt::format("layers.{}.layers.", i + 1);
    const int32_t in = channels[blocks - i], out = channels[blocks - i - 1];
    x = a.SnakeOf(block + "0", x, in);
    x = a.Upsample(block + "1", x, in, out, c.strides[blocks - i - 1]);
    for (size_t r = 0; r < 3; ++r) {
      x = a.Residual(fmt::format("{}{}", block, r + 2), x, out, kDilations[r]);
    }
  }
  x = a.SnakeOf(fmt::format("layers.{}", blocks + 1), x, c.channels);
  x = a.Conv(fmt::format("layers.{}", blocks + 2), x, c.audio_channels,
             c.channels, 7, 1, 1, false);
  const TensorId audio = a.FromRows(x, c.audio_channels);
  const std::pair<std::string, TensorId> inputs[] = {{"latent", latent}};
  const std::pair<std::string, TensorId> outputs[] = {{"audio", audio}};
  return a.b.Finish("decode", inputs, outputs);
}

Status AuthorEncoder(const StableAudioConfig& config, Weights& weights,
                     graph::Graph& graph) {
  const OobleckConfig& c = config.encoder;
  const std::vector<int32_t> channels = ChannelsOf(c);
  const size_t blocks = c.strides.size();
  Author a(weights, graph, "encoder", "pretransform.model.encoder.");
  const int32_t samples = config.frames() * config.hop;
  const TensorId audio =
      a.b.Input("audio", Type::kFloat32, {1, c.audio_channels, samples},
                {1, c.audio_channels, -1});
  TensorId x = a.Conv("layers.0", a.ToRows(audio, c.audio_channels), c.channels,
                      c.audio_channels, 7, 1, 1, true);
  for (size_t i = 0; i < blocks; ++i) {
    const std::string block = fmt::format("layers.{}.layers.", i + 1);
    for (size_t r = 0; r < 3; ++r) {
      x = a.Residual(fmt::format("{}{}", block, r), x, channels[i],
                     kDilations[r]);
    }
    x = a.SnakeOf(block + "3", x, channels[i]);
    x = a.Conv(block + "4", x, channels[i + 1], channels[i], 2 * c.strides[i],
               c.strides[i], 1, true);
  }
  x = a.SnakeOf(fmt::format("layers.{}", blocks + 1), x, channels[blocks]);
  x = a.Conv(fmt::format("layers.{}", blocks + 2), x, c.latent_dim,
             channels[blocks], 3, 1, 1, true);
  const std::vector<TensorId> halves =
      Split(a.b, a.FromRows(x, c.latent_dim), 1, 2);
  // softplus(raw) + 1e-4 = max(raw, 0) + log(1 + e^-|raw|) + 1e-4
  Builder& b = a.b;
  const TensorId tail =
      b.Op(OpCode::kLog,
           {b.Op(OpCode::kAdd,
                 {b.Op(OpCode::kExp,
                       {b.Op(OpCode::kNeg, {b.Op(OpCode::kAbs, {halves[1]})})}),
                  Scalar(b, "one", 1.0f)})});
  const TensorId stdev =
      b.Op(OpCode::kAdd,
           {b.Op(OpCode::kAdd, {b.Op(OpCode::kRelu, {halves[1]}), tail}),
            Scalar(b, "floor", 1e-4f)});
  const std::pair<std::string, TensorId> inputs[] = {{"audio", audio}};
  const std::pair<std::string, TensorId> outputs[] = {{"mean", halves[0]},
                                                      {"stdev", stdev}};
  return a.b.Finish("encode", inputs, outputs);
}

namespace {

// Samples that a frame reaches beyond its own: 3 of the width-7 convolution at
// the audio, at each resolution 3 (1 + 3 + 9) of the residual units and s / 2
// of the change of resolution, and `inmost` frames of the convolution at the
// latents.
int32_t Halo(const OobleckConfig& config, int64_t inmost) {
  int64_t reach = 3, step = 1;
  for (const int32_t stride : config.strides) {
    reach += (3 * (1 + 3 + 9) + stride / 2) * step;
    step *= stride;
  }
  reach += inmost * step;
  return static_cast<int32_t>((reach + step - 1) / step);
}

}  // namespace

int32_t DecoderHalo(const OobleckConfig& config) { return Halo(config, 3); }
int32_t EncoderHalo(const OobleckConfig& config) { return Halo(config, 1); }

}  // namespace lathe::importer

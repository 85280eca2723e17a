// Authors the diffusion transformer.

#include "src/import/models/dit.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "src/import/models/blocks.h"

namespace lathe::importer {
namespace {

using graph::OpCode;
using graph::Type;

constexpr float kBlockEpsilon = 1e-5f;
constexpr float kHeadEpsilon = 1e-6f;
constexpr int32_t kTimeFrequencies = 128;

class Author {
 public:
  Author(const StableAudioConfig& config, Weights& weights, graph::Graph& graph)
      : c_(config), d_(config.dit), w_(weights), b_(graph, "dit") {}

  Status Run() {
    const int32_t frames = c_.frames();
    const TensorId x = b_.Input("x", Type::kFloat32, {1, c_.latents, frames});
    const TensorId t = b_.Input("t", Type::kFloat32, {1});
    const TensorId context = b_.Input("context", Type::kFloat32,
                                      {1, c_.token_window + 1, d_.cond_width});
    const TensorId global =
        b_.Input("global", Type::kFloat32, {1, d_.global_width});

    CrossKeys(Projection("to_cond_embed", context, d_.cond_width));
    const TensorId token = b_.Op(
        OpCode::kAdd, {Projection("to_global_embed", global, d_.global_width),
                       TimeEmbedding(t)});

    b_.SetScope("in/");
    const int32_t swap[] = {0, 2, 1};
    const TensorId rows = Transpose(b_, x, swap);
    const TensorId mixed =
        b_.Op(OpCode::kAdd,
              {Linear(b_, rows, PointwiseConv("preprocess_conv")), rows});
    const TensorId parts[] = {
        Reshape(b_, token, {1, 1, d_.width}),
        Linear(b_, mixed,
               Matrix("transformer.project_in", d_.width, d_.channels))};
    TensorId h = Concat(b_, parts, 1);

    Angles(frames + 1);
    for (int32_t i = 0; i < d_.depth; ++i) {
      LATHE_ASSIGN(h, Layer(i, h));
    }

    b_.SetScope("out/");
    const TensorId out =
        Linear(b_, h, Matrix("transformer.project_out", d_.channels, d_.width));
    const std::vector<TensorId> split = SplitSizes(b_, out, 1, {1, frames});
    const TensorId velocity = b_.Op(
        OpCode::kAdd,
        {Linear(b_, split[1], PointwiseConv("postprocess_conv")), split[1]});
    const TensorId y = Transpose(b_, velocity, swap);
    const std::pair<std::string, TensorId> inputs[] = {
        {"x", x}, {"t", t}, {"context", context}, {"global", global}};
    const std::pair<std::string, TensorId> outputs[] = {{"velocity", y}};
    return b_.Finish("velocity", inputs, outputs);
  }

 private:
  static std::string Key(const std::string& name) {
    return "model.model." + name;
  }

  TensorId Matrix(const std::string& name, int32_t rows, int32_t columns) {
    return AddPlain(b_, name, {rows, columns},
                    w_.Need(Key(name + ".weight"), {rows, columns}));
  }
  TensorId Vector(const std::string& name, int32_t size) {
    return AddPlain(b_, name, {size}, w_.Need(Key(name), {size}));
  }
  // A convolution of width 1 is a matrix.
  TensorId PointwiseConv(const std::string& name) {
    return AddPlain(
        b_, name, {d_.channels, d_.channels},
        w_.Need(Key(name + ".weight"), {d_.channels, d_.channels, 1}));
  }

  // silu(x W0^T) W2^T
  TensorId Projection(const std::string& name, TensorId x, int32_t width) {
    b_.SetScope(name + "/");
    const TensorId hidden =
        Silu(b_, Linear(b_, x, Matrix(name + ".0", d_.width, width)));
    return Linear(b_, hidden, Matrix(name + ".2", d_.width, d_.width));
  }

  TensorId TimeEmbedding(TensorId t) {
    b_.SetScope("time/");
    const TensorId frequencies = AddPlain(
        b_, "frequencies", {1, kTimeFrequencies},
        w_.Need(Key("timestep_features.weight"), {kTimeFrequencies, 1}));
    const TensorId turns = Reshape(
        b_,
        b_.Op(OpCode::kMul,
              {t,
               Scalar(b_, "two_pi", static_cast<float>(2 * std::numbers::pi))}),
        {1, 1});
    const TensorId angle = b_.Op(OpCode::kMul, {turns, frequencies});
    // Cosines first.
    const TensorId parts[] = {b_.Op(OpCode::kCos, {angle}),
                              b_.Op(OpCode::kSin, {angle})};
    const std::string name = "to_timestep_embed";
    const TensorId hidden =
        Silu(b_, Linear(b_, Concat(b_, parts, 1),
                        Matrix(name + ".0", d_.width, 2 * kTimeFrequencies),
                        Vector(name + ".0.bias", d_.width)));
    return Linear(b_, hidden, Matrix(name + ".2", d_.width, d_.width),
                  Vector(name + ".2.bias", d_.width));
  }

  std::string LayerName(int32_t i, const std::string& part) const {
    return fmt::format("transformer.layers.{}.{}", i, part);
  }
  int32_t head() const { return d_.width / d_.heads; }

  // Weights of head norms, `repeats` times one behind the other, [n, 1, d]: one
  // row per head. `scale` multiplies.
  Status HeadRows(const std::string& name, const char* part, float scale,
                  std::vector<float>& rows) {
    LATHE_ASSIGN(const std::vector<float> values,
                 w_.Values(Key(name + "." + part), {head()}));
    for (int32_t h = 0; h < d_.heads; ++h) {
      for (const float v : values) rows.push_back(v * scale);
    }
    return {};
  }

  // Fills keys_ and values_: one [heads, rows, d] for each layer.
  void CrossKeys(TensorId context) {
    b_.SetScope("cross/");
    const int32_t e = d_.width;
    std::vector<SourceTensor> kv;
    for (int32_t i = 0; i < d_.depth; ++i) {
      kv.push_back(
          w_.Need(Key(LayerName(i, "cross_attn.to_kv.weight")), {2 * e, e}));
    }
    const size_t part = static_cast<size_t>(e) * static_cast<size_t>(e);
    const TensorId matrix =
        AddConstant(b_, "to_kv", {2 * e * d_.depth, e},
                    // Keys of all layers, then values of all layers.
                    [kv = std::move(kv), part](std::span<float> out) -> Status {
                      for (size_t i = 0; i < kv.size(); ++i) {
                        LATHE_TRY(kv[i].read(0, out.subspan(i * part, part)));
                        LATHE_TRY(kv[i].read(
                            part, out.subspan((kv.size() + i) * part, part)));
                        kv[i].done();
                      }
                      return {};
                    });
    const TensorId heads =
        ToHeads(b_, Linear(b_, context, matrix), 2 * d_.heads * d_.depth);
    const std::vector<TensorId> halves = Split(b_, heads, 0, 2);
    std::vector<float> gamma, beta;
    for (int32_t i = 0; i < d_.depth; ++i) {
      const std::string norm = LayerName(i, "cross_attn.k_norm");
      Keep(HeadRows(norm, "weight", 1.0f, gamma));
      Keep(HeadRows(norm, "bias", 1.0f, beta));
    }
    const graph::Shape rows = {d_.heads * d_.depth, 1, head()};
    const TensorId k =
        LayerNorm(b_, halves[0], b_.Floats("k_gamma", rows, gamma),
                  b_.Floats("k_beta", rows, beta), kHeadEpsilon);
    const size_t depth = static_cast<size_t>(d_.depth);
    if (depth == 1) {
      keys_ = {k};
      values_ = {halves[1]};
      return;
    }
    keys_ = Split(b_, k, 0, depth);
    values_ = Split(b_, halves[1], 0, depth);
  }

  // cos_ and sin_ [n, r / 2]; angles in float32 as the reference forms them.
  void Angles(int32_t n) {
    b_.SetScope("rotary/");
    const int32_t half = std::max(head() / 2, 32) / 2;
    // The checkpoint stores the frequencies; they are what it computes with.
    const auto frequencies =
        w_.Values(Key("transformer.rotary_pos_emb.inv_freq"), {half});
    if (!frequencies) return Keep(std::unexpected(frequencies.error()));
    std::vector<float> cos, sin;
    for (int32_t i = 0; i < n; ++i) {
      for (const float f : *frequencies) {
        const float angle = static_cast<float>(i) * f;
        cos.push_back(static_cast<float>(std::cos(double{angle})));
        sin.push_back(static_cast<float>(std::sin(double{angle})));
      }
    }
    rotary_half_ = half;
    cos_ = b_.Floats("cos", {n, half}, cos);
    sin_ = b_.Floats("sin", {n, half}, sin);
  }

  TensorId Rotate(TensorId x) {
    std::vector<int32_t> sizes = {rotary_half_, rotary_half_};
    if (head() > 2 * rotary_half_) sizes.push_back(head() - 2 * rotary_half_);
    std::vector<TensorId> parts = SplitSizes(b_, x, 2, sizes);
    const TensorId a = parts[0], b = parts[1];
    const auto times = [&](TensorId v, TensorId table) {
      return b_.Op(OpCode::kMul, {v, table});
    };
    parts[0] = b_.Op(OpCode::kSub, {times(a, cos_), times(b, sin_)});
    parts[1] = b_.Op(OpCode::kAdd, {times(b, cos_), times(a, sin_)});
    return Concat(b_, parts, 2);
  }

  Result<TensorId> BlockNorm(int32_t i, const std::string& name, TensorId h) {
    const std::string key = LayerName(i, name);
    LATHE_ASSIGN(const std::vector<float> beta,
                 w_.Values(Key(key + ".beta"), {d_.width}));
    // beta is a buffer that training leaves at zero; adding zero is nothing.
    const bool zero = std::ranges::all_of(beta, [](float v) { return v == 0; });
    return LayerNorm(b_, h, Vector(key + ".gamma", d_.width),
                     zero ? kNone : b_.Floats(name + ".beta", {d_.width}, beta),
                     kBlockEpsilon);
  }

  Result<TensorId> Layer(int32_t i, TensorId h) {
    b_.SetScope(fmt::format("layer{}/self/", i));
    const int32_t e = d_.width;
    LATHE_ASSIGN(TensorId u, BlockNorm(i, "pre_norm", h));
    LATHE_ASSIGN(TensorId attended, SelfAttention(i, u));
    h = b_.Op(OpCode::kAdd,
              {h, Linear(b_, attended,
                         Matrix(LayerName(i, "self_attn.to_out"), e, e))});

    b_.SetScope(fmt::format("layer{}/cross/", i));
    LATHE_ASSIGN(u, BlockNorm(i, "cross_attend_norm", h));
    LATHE_ASSIGN(attended, CrossAttention(i, u));
    h = b_.Op(OpCode::kAdd,
              {h, Linear(b_, attended,
                         Matrix(LayerName(i, "cross_attn.to_out"), e, e))});

    b_.SetScope(fmt::format("layer{}/ff/", i));
    LATHE_ASSIGN(u, BlockNorm(i, "ff_norm", h));
    const std::string in = LayerName(i, "ff.ff.0.proj");
    const TensorId z =
        Linear(b_, u, Matrix(in, 8 * e, e), Vector(in + ".bias", 8 * e));
    const std::vector<TensorId> halves = Split(b_, z, 2, 2);
    const TensorId gated =
        b_.Op(OpCode::kMul, {halves[0], Silu(b_, halves[1])});
    const std::string out = LayerName(i, "ff.ff.2");
    return b_.Op(OpCode::kAdd, {h, Linear(b_, gated, Matrix(out, e, 4 * e),
                                          Vector(out + ".bias", e))});
  }

  Result<TensorId> SelfAttention(int32_t i, TensorId u) {
    const int32_t e = d_.width;
    const std::string name = LayerName(i, "self_attn");
    const TensorId heads = ToHeads(
        b_, Linear(b_, u, Matrix(name + ".to_qkv", 3 * e, e)), 3 * d_.heads);
    const std::vector<TensorId> parts =
        SplitSizes(b_, heads, 0, {2 * d_.heads, d_.heads});
    // Queries and keys share one norm and one rotation.
    const float scale = 1.0f / std::sqrt(static_cast<float>(head()));
    std::vector<float> gamma, beta;
    LATHE_TRY(HeadRows(name + ".q_norm", "weight", scale, gamma));
    LATHE_TRY(HeadRows(name + ".k_norm", "weight", 1.0f, gamma));
    LATHE_TRY(HeadRows(name + ".q_norm", "bias", scale, beta));
    LATHE_TRY(HeadRows(name + ".k_norm", "bias", 1.0f, beta));
    const graph::Shape rows = {2 * d_.heads, 1, head()};
    const TensorId normed =
        LayerNorm(b_, parts[0], b_.Floats("qk_gamma", rows, gamma),
                  b_.Floats("qk_beta", rows, beta), kHeadEpsilon);
    const std::vector<TensorId> qk = Split(b_, Rotate(normed), 0, 2);
    return FromHeads(b_, Attend(b_, qk[0], qk[1], parts[1]));
  }

  Result<TensorId> CrossAttention(int32_t i, TensorId u) {
    const int32_t e = d_.width;
    const std::string name = LayerName(i, "cross_attn");
    const float scale = 1.0f / std::sqrt(static_cast<float>(head()));
    LATHE_ASSIGN(std::vector<float> gamma,
                 w_.Values(Key(name + ".q_norm.weight"), {head()}));
    LATHE_ASSIGN(std::vector<float> beta,
                 w_.Values(Key(name + ".q_norm.bias"), {head()}));
    for (float& v : gamma) v *= scale;
    for (float& v : beta) v *= scale;
    const TensorId q = LayerNorm(
        b_, ToHeads(b_, Linear(b_, u, Matrix(name + ".to_q", e, e)), d_.heads),
        b_.Floats("q_gamma", {head()}, gamma),
        b_.Floats("q_beta", {head()}, beta), kHeadEpsilon);
    const size_t layer = static_cast<size_t>(i);
    return FromHeads(b_, Attend(b_, q, keys_[layer], values_[layer]));
  }

  void Keep(Status status) {
    if (!status && status_) status_ = std::move(status);
  }

 public:
  Status status_;

 private:
  const StableAudioConfig& c_;
  const DitConfig& d_;
  Weights& w_;
  Builder b_;
  std::vector<TensorId> keys_, values_;
  TensorId cos_ = 0, sin_ = 0;
  int32_t rotary_half_ = 0;
};

}  // namespace

Status AuthorDit(const StableAudioConfig& config, Weights& weights,
                 graph::Graph& graph) {
  Author author(config, weights, graph);
  LATHE_TRY(author.Run());
  return author.status_;
}

}  // namespace lathe::importer

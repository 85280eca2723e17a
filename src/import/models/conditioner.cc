// Authors the T5 encoder and the seconds embedder.

#include "src/import/models/conditioner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "src/import/models/blocks.h"

namespace lathe::importer {
namespace {

using graph::OpCode;
using graph::Type;

// Query, key and value of one layer as one matrix, rows in this order.
TensorId JoinRows(Builder& b, std::string name, std::vector<SourceTensor> parts,
                  int32_t columns) {
  int64_t rows = 0;
  for (const SourceTensor& part : parts) rows += part.shape[0];
  return AddConstant(
      b, std::move(name), {static_cast<int32_t>(rows), columns},
      [parts = std::move(parts)](std::span<float> out) -> Status {
        size_t at = 0;
        for (const SourceTensor& part : parts) {
          const size_t n = static_cast<size_t>(part.shape[0] * part.shape[1]);
          LATHE_TRY(part.read(0, out.subspan(at, n)));
          part.done();
          at += n;
        }
        return {};
      });
}

// [heads, W, W]: the table's value for each pair of positions.
Result<TensorId> PositionBias(Builder& b, const T5Config& c, int32_t window,
                              Weights& t5) {
  LATHE_ASSIGN(const std::vector<float> table,
               t5.Values("encoder.block.0.layer.0.SelfAttention."
                         "relative_attention_bias.weight",
                         {c.buckets, c.heads}));
  const size_t w = static_cast<size_t>(window);
  std::vector<float> bias(static_cast<size_t>(c.heads) * w * w);
  for (int32_t h = 0; h < c.heads; ++h) {
    for (int32_t i = 0; i < window; ++i) {
      for (int32_t j = 0; j < window; ++j) {
        const int32_t bucket = RelativeBucket(j - i, c.buckets, c.furthest);
        bias[(static_cast<size_t>(h) * w + static_cast<size_t>(i)) * w +
             static_cast<size_t>(j)] =
            table[static_cast<size_t>(bucket) * static_cast<size_t>(c.heads) +
                  static_cast<size_t>(h)];
      }
    }
  }
  return b.Floats("position_bias", {c.heads, window, window}, bias);
}

// The text rows [1, W, width], masked rows zeroed.
Result<TensorId> TextEncoder(Builder& b, const T5Config& c, int32_t window,
                             TensorId ids, TensorId mask, Weights& t5) {
  const int64_t inner = int64_t{c.heads} * c.d_kv;
  b.SetScope("t5/");
  // encoder.embed_tokens is the same table under a second name.
  t5.Ignore("encoder.embed_tokens.weight");
  const std::string shared =
      !t5.Has("shared.weight") && t5.Has("encoder.embed_tokens.weight")
          ? "encoder.embed_tokens.weight"
          : "shared.weight";
  const TensorId table = AddPlain(b, "shared", {c.vocabulary, c.width},
                                  t5.Need(shared, {c.vocabulary, c.width}));
  TensorId h = b.Op(OpCode::kGather, {table, ids}, {{"axis", int64_t{0}}});

  // 0 for tokens, so low for padding that its weight underflows to exactly 0.
  const TensorId mask_f =
      b.Op(OpCode::kCast, {mask},
           {{"in_data_type", int64_t{2}}, {"out_data_type", int64_t{0}}});
  const TensorId masked =
      b.Op(OpCode::kMul, {b.Op(OpCode::kSub, {mask_f, Scalar(b, "one", 1.0f)}),
                          Scalar(b, "huge", 1e30f)});
  LATHE_ASSIGN(const TensorId position, PositionBias(b, c, window, t5));
  const TensorId bias =
      b.Op(OpCode::kAdd, {position, Reshape(b, masked, {1, 1, window})});

  for (int32_t i = 0; i < c.depth; ++i) {
    const std::string block = fmt::format("encoder.block.{}.layer.", i);
    const std::string attention = block + "0.SelfAttention.";
    b.SetScope(fmt::format("t5/block{}/", i));
    TensorId u =
        RmsNorm(b, h,
                AddPlain(b, "attention_norm", {c.width},
                         t5.Need(block + "0.layer_norm.weight", {c.width})),
                c.epsilon);
    std::vector<SourceTensor> qkv;
    for (const char* part : {"q", "k", "v"}) {
      qkv.push_back(t5.Need(attention + part + ".weight", {inner, c.width}));
    }
    const TensorId joined =
        Linear(b, u, JoinRows(b, "qkv", std::move(qkv), c.width));
    const std::vector<TensorId> heads =
        Split(b, ToHeads(b, joined, 3 * c.heads), 0, 3);
    const TensorId attended =
        FromHeads(b, Attend(b, heads[0], heads[1], heads[2], bias));
    const TensorId out =
        AddPlain(b, "o", {c.width, static_cast<int32_t>(inner)},
                 t5.Need(attention + "o.weight", {c.width, inner}));
    h = b.Op(OpCode::kAdd, {h, Linear(b, attended, out)});

    u = RmsNorm(b, h,
                AddPlain(b, "dense_norm", {c.width},
                         t5.Need(block + "1.layer_norm.weight", {c.width})),
                c.epsilon);
    const TensorId wi = AddPlain(
        b, "wi", {c.d_ff, c.width},
        t5.Need(block + "1.DenseReluDense.wi.weight", {c.d_ff, c.width}));
    const TensorId wo = AddPlain(
        b, "wo", {c.width, c.d_ff},
        t5.Need(block + "1.DenseReluDense.wo.weight", {c.width, c.d_ff}));
    const TensorId hidden = b.Op(
        OpCode::kFullyConnected, {u, wi, kNone},
        {{"fused_activation_function", int64_t{1}}, {"keep_num_dims", true}});
    h = b.Op(OpCode::kAdd, {h, Linear(b, hidden, wo)});
  }
  b.SetScope("t5/");
  h = RmsNorm(b, h,
              AddPlain(b, "final_norm", {c.width},
                       t5.Need("encoder.final_layer_norm.weight", {c.width})),
              c.epsilon);
  return b.Op(OpCode::kMul, {h, Reshape(b, mask_f, {1, window, 1})});
}

// [1, width]: reference section 2.3.
Result<TensorId> Seconds(Builder& b, const StableAudioConfig& c,
                         TensorId seconds, Weights& weights) {
  const std::string prefix =
      "conditioner.conditioners.seconds_total.embedder.embedding.";
  constexpr int32_t kFrequencies = 128;
  b.SetScope("seconds/");
  const float low = static_cast<float>(c.seconds_min);
  const float span = static_cast<float>(c.seconds_max - c.seconds_min);
  const TensorId clamped =
      b.Op(OpCode::kMinimum,
           {b.Op(OpCode::kMaximum, {seconds, Scalar(b, "min", low)}),
            Scalar(b, "max", static_cast<float>(c.seconds_max))});
  const TensorId u = Reshape(
      b,
      b.Op(OpCode::kDiv, {b.Op(OpCode::kSub, {clamped, Scalar(b, "low", low)}),
                          Scalar(b, "span", span)}),
      {1, 1});
  const TensorId frequencies =
      AddPlain(b, "frequencies", {kFrequencies},
               weights.Need(prefix + "0.weights", {kFrequencies}));
  // ((u w) 2) pi, the reference's order of roundings.
  const TensorId angle = b.Op(
      OpCode::kMul, {b.Op(OpCode::kMul, {b.Op(OpCode::kMul, {u, frequencies}),
                                         Scalar(b, "two", 2.0f)}),
                     Scalar(b, "pi", 3.14159265358979f)});
  const TensorId parts[] = {u, b.Op(OpCode::kSin, {angle}),
                            b.Op(OpCode::kCos, {angle})};
  const TensorId features = Concat(b, parts, 1);
  const TensorId matrix = AddPlain(
      b, "weight", {c.cond_width, 2 * kFrequencies + 1},
      weights.Need(prefix + "1.weight", {c.cond_width, 2 * kFrequencies + 1}));
  const TensorId bias =
      AddPlain(b, "bias", {c.cond_width},
               weights.Need(prefix + "1.bias", {c.cond_width}));
  return Linear(b, features, matrix, bias);
}

}  // namespace

int32_t RelativeBucket(int32_t distance, int32_t buckets, int32_t furthest) {
  const int32_t half = buckets / 2, exact = half / 2;
  const int32_t base = distance > 0 ? half : 0;
  const int32_t m = std::abs(distance);
  if (m < exact) return base + m;
  if (buckets == 32 && furthest == 128) {
    // The first distance of buckets 9 .. 15.
    constexpr std::array<int32_t, 7> kFirst = {12, 16, 23, 32, 46, 64, 91};
    const auto above = std::ranges::upper_bound(kFirst, m);
    return base + 8 + static_cast<int32_t>(above - kFirst.begin());
  }
  const double position = std::log(static_cast<double>(m) / exact) /
                          std::log(static_cast<double>(furthest) / exact) *
                          (half - exact);
  return base + std::min(half - 1, exact + static_cast<int32_t>(position));
}

Status AuthorConditioner(const StableAudioConfig& config, const T5Config& text,
                         Weights& weights, Weights& t5, graph::Graph& graph) {
  if (text.width != config.cond_width) {
    return Unsupported(
        "T5 is {} wide and the conditioning {}; a projection between them is "
        "not supported",
        text.width, config.cond_width);
  }
  const int32_t window = config.token_window;
  Builder b(graph, "conditioner");
  const TensorId ids = b.Input("input_ids", Type::kInt32, {1, window});
  const TensorId mask = b.Input("attention_mask", Type::kInt32, {1, window});
  const TensorId seconds = b.Input("seconds_total", Type::kFloat32, {1});
  LATHE_ASSIGN(const TensorId rows,
               TextEncoder(b, text, window, ids, mask, t5));
  LATHE_ASSIGN(const TensorId global, Seconds(b, config, seconds, weights));
  b.SetScope("");
  const TensorId parts[] = {rows,
                            Reshape(b, global, {1, 1, config.cond_width})};
  const TensorId context = Concat(b, parts, 1);
  const std::pair<std::string, TensorId> inputs[] = {
      {"input_ids", ids}, {"attention_mask", mask}, {"seconds_total", seconds}};
  const std::pair<std::string, TensorId> outputs[] = {{"context", context},
                                                      {"global", global}};
  return b.Finish("condition", inputs, outputs);
}

}  // namespace lathe::importer

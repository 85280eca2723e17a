// The Oobleck autoencoder's two halves.

#ifndef LATHE_IMPORT_MODELS_OOBLECK_H_
#define LATHE_IMPORT_MODELS_OOBLECK_H_

#include "src/graph/graph.h"
#include "src/import/stable_audio_config.h"
#include "src/import/weights.h"

namespace lathe::importer {

// Signature "decode": latent float32 [1, C, L] to audio float32
// [1, 2, L * hop]; L may be resized.
Status AuthorDecoder(const StableAudioConfig& config, Weights& weights,
                     graph::Graph& graph);

// Signature "encode": audio float32 [1, 2, N] to mean and stdev float32
// [1, C, N / hop]; N may be resized to another multiple of hop.
Status AuthorEncoder(const StableAudioConfig& config, Weights& weights,
                     graph::Graph& graph);

// Latent frames that a tile needs on each side so that its own frames come out
// exactly as from the whole (reference stable-audio-open-small.md, section
// 2.7): the reach of all layers, in frames, rounded up.
int32_t DecoderHalo(const OobleckConfig& config);
int32_t EncoderHalo(const OobleckConfig& config);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_MODELS_OOBLECK_H_

// The diffusion transformer.

#ifndef LATHE_IMPORT_MODELS_DIT_H_
#define LATHE_IMPORT_MODELS_DIT_H_

#include "src/graph/graph.h"
#include "src/import/stable_audio_config.h"
#include "src/import/weights.h"

namespace lathe::importer {

// Signature "velocity": x float32 [1, C, L], t float32 [1], context float32
// [1, W + 1, D], global float32 [1, D] to velocity float32 [1, C, L]. Reference
// stable-audio-open-small.md, section 2.5.
//
// Keys and values of all layers' cross-attention come from one matrix and one
// norm: they see only the context, so they are the same in every step.
// 1/sqrt(d) is folded into the query norms.
Status AuthorDit(const StableAudioConfig& config, Weights& weights,
                 graph::Graph& graph);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_MODELS_DIT_H_

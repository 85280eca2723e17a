// The conditioner: T5 encoder and seconds embedder in one graph.

#ifndef LATHE_IMPORT_MODELS_CONDITIONER_H_
#define LATHE_IMPORT_MODELS_CONDITIONER_H_

#include "src/graph/graph.h"
#include "src/import/stable_audio_config.h"
#include "src/import/weights.h"

namespace lathe::importer {

// Signature "condition": input_ids, attention_mask int32 [1, W], seconds_total
// float32 [1] to context float32 [1, W + 1, D] (text rows, zero where masked,
// then the seconds row) and global float32 [1, D]. Reference
// stable-audio-open-small.md, sections 2.2 to 2.4. `t5` holds shared.weight and
// encoder.*; `weights` the number embedder.
Status AuthorConditioner(const StableAudioConfig& config, const T5Config& text,
                         Weights& weights, Weights& t5, graph::Graph& graph);

// T5's bucket of the distance j - i. For 32 buckets and 128 the published table
// (section 2.2), computed without a floating logarithm.
int32_t RelativeBucket(int32_t distance, int32_t buckets, int32_t furthest);

}  // namespace lathe::importer

#endif  // LATHE_IMPORT_MODELS_CONDITIONER_H_

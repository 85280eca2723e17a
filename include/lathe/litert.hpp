// The LiteRT C++ API on top of lathe.hpp: the same nouns, order and macros, so
// that code written for LiteRT needs its includes replaced and one line,
//
//   namespace litert = lathe::litert;
//
//   LITERT_ASSIGN_OR_RETURN(auto env, litert::Environment::Create({}));
//   LITERT_ASSIGN_OR_RETURN(auto model, litert::CompiledModel::Create(
//       env, "model.tflite", litert::HwAccelerators::kCpu));
//   LITERT_ASSIGN_OR_RETURN(auto inputs, model.CreateInputBuffers());
//   LITERT_ASSIGN_OR_RETURN(auto outputs, model.CreateOutputBuffers());
//   LITERT_RETURN_IF_ERROR(inputs[0].Write<float>(samples));
//   LITERT_RETURN_IF_ERROR(model.Run(inputs, outputs));
//   LITERT_RETURN_IF_ERROR(outputs[0].Read<float>(logits));
//
// What has no meaning on a CPU is declared where code may call it and returns
// kErrorUnsupported with a sentence. New code had better use lathe.hpp: named
// inputs without a copy, and a model that any thread may use.
//
// Differences from LiteRT: every file is verified; a buffer given to
// CreateFromBuffer is copied and may go; two threads may run one CompiledModel
// (they take turns); models with the same number of threads share the
// environment's pool; without SetNumThreads that is one per physical core.
// Nothing throws; the value of an error aborts, as there.

#ifndef LATHE_LITERT_HPP_
#define LATHE_LITERT_HPP_

#include "lathe/litert/buffer.hpp"
#include "lathe/litert/expected.hpp"
#include "lathe/litert/model.hpp"
#include "lathe/litert/options.hpp"
#include "lathe/litert/types.hpp"

#endif  // LATHE_LITERT_HPP_
